//! Whom answers show as online.

use serde_json::json;
use uuid::Uuid;

use super::{Chat, begin, block, chat, message_path, school, unblock};
use crate::support::{TestApp, User};

/// As a replica does that has a socket of the user.
async fn connect(app: &TestApp, user: &User) {
    let replica = Uuid::now_v7();
    sqlx::query("insert into chat_replicas (id, lease_until) values ($1, now() + interval '1 hour')")
        .bind(replica)
        .execute(&app.pool)
        .await
        .unwrap();
    sqlx::query("insert into chat_sockets (id, replica_id, user_id, opened_at) values ($1, $2, $3, now())")
        .bind(Uuid::now_v7())
        .bind(replica)
        .bind(user.id)
        .execute(&app.pool)
        .await
        .unwrap();
}

/// Whether `viewer` sees the other online: in the conversation, in the list, at the other's message, in the streak.
async fn seen(viewer: &User, conversation: &Chat) -> Vec<bool> {
    let mut seen = Vec::new();
    let detail = conversation.seen_by(viewer).await;
    assert_eq!(detail["other_user"], detail["participants"][1]["user"]);
    seen.push(detail["other_user"]["is_online"].as_bool().unwrap());
    for item in viewer.get("/api/v1/conversations").await.data(200).as_array().unwrap() {
        seen.push(item["other_user"]["is_online"].as_bool().unwrap());
    }
    for message in viewer.get(&conversation.messages()).await.data(200).as_array().unwrap() {
        if message["sender_id"] != json!(viewer.id) {
            seen.push(message["sender"]["is_online"].as_bool().unwrap());
        }
    }
    for streak in viewer.get("/api/v1/dm/streaks").await.data(200).as_array().unwrap() {
        seen.push(streak["other_user"]["is_online"].as_bool().unwrap());
    }
    seen
}

#[tokio::test]
async fn who_has_written_sees_the_other_online() {
    let (app, budi, siti) = school(&[]).await;
    let conversation = begin(&budi, &siti).await;
    connect(&app, &siti).await;
    // Nothing was sent yet.
    assert_eq!(seen(&budi, &conversation).await, [false, false]);
    let message = conversation.say(&siti, "Halo").await;
    assert_eq!(seen(&budi, &conversation).await, [true; 4]);
    assert_eq!(seen(&siti, &conversation).await, [false; 3]);
    // Oneself is online as everybody else is.
    assert_eq!(conversation.seen_by(&siti).await["participants"][0]["user"]["is_online"], true);
    assert_eq!(siti.get(&conversation.messages()).await.data(200)[0]["sender"]["is_online"], true);
    // It was sent, though it is gone.
    siti.delete(&message_path(&message, "")).await.data(200);
    assert_eq!(seen(&budi, &conversation).await, [true; 3]);
}

#[tokio::test]
async fn a_block_hides_it_from_both_and_a_deactivation_from_all() {
    let (app, budi, siti) = school(&[]).await;
    let (conversation, _) = chat(&budi, &siti, "Halo").await;
    conversation.say(&siti, "Ya").await;
    for user in [&budi, &siti] {
        connect(&app, user).await;
    }
    block(&budi, &siti).await;
    for user in [&budi, &siti] {
        assert_eq!(seen(user, &conversation).await, [false; 3]);
    }
    unblock(&budi, &siti).await;
    for user in [&budi, &siti] {
        assert_eq!(seen(user, &conversation).await, [true; 4]);
    }
    app.deactivate(&siti).await;
    assert_eq!(seen(&budi, &conversation).await, [false; 3]);
}
