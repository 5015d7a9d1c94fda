//! Pages of messages, and what lies behind a cursor.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Chat, begin, chat, message_path, school};
use crate::support::{Answer, User};

async fn ask(user: &User, conversation: &Chat, query: &str) -> Answer {
    user.get(&format!("{}{query}", conversation.messages())).await
}

fn texts(answer: &Answer) -> Vec<String> {
    let data = answer.data(200);
    data.as_array().unwrap().iter().map(|message| message["content"]["text"].as_str().unwrap().to_owned()).collect()
}

/// Ten messages called by their numbers; their ids.
async fn ten(budi: &User, siti: &User, conversation: &Chat) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..10 {
        ids.push(conversation.say(if number % 2 == 0 { budi } else { siti }, &number.to_string()).await);
    }
    ids
}

#[tokio::test]
async fn pages_are_newest_first() {
    let (_app, budi, siti) = school(&[]).await;
    let conversation = begin(&budi, &siti).await;
    let empty = ask(&budi, &conversation, "").await;
    let meta = json!({
        "current_page": 1, "per_page": 30, "total_count": 0, "total_pages": 0, "has_more": false, "next_cursor": null,
    });
    assert_eq!((empty.data(200), &empty.body["meta"]), (json!([]), &meta));
    let ids = ten(&budi, &siti, &conversation).await;
    let first = ask(&siti, &conversation, "?limit=4").await;
    assert_eq!(texts(&first), ["9", "8", "7", "6"]);
    let meta = json!({
        "current_page": 1, "per_page": 4, "total_count": 10, "total_pages": 3, "has_more": true, "next_cursor": ids[6],
    });
    assert_eq!(first.body["meta"], meta);
    let last = ask(&siti, &conversation, "?limit=4&page=3").await;
    assert_eq!(texts(&last), ["1", "0"]);
    let meta = json!({
        "current_page": 3, "per_page": 4, "total_count": 10, "total_pages": 3, "has_more": false, "next_cursor": null,
    });
    assert_eq!(last.body["meta"], meta);
    let full = ask(&siti, &conversation, "?limit=5&page=2").await;
    assert_eq!((full.body["meta"]["has_more"].clone(), texts(&full).len()), (json!(false), 5));
    for (query, page, limit) in [("?page=x&limit=0", 1, 30), ("?page=0&limit=-2", 1, 30), ("?limit=1000", 1, 100)] {
        let meta = &ask(&siti, &conversation, query).await.body["meta"];
        assert_eq!((&meta["current_page"], &meta["per_page"]), (&json!(page), &json!(limit)), "{query}");
    }
    // The cursor of a page goes on behind it.
    assert_eq!(texts(&ask(&siti, &conversation, &format!("?limit=4&before={}", ids[6])).await), ["5", "4", "3", "2"]);
    // Reading marks nothing as read.
    assert_eq!(conversation.unread_of(&siti).await, 5);
}

#[tokio::test]
async fn cursors_go_back_newest_first_and_forth_oldest_first() {
    let (_app, budi, siti) = school(&[]).await;
    let conversation = begin(&budi, &siti).await;
    let ids = ten(&budi, &siti, &conversation).await;
    let walk = async |parameter: &str, start: &str| {
        let (mut cursor, mut found, mut parts) = (start.to_owned(), Vec::new(), 0);
        loop {
            let answer = ask(&budi, &conversation, &format!("?limit=3&page=9&{parameter}={cursor}")).await;
            found.extend(texts(&answer));
            parts += 1;
            let meta = answer.body["meta"].as_object().unwrap();
            assert_eq!(meta.len(), 3, "{meta:?}");
            assert_eq!(
                (&meta["per_page"], meta["has_more"] == json!(true)),
                (&json!(3), meta["next_cursor"] != Value::Null)
            );
            match meta["next_cursor"].as_str() {
                Some(next) => cursor = next.to_owned(),
                None => return (found, parts),
            }
        }
    };
    assert_eq!(walk("before", &ids[7]).await, (["6", "5", "4", "3", "2", "1", "0"].map(str::to_owned).to_vec(), 3));
    assert_eq!(walk("after", &ids[3]).await, (["4", "5", "6", "7", "8", "9"].map(str::to_owned).to_vec(), 2));
    assert_eq!(walk("after", &ids[9]).await, (Vec::new(), 1));
    // A cursor may be deleted by now, and what is deleted is skipped and not counted.
    for place in [3, 5] {
        let sender = if place % 2 == 0 { &budi } else { &siti };
        sender.delete(&message_path(&ids[place], "")).await.data(200);
    }
    assert_eq!(walk("after", &ids[3]).await.0, ["4", "6", "7", "8", "9"]);
    assert_eq!(walk("before", &ids[5]).await.0, ["4", "2", "1", "0"]);
    assert_eq!(ask(&budi, &conversation, "").await.body["meta"]["total_count"], 8);
}

#[tokio::test]
async fn bad_cursors_are_refused() {
    let (app, budi, siti) = school(&[]).await;
    let tono = app.student("tono").await;
    super::open(&tono).await;
    let (conversation, own) = chat(&budi, &siti, "Halo").await;
    let (_, foreign) = chat(&siti, &tono, "Lain").await;
    let nobodys = Uuid::nil().to_string();
    for cursor in ["x", &foreign, &nobodys] {
        for parameter in ["before", "after"] {
            let answer = ask(&budi, &conversation, &format!("?{parameter}={cursor}")).await;
            answer.fails(400, "VALIDATION_ERROR");
        }
    }
    ask(&budi, &conversation, &format!("?before={own}&after={own}")).await.fails(400, "VALIDATION_ERROR");
    assert_eq!(ask(&budi, &conversation, "?before=&after=").await.body["meta"]["total_count"], 1);
    // Whoever takes no part learns nothing of them.
    ask(&tono, &conversation, &format!("?before={own}")).await.fails(403, "NOT_PARTICIPANT");
    ask(&tono, &conversation, "?before=x").await.fails(400, "VALIDATION_ERROR");
}
