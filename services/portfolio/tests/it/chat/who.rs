//! Who may write to whom.

use serde_json::json;
use uuid::Uuid;

use super::{Chat, block, chat, follow, school, set, text, unblock, unfollow};
use crate::support::{Answer, TestApp, User};

const PATH: &str = "/api/v1/conversations";

async fn write(user: &User, conversation: &Chat) -> Answer {
    user.post(&conversation.messages(), &text("x")).await
}

#[tokio::test]
async fn privacy_decides_who_may_open_a_conversation() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    // privacy of Siti (none: the default), whether the other follows her, whether she follows him, permitted
    let table = [
        (None, false, true, false),
        (None, true, false, true),
        (Some("followers"), true, false, true),
        (Some("open"), false, false, true),
        (Some("mutual"), true, false, false),
        (Some("mutual"), false, true, false),
        (Some("mutual"), true, true, true),
        (Some("closed"), true, true, false),
    ];
    for (number, (privacy, follows, followed, permitted)) in table.into_iter().enumerate() {
        if let Some(privacy) = privacy {
            set(&siti, json!({ "dm_privacy": privacy })).await;
        }
        let other = app.student(&format!("siswa_{number}")).await;
        if follows {
            follow(&other, &siti).await;
        }
        if followed {
            follow(&siti, &other).await;
        }
        let answer = other.post(PATH, &json!({ "recipient_id": siti.id, "message": "Halo" })).await;
        if permitted {
            answer.data(201);
        } else {
            answer.fails(403, "PRIVACY_RESTRICTED");
        }
    }
    // Nobody gets around it.
    let body = json!({ "recipient_id": siti.id });
    app.admin().post(PATH, &body).await.fails(403, "PRIVACY_RESTRICTED");
    set(&siti, json!({ "dm_privacy": "open" })).await;
    app.admin().post(PATH, &body).await.data(201);
}

#[tokio::test]
async fn privacy_is_asked_at_every_message_and_whoever_was_written_to_may_answer() {
    let (_app, budi, siti) = school(&[]).await;
    for user in [&budi, &siti] {
        set(user, json!({ "dm_privacy": "followers" })).await;
    }
    follow(&budi, &siti).await;
    let (conversation, _) = chat(&budi, &siti, "Halo").await;
    unfollow(&budi, &siti).await;
    write(&budi, &conversation).await.fails(403, "PRIVACY_RESTRICTED");
    // She does not follow him either, but he has written to her.
    let answer = conversation.say(&siti, "Ya?").await;
    conversation.say(&budi, "Tanya").await;
    // What was sent counts though it is deleted.
    siti.delete(&super::message_path(&answer, "")).await.data(200);
    conversation.say(&budi, "Lagi").await;
    set(&siti, json!({ "dm_privacy": "mutual" })).await;
    conversation.say(&budi, "Lagi").await;
    set(&siti, json!({ "dm_privacy": "closed" })).await;
    write(&budi, &conversation).await.fails(403, "PRIVACY_RESTRICTED");
    // Her own privacy does not keep her from writing.
    conversation.say(&siti, "Sampai jumpa").await;
    follow(&siti, &budi).await;
    follow(&budi, &siti).await;
    write(&budi, &conversation).await.fails(403, "PRIVACY_RESTRICTED");
    assert_eq!(conversation.texts(&budi).await, ["Sampai jumpa", "Lagi", "Lagi", "Tanya", "Halo"]);
}

