use serde_json::json;
use uuid::Uuid;

use super::{block, block_path, chat, school, text, unblock};
use crate::support::TestApp;

const BLOCKED: &str = "/api/v1/dm/blocked";

#[tokio::test]
async fn a_block_is_listed_for_who_made_it() {
    let (app, budi, siti) = school(&[]).await;
    let tono = app.student("tono").await;
    assert_eq!(budi.get(BLOCKED).await.data(200), json!([]));
    let answer = budi.act(&block_path(&siti)).await;
    assert_eq!(answer.data(200), json!(null));
    assert!(answer.body["message"].is_string());
    let first = budi.get(BLOCKED).await.data(200);
    let expected = json!([{
        "user_id": siti.id, "username": "siti", "nama": "Nama siti", "avatar_url": null,
        "blocked_at": first[0]["blocked_at"],
    }]);
    assert_eq!(first, expected);
    // Again is the same block.
    block(&budi, &siti).await;
    assert_eq!(budi.get(BLOCKED).await.data(200), expected);
    block(&budi, &tono).await;
    assert_eq!(budi.get(BLOCKED).await.column("username"), ["tono", "siti"]);
    assert_eq!(siti.get(BLOCKED).await.data(200), json!([]));
    let page = budi.get(&format!("{BLOCKED}?limit=1&page=2")).await;
    assert_eq!(page.column("username"), ["siti"]);
    let meta = json!({ "current_page": 2, "per_page": 1, "total_count": 2, "total_pages": 2 });
    assert_eq!(page.body["meta"], meta);
    for query in ["", "?limit=x", "?limit=0", "?limit=1000"] {
        assert_eq!(budi.get(&format!("{BLOCKED}{query}")).await.body["meta"]["per_page"], 100, "{query}");
    }
    app.deactivate(&siti).await;
    assert_eq!(budi.get(BLOCKED).await.column("username"), ["tono", "siti"]);
    app.delete_account(&siti).await;
    assert_eq!(budi.get(BLOCKED).await.column("username"), ["tono"]);
    assert_eq!(budi.get(BLOCKED).await.body["meta"]["total_count"], 1);
}

#[tokio::test]
async fn bad_blocks_are_refused() {
    let app = TestApp::spawn().await;
    let (budi, siti) = (app.student("budi").await, app.student("siti").await);
    assert_eq!(budi.act(&block_path(&budi)).await.broken(), ["userId"]);
    budi.act("/api/v1/dm/block/x").await.fails(400, "VALIDATION_ERROR");
    budi.delete("/api/v1/dm/block/x").await.fails(400, "VALIDATION_ERROR");
    budi.act(&format!("/api/v1/dm/block/{}", Uuid::nil())).await.fails(404, "USER_NOT_FOUND");
    app.deactivate(&siti).await;
    block(&budi, &siti).await;
    app.delete_account(&siti).await;
    budi.act(&block_path(&siti)).await.fails(404, "USER_NOT_FOUND");
    // What is not there can be taken back, and who is not there.
    unblock(&budi, &siti).await;
    unblock(&budi, &siti).await;
    budi.delete(&format!("/api/v1/dm/block/{}", Uuid::nil())).await.data(200);
}

#[tokio::test]
async fn everybody_takes_back_his_own_block_only() {
    let (_app, budi, siti) = school(&[]).await;
    let (conversation, _) = chat(&budi, &siti, "Halo").await;
    block(&budi, &siti).await;
    block(&siti, &budi).await;
    let refused = async || conversation_is_closed(&budi, &conversation).await;
    assert!(refused().await);
    unblock(&budi, &siti).await;
    assert!(refused().await);
    assert_eq!(siti.get(BLOCKED).await.column("username"), ["budi"]);
    unblock(&siti, &budi).await;
    conversation.say(&budi, "Hai").await;
}

async fn conversation_is_closed(user: &crate::support::User, conversation: &super::Chat) -> bool {
    let answer = user.post(&conversation.messages(), &text("x")).await;
    answer.body["error"]["code"] == "USER_BLOCKED"
}

#[tokio::test]
async fn a_block_is_a_matter_of_messages_alone() {
    let (app, budi, siti) = school(&[]).await;
    super::follow(&budi, &siti).await;
    let work = siti.published("Karya", app.admin()).await;
    block(&siti, &budi).await;
    let profile = budi.get("/api/v1/users/siti").await.data(200);
    assert_eq!(profile["is_following"], true);
    budi.act(&work.path("/like")).await.data(200);
    budi.post(&work.path("/comments"), &json!({ "content": "Keren" })).await.data(201);
}
