//! What counts as read, and who learns of it.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Chat, begin, block, both, chat, message_path, names_since, school, set, told, unblock};
use crate::support::{Answer, User};

async fn read(user: &User, conversation: &Chat, body: Option<Value>) -> Answer {
    user.ask(Method::POST, &conversation.path("/read"), body.as_ref()).await
}

/// The own mark, as `user` sees it.
async fn mark(user: &User, conversation: &Chat) -> Value {
    conversation.seen_by(user).await["participants"][0]["last_read_at"].clone()
}

/// The mark of the other, as `user` sees it.
async fn mark_of_the_other(user: &User, conversation: &Chat) -> Value {
    conversation.seen_by(user).await["participants"][1]["last_read_at"].clone()
}

#[tokio::test]
async fn messages_of_the_other_are_unread_until_they_are_marked() {
    let (_app, budi, siti) = school(&[]).await;
    let (conversation, _) = chat(&budi, &siti, "1").await;
    conversation.say(&budi, "2").await;
    assert_eq!((conversation.unread_of(&budi).await, conversation.unread_of(&siti).await), (0, 2));
    // Who answers has not read by that.
    conversation.say(&siti, "3").await;
    assert_eq!((conversation.unread_of(&budi).await, conversation.unread_of(&siti).await), (1, 2));
    let seen = conversation.seen_by(&siti).await;
    assert_eq!(
        (&seen["participants"][0]["unread_count"], &seen["participants"][1]["unread_count"]),
        (&json!(2), &json!(0))
    );
    read(&siti, &conversation, None).await.data(200);
    assert_eq!((conversation.unread_of(&budi).await, conversation.unread_of(&siti).await), (1, 0));
    conversation.say(&budi, "4").await;
    assert_eq!(conversation.unread_of(&siti).await, 1);
}

#[tokio::test]
async fn a_mark_may_stand_in_the_middle_and_never_goes_back() {
    let (_app, budi, siti) = school(&[]).await;
    let (conversation, first) = chat(&budi, &siti, "1").await;
    let second = conversation.say(&budi, "2").await;
    conversation.say(&siti, "3").await;
    let fourth = conversation.say(&budi, "4").await;
    let up_to = |message: &str| Some(json!({ "last_message_id": message }));
    read(&siti, &conversation, up_to(&second)).await.data(200);
    assert_eq!(conversation.unread_of(&siti).await, 1);
    let list = siti.get(&conversation.messages()).await.data(200);
    assert_eq!(mark(&siti, &conversation).await, list[2]["created_at"]);
    read(&siti, &conversation, up_to(&first)).await.data(200);
    assert_eq!(
        (conversation.unread_of(&siti).await, mark(&siti, &conversation).await),
        (1, list[2]["created_at"].clone())
    );
    // A deleted message still has its place.
    budi.delete(&message_path(&fourth, "")).await.data(200);
    read(&siti, &conversation, up_to(&fourth)).await.data(200);
    assert_eq!(mark(&siti, &conversation).await, list[0]["created_at"]);
    read(&siti, &conversation, Some(json!({ "last_message_id": null }))).await.data(200);
}

#[tokio::test]
async fn a_mark_needs_a_message_of_this_conversation() {
    let (app, budi, siti) = school(&[]).await;
    let tono = app.student("tono").await;
    super::open(&tono).await;
    let (conversation, _) = chat(&budi, &siti, "1").await;
    let (_, foreign) = chat(&budi, &tono, "2").await;
    for message in [foreign, Uuid::nil().to_string()] {
        let answer = read(&siti, &conversation, Some(json!({ "last_message_id": message }))).await;
        assert_eq!(answer.broken(), ["last_message_id"]);
    }
    for body in [json!({ "last_message_id": "x" }), json!([]), json!({ "last_message_id": 1 })] {
        read(&siti, &conversation, Some(body)).await.fails(400, "VALIDATION_ERROR");
    }
    assert_eq!(conversation.unread_of(&siti).await, 1);
    let empty = siti.raw(Method::POST, &conversation.path("/read"), "application/json", "").await;
    empty.data(200);
    assert_eq!(conversation.unread_of(&siti).await, 0);
}