#[tokio::test]
async fn a_block_closes_both_directions_with_the_same_words() {
    let (_app, budi, siti) = school(&[]).await;
    let (conversation, first) = chat(&budi, &siti, "Halo").await;
    let his = conversation.say(&siti, "Ya?").await;
    block(&siti, &budi).await;
    let (by, of) = (write(&siti, &conversation).await, write(&budi, &conversation).await);
    by.fails(403, "USER_BLOCKED");
    of.fails(403, "USER_BLOCKED");
    assert_eq!(by.body, of.body);
    let react = async |user: &User, message: &str| {
        user.post(&super::message_path(message, "/reactions"), &json!({ "emoji": "👍" })).await
    };
    react(&budi, &his).await.fails(403, "USER_BLOCKED");
    react(&siti, &first).await.fails(403, "USER_BLOCKED");
    // Both still read, mark, mute and delete.
    assert_eq!(conversation.texts(&budi).await, ["Ya?", "Halo"]);
    assert_eq!(conversation.texts(&siti).await, ["Ya?", "Halo"]);
    budi.act(&conversation.path("/read")).await.data(200);
    budi.act(&conversation.path("/archive")).await.data(200);
    budi.act(&conversation.path("/mute")).await.data(200);
    budi.delete(&super::message_path(&first, "")).await.data(200);
    unblock(&siti, &budi).await;
    conversation.say(&budi, "Maaf").await;
}

#[tokio::test]
async fn nobody_writes_to_accounts_that_are_gone() {
    let (app, budi, siti) = school(&[]).await;
    let (conversation, _) = chat(&budi, &siti, "Halo").await;
    app.deactivate(&siti).await;
    write(&budi, &conversation).await.fails(403, "RECIPIENT_UNAVAILABLE");
    app.reactivate(&siti).await;
    conversation.say(&budi, "Lagi").await;
    app.delete_account(&siti).await;
    write(&budi, &conversation).await.fails(403, "RECIPIENT_UNAVAILABLE");
    // A block speaks first.
    app.sql(
        "insert into dm_blocks (blocker_id, blocked_id)
         select s.id, b.id from users s, users b where s.username = 'siti' and b.username = 'budi'",
    )
    .await;
    write(&budi, &conversation).await.fails(403, "USER_BLOCKED");
}

#[tokio::test]
async fn checks_have_an_order() {
    let (app, budi, siti) = school(&[("LIMIT_MESSAGES", "2/60")]).await;
    let (conversation, _) = chat(&budi, &siti, "Halo").await;
    block(&siti, &budi).await;
    let tono = app.student("tono").await;
    let wrong = json!({ "message_type": 1 });
    let broken = json!({ "message_type": "video", "content": {} });
    let unreferenced = json!({
        "message_type": "portfolio", "content": { "portfolio_id": Uuid::nil() }, "reply_to_id": Uuid::nil(),
    });
    // Object and participant before the body, the body before the block.
    tono.post(&conversation.messages(), &wrong).await.fails(403, "NOT_PARTICIPANT");
    tono.post(&format!("{PATH}/{}/messages", Uuid::nil()), &wrong).await.fails(404, "NOT_FOUND");
    siti.post(&conversation.messages(), &wrong).await.fails(400, "VALIDATION_ERROR");
    siti.post(&conversation.messages(), &broken).await.fails(422, "VALIDATION_ERROR");
    // The limit before everything but the token; refused messages count.
    siti.post(&format!("{PATH}/x/messages"), &wrong).await.fails(429, "TOO_MANY_REQUESTS");
    // The block before what the message refers to.
    budi.post(&conversation.messages(), &unreferenced).await.fails(403, "USER_BLOCKED");
    unblock(&siti, &budi).await;
    let late = budi.post(&conversation.messages(), &unreferenced).await;
    late.fails(429, "TOO_MANY_REQUESTS");
    assert!(late.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn messages_are_limited_whichever_way_and_replica_they_take() {
    let limit = [("LIMIT_MESSAGES", "3/60")];
    let (app, budi, siti) = school(&limit).await;
    let (conversation, _) = chat(&budi, &siti, "1").await;
    conversation.say(&budi, "2").await;
    let replica = app.stack.spawn_replica("portfolio", &limit).await;
    conversation.say(&budi.at(&replica), "3").await;
    write(&budi, &conversation).await.fails(429, "TOO_MANY_REQUESTS");
    write(&budi.at(&replica), &conversation).await.fails(429, "TOO_MANY_REQUESTS");
    let body = json!({ "recipient_id": siti.id, "message": "4" });
    budi.post(PATH, &body).await.fails(429, "TOO_MANY_REQUESTS");
    // Without a message nothing is sent.
    budi.post(PATH, &json!({ "recipient_id": siti.id })).await.data(201);
    conversation.say(&siti, "Ya").await;
}
