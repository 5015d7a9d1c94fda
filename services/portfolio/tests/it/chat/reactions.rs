use serde_json::{Value, json};
use uuid::Uuid;

use super::{Chat, block, both, chat, id, message_path, names_since, school, told};
use crate::support::{Answer, User};

const THUMB: &str = "%F0%9F%91%8D";

async fn react(user: &User, message: &str, emoji: &str) -> Answer {
    user.post(&message_path(message, "/reactions"), &json!({ "emoji": emoji })).await
}

async fn take_back(user: &User, message: &str, encoded: &str) -> Answer {
    user.delete(&message_path(message, &format!("/reactions/{encoded}"))).await
}

/// Of the newest message, as `user` sees them.
async fn shown(user: &User, conversation: &Chat) -> Value {
    user.get(&conversation.messages()).await.data(200)[0]["reactions"].clone()
}

#[tokio::test]
async fn everybody_has_one_reaction_to_a_message() {
    let (app, budi, siti) = school(&[]).await;
    let (conversation, message) = chat(&budi, &siti, "Halo").await;
    let seen = conversation.seen_by(&siti).await;
    let before = told(&app).await.len();
    let first = react(&siti, &message, "👍").await.data(201);
    assert_eq!(first, json!({ "id": first["id"], "emoji": "👍" }));
    // The same again is no news.
    assert_eq!(react(&siti, &message, "👍").await.data(201), first);
    // One's own messages, too.
    react(&budi, &message, "❤️").await.data(201);
    let reaction = |user: &User, emoji: &str| json!({ "user_id": user.id, "username": user.username, "emoji": emoji });
    assert_eq!(shown(&budi, &conversation).await, json!([reaction(&siti, "👍"), reaction(&budi, "❤️")]));
    let changed = ("chat.reaction_changed".to_owned(), both(&budi, &siti));
    assert_eq!(told(&app).await[before..], [changed.clone(), changed.clone()]);
    // Another one takes the place: the old one goes, the new one comes, and is the newest.
    react(&siti, &message, "👨‍👩‍👧‍👦").await.data(201);
    assert_eq!(shown(&siti, &conversation).await, json!([reaction(&budi, "❤️"), reaction(&siti, "👨‍👩‍👧‍👦")]));
    assert_eq!(told(&app).await[before + 2..], [changed.clone(), changed]);
    let changes: Vec<(String, bool)> = sqlx::query_as("select emoji, added from message_reaction_changes order by id")
        .fetch_all(&app.pool)
        .await
        .unwrap();
    let expected = [("👍", true), ("❤️", true), ("👍", false), ("👨‍👩‍👧‍👦", true)];
    assert_eq!(changes, expected.map(|(emoji, added)| (emoji.to_owned(), added)));
    let after = conversation.seen_by(&siti).await;
    assert_eq!(after, seen, "neither the order nor what is unread has changed");
}

#[tokio::test]
async fn a_reaction_is_taken_back_by_its_decoded_emoji() {
    let (app, budi, siti) = school(&[]).await;
    let (conversation, message) = chat(&budi, &siti, "Halo").await;
    react(&siti, &message, "#️⃣").await.data(201);
    react(&budi, &message, "👍").await.data(201);
    let before = told(&app).await.len();
    // Of another emoji, or of somebody else: there is none, and nothing happens.
    let nothing = take_back(&siti, &message, THUMB).await;
    assert_eq!(nothing.data(200), json!(null));
    assert_eq!(shown(&siti, &conversation).await.as_array().unwrap().len(), 2);
    assert!(names_since(&app, before).await.is_empty());
    for _ in 0..2 {
        take_back(&siti, &message, "%23%EF%B8%8F%E2%83%A3").await.data(200);
    }
    assert_eq!(shown(&siti, &conversation).await[0]["user_id"], json!(budi.id));
    assert_eq!(told(&app).await[before..], [("chat.reaction_changed".to_owned(), both(&budi, &siti))]);
}

#[tokio::test]
async fn what_is_not_one_emoji_is_refused() {
    let (app, budi, siti) = school(&[]).await;
    let (_, message) = chat(&budi, &siti, "Halo").await;
    for emoji in ["", "ok", "1", "👍👍", " 👍", "👍\u{0}", "\u{FE0F}", "🇮", "👨‍👩‍👧‍👦‍👧‍👦"]
    {
        assert_eq!(react(&siti, &message, emoji).await.broken(), ["emoji"], "{emoji:?}");
    }
    assert_eq!(siti.post(&message_path(&message, "/reactions"), &json!({})).await.broken(), ["emoji"]);
    for body in [json!({ "emoji": 1 }), json!([])] {
        siti.post(&message_path(&message, "/reactions"), &body).await.fails(400, "VALIDATION_ERROR");
    }
    for path in ["%FF", "ok", "%20", "%F0%9F%91%8D%F0%9F%91%8D", "%2523", "%00"] {
        take_back(&siti, &message, path).await.fails(400, "VALIDATION_ERROR");
    }
    react(&siti, "x", "👍").await.fails(400, "VALIDATION_ERROR");
    take_back(&siti, "x", THUMB).await.fails(400, "VALIDATION_ERROR");
    react(&siti, &Uuid::nil().to_string(), "👍").await.fails(404, "NOT_FOUND");
    take_back(&siti, &Uuid::nil().to_string(), THUMB).await.fails(404, "NOT_FOUND");
    assert_eq!(app.count("select count(*) from message_reactions").await, 0);
}

