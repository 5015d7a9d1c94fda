use serde_json::json;
use uuid::Uuid;

use super::{block, both, chat, message_path, names_since, school, told};

#[tokio::test]
async fn only_the_sender_deletes_a_message_and_only_once() {
    let (app, budi, siti) = school(&[]).await;
    let (conversation, first) = chat(&budi, &siti, "Rahasia").await;
    let before = told(&app).await.len();
    siti.delete(&message_path(&first, "")).await.fails(403, "NOT_OWNER");
    app.admin().delete(&message_path(&first, "")).await.fails(403, "NOT_PARTICIPANT");
    budi.delete(&message_path(&Uuid::nil().to_string(), "")).await.fails(404, "NOT_FOUND");
    budi.delete(&message_path("x", "")).await.fails(400, "VALIDATION_ERROR");
    // Also across a block.
    block(&siti, &budi).await;
    let deleted = budi.delete(&message_path(&first, "")).await;
    assert_eq!(deleted.data(200), json!(null));
    assert!(deleted.body["message"].is_string());
    budi.delete(&message_path(&first, "")).await.fails(404, "NOT_FOUND");
    assert_eq!(told(&app).await[before..], [("chat.message_deleted".to_owned(), both(&budi, &siti))]);
    assert!(conversation.texts(&siti).await.is_empty());
    assert_eq!(app.count("select count(*) from messages where text is not null").await, 0);
}

#[tokio::test]
async fn an_admin_who_takes_part_deletes_nothing_of_the_other() {
    let (app, budi, _) = school(&[]).await;
    super::open(app.admin()).await;
    let (_, message) = chat(&budi, app.admin(), "Halo").await;
    app.admin().delete(&message_path(&message, "")).await.fails(403, "NOT_OWNER");
}

#[tokio::test]
async fn preview_and_place_come_from_the_newest_message_that_is_left() {
    let (_app, budi, siti) = school(&[]).await;
    let (conversation, first) = chat(&budi, &siti, "Satu").await;
    let second = conversation.say(&siti, "Dua").await;
    let third = conversation.say(&budi, "Tiga").await;
    let list = budi.get(&conversation.messages()).await.data(200);
    let preview = async || {
        let seen = conversation.seen_by(&budi).await;
        (seen["last_message_preview"].clone(), seen["last_message_at"].clone())
    };
    budi.delete(&message_path(&third, "")).await.data(200);
    assert_eq!(preview().await, (json!("Dua"), list[1]["created_at"].clone()));
    budi.delete(&message_path(&first, "")).await.data(200);
    assert_eq!(preview().await, (json!("Dua"), list[1]["created_at"].clone()));
    siti.delete(&message_path(&second, "")).await.data(200);
    assert_eq!(preview().await, (json!(null), json!(null)));
    assert_eq!(siti.get("/api/v1/conversations").await.column("id"), [conversation.0.as_str()]);
    // The next one is later than all that was there.
    conversation.say(&budi, "Empat").await;
    let at = budi.get(&conversation.messages()).await.data(200)[0]["created_at"].clone();
    assert!(at.as_str() > list[0]["created_at"].as_str());
}

#[tokio::test]
async fn an_unread_message_that_is_deleted_is_not_unread_any_more() {
    let (_app, budi, siti) = school(&[]).await;
    let (conversation, first) = chat(&budi, &siti, "1").await;
    siti.act(&conversation.path("/read")).await.data(200);
    let second = conversation.say(&budi, "2").await;
    let own = conversation.say(&siti, "3").await;
    conversation.say(&budi, "4").await;
    assert_eq!(conversation.unread_of(&siti).await, 2);
    budi.delete(&message_path(&second, "")).await.data(200);
    assert_eq!(conversation.unread_of(&siti).await, 1);
    // One that was read, and one of her own.
    budi.delete(&message_path(&first, "")).await.data(200);
    siti.delete(&message_path(&own, "")).await.data(200);
    assert_eq!((conversation.unread_of(&siti).await, conversation.unread_of(&budi).await), (1, 0));
}

#[tokio::test]
async fn reactions_go_with_their_message() {
    let (app, budi, siti) = school(&[]).await;
    let (_, message) = chat(&budi, &siti, "Halo").await;
    for user in [&budi, &siti] {
        user.post(&message_path(&message, "/reactions"), &json!({ "emoji": "👍" })).await.data(201);
    }
    let before = told(&app).await.len();
    budi.delete(&message_path(&message, "")).await.data(200);
    assert_eq!(app.count("select count(*) from message_reactions").await, 0);
    assert_eq!(app.count("select count(*) from message_reaction_changes").await, 0);
    assert_eq!(names_since(&app, before).await, ["chat.message_deleted"]);
    let path = message_path(&message, "/reactions");
    siti.post(&path, &json!({ "emoji": "👍" })).await.fails(404, "NOT_FOUND");
    siti.delete(&format!("{path}/%F0%9F%91%8D")).await.fails(404, "NOT_FOUND");
}

#[tokio::test]
async fn a_preview_never_tells_a_caption() {
    let (app, budi, siti) = school(&[]).await;
    let (conversation, _) = chat(&budi, &siti, "Halo").await;
    let work = budi.published("Karya", app.admin()).await;
    let content = json!({ "portfolio_id": work.id, "text": "Rahasia" });
    budi.post(&conversation.messages(), &json!({ "message_type": "portfolio", "content": content })).await.data(201);
    let last = conversation.say(&budi, "Terakhir").await;
    budi.delete(&message_path(&last, "")).await.data(200);
    assert_eq!(conversation.seen_by(&siti).await["last_message_preview"], "Membagikan portofolio");
}