#[tokio::test]
async fn a_receipt_goes_out_when_a_mark_moves_and_only_then() {
    let (app, budi, siti) = school(&[]).await;
    let (conversation, first) = chat(&budi, &siti, "1").await;
    let before = told(&app).await.len();
    for _ in 0..2 {
        read(&siti, &conversation, None).await.data(200);
    }
    read(&siti, &conversation, Some(json!({ "last_message_id": first }))).await.data(200);
    assert_eq!(told(&app).await[before..], [("chat.read".to_owned(), both(&budi, &siti))]);
    conversation.say(&budi, "2").await;
    read(&siti, &conversation, None).await.data(200);
    assert_eq!(names_since(&app, before + 1).await, ["chat.message_sent", "chat.read"]);
    assert_eq!(mark_of_the_other(&budi, &conversation).await, mark(&siti, &conversation).await);
}

#[tokio::test]
async fn who_hides_receipts_is_told_alone_and_shows_no_mark() {
    let (app, budi, siti) = school(&[]).await;
    let (conversation, _) = chat(&budi, &siti, "1").await;
    set(&siti, json!({ "show_read_receipts": false })).await;
    let before = told(&app).await.len();
    read(&siti, &conversation, None).await.data(200);
    assert_eq!(told(&app).await[before..], [("chat.read".to_owned(), vec![siti.id])]);
    assert_eq!(mark_of_the_other(&budi, &conversation).await, Value::Null);
    assert_ne!(mark(&siti, &conversation).await, Value::Null);
    // She still sees his.
    conversation.say(&siti, "2").await;
    read(&budi, &conversation, None).await.data(200);
    assert_ne!(mark_of_the_other(&siti, &conversation).await, Value::Null);
    set(&siti, json!({ "show_read_receipts": true })).await;
    assert_ne!(mark_of_the_other(&budi, &conversation).await, Value::Null);
}

#[tokio::test]
async fn a_block_hides_receipts_from_both() {
    let (app, budi, siti) = school(&[]).await;
    let (conversation, _) = chat(&budi, &siti, "1").await;
    conversation.say(&siti, "2").await;
    read(&budi, &conversation, None).await.data(200);
    block(&siti, &budi).await;
    let before = told(&app).await.len();
    read(&siti, &conversation, None).await.data(200);
    assert_eq!(told(&app).await[before..], [("chat.read".to_owned(), vec![siti.id])]);
    assert_eq!(conversation.unread_of(&siti).await, 0);
    assert_eq!(mark_of_the_other(&budi, &conversation).await, Value::Null);
    assert_eq!(mark_of_the_other(&siti, &conversation).await, Value::Null);
    unblock(&siti, &budi).await;
    assert_ne!(mark_of_the_other(&siti, &conversation).await, Value::Null);
}

#[tokio::test]
async fn of_a_conversation_that_never_began_the_other_learns_nothing() {
    let (app, budi, siti) = school(&[]).await;
    let conversation = begin(&budi, &siti).await;
    read(&budi, &conversation, None).await.data(200);
    assert!(told(&app).await.iter().all(|(_, recipients)| *recipients == [budi.id]));
}

#[tokio::test]
async fn what_is_sent_after_a_mark_is_unread_whatever_the_clock_says() {
    let (app, budi, siti) = school(&[]).await;
    let (conversation, _) = chat(&budi, &siti, "1").await;
    // As if the clock had gone back by an hour since.
    app.sql(
        "update messages set created_at = created_at + interval '1 hour';
         update conversations set last_sent_at = last_sent_at + interval '1 hour'",
    )
    .await;
    read(&siti, &conversation, None).await.data(200);
    assert_eq!(conversation.unread_of(&siti).await, 0);
    let second = conversation.say(&budi, "2").await;
    assert_eq!(conversation.texts(&siti).await, ["2", "1"]);
    let newer = "select count(*) from messages m
                 join conversation_participants p on p.conversation_id = m.conversation_id
                 where m.text = '2' and m.created_at > p.last_read_at";
    assert_eq!(app.count(newer).await, 1);
    read(&siti, &conversation, Some(json!({ "last_message_id": second }))).await.data(200);
    assert_eq!(conversation.unread_of(&siti).await, 0);
}