#[tokio::test]
async fn across_a_block_a_reaction_is_taken_back_in_silence() {
    let (app, budi, siti) = school(&[]).await;
    let (conversation, message) = chat(&budi, &siti, "Halo").await;
    react(&siti, &message, "👍").await.data(201);
    block(&budi, &siti).await;
    let before = told(&app).await.len();
    react(&siti, &message, "❤️").await.fails(403, "USER_BLOCKED");
    // What is no emoji is told first.
    react(&siti, &message, "ok").await.fails(422, "VALIDATION_ERROR");
    react(&siti, &message, "👍").await.fails(403, "USER_BLOCKED");
    take_back(&siti, &message, THUMB).await.data(200);
    assert_eq!(told(&app).await[before..], [("chat.reaction_changed".to_owned(), vec![siti.id])]);
    assert_eq!(shown(&budi, &conversation).await, json!([]));
}

#[tokio::test]
async fn reactions_at_once_leave_exactly_one() {
    let (app, budi, siti) = school(&[]).await;
    let (conversation, message) = chat(&budi, &siti, "Halo").await;
    let replica = app.stack.spawn_replica("portfolio", &[]).await;
    let there = siti.at(&replica);
    let emoji = ["👍", "❤️", "😂", "😮", "😢", "🙏", "👍", "❤️", "🔥", "🎉"];
    let reacting = emoji.iter().enumerate().map(|(number, emoji)| {
        let user = if number % 2 == 0 { &siti } else { &there };
        react(user, &message, emoji)
    });
    let answers = futures_util::future::join_all(reacting).await;
    let ids: Vec<String> = answers.iter().map(|answer| id(&answer.data(201))).collect();
    let left: Vec<(Uuid, String)> =
        sqlx::query_as("select id, emoji from message_reactions").fetch_all(&app.pool).await.unwrap();
    assert_eq!(left.len(), 1);
    assert!(ids.contains(&left[0].0.to_string()) && emoji.contains(&left[0].1.as_str()));
    assert_eq!(shown(&budi, &conversation).await[0]["emoji"], json!(left[0].1));
    // Everything that came and was replaced went, in turn.
    let changes: Vec<(String, bool)> =
        sqlx::query_as("select emoji, added from message_reaction_changes order by at, id")
            .fetch_all(&app.pool)
            .await
            .unwrap();
    let (came, went) = changes.iter().partition::<Vec<_>, _>(|(_, added)| *added);
    assert_eq!(came.len(), went.len() + 1);
}

#[tokio::test]
async fn reactions_are_limited() {
    let (_app, budi, siti) = school(&[("LIMIT_REACTIONS", "3/60")]).await;
    let (_, message) = chat(&budi, &siti, "Halo").await;
    react(&siti, &message, "👍").await.data(201);
    take_back(&siti, &message, THUMB).await.data(200);
    react(&siti, &message, "ok").await.fails(422, "VALIDATION_ERROR");
    // Before everything but the token.
    let late = react(&siti, "x", "👍").await;
    late.fails(429, "TOO_MANY_REQUESTS");
    assert!(late.headers.contains_key("retry-after"));
    take_back(&siti, &message, "ok").await.fails(429, "TOO_MANY_REQUESTS");
    react(&budi, &message, "👍").await.data(201);
}

#[tokio::test]
async fn what_events_refer_to_is_forgotten_after_a_day() {
    let (mut app, budi, siti) = school(&[]).await;
    let (_, message) = chat(&budi, &siti, "Halo").await;
    for emoji in ["👍", "❤️"] {
        react(&siti, &message, emoji).await.data(201);
    }
    app.sql("update message_reaction_changes set at = now() - interval '25 hours' where emoji = '👍'").await;
    // The background work begins with the process.
    app.portfolio.restart().await;
    let left = "select count(*) from message_reaction_changes";
    crate::support::eventually("yesterday's changes are forgotten", async || app.count(left).await == 1).await;
    assert_eq!(app.count("select count(*) from message_reactions").await, 1);
}

#[tokio::test]
async fn an_emoji_in_an_address_is_decoded_behind_nginx_too() {
    let (app, budi, siti) = school(&[]).await;
    let (conversation, message) = chat(&budi, &siti, "Halo").await;
    let siti = siti.through_nginx(&app).await;
    react(&siti, &message, "#️⃣").await.data(201);
    take_back(&siti, &message, "%23%EF%B8%8F%E2%83%A3").await.data(200);
    assert_eq!(shown(&budi, &conversation).await, json!([]));
    // Neither of these is anybody's notification.
    assert_eq!(app.count("select count(*) from notifications").await, 0);
}
