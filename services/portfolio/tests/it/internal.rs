use serde_json::json;
use uuid::Uuid;

use crate::support::TestApp;

#[tokio::test]
async fn media_asks_for_the_rights_of_a_user() {
    let app = TestApp::spawn().await;
    let (siti, budi) = (app.student("siti").await, app.student("budi").await);
    let portfolio = siti.written("Karya").await;
    let path = format!("/internal/portfolios/{}/rights", portfolio.id);
    let own = app.internal(&format!("{path}?user_id={}", siti.id)).await.data(200);
    let expected = json!({
        "portfolio_id": portfolio.id, "owner_id": siti.id, "status": "draft", "owner_active": true, "can_edit": true,
        "visible": true,
    });
    assert_eq!(own, expected);
    let other = app.internal(&format!("{path}?user_id={}", budi.id)).await.data(200);
    assert_eq!((&other["can_edit"], &other["visible"]), (&json!(false), &json!(false)));
    assert_eq!(app.internal(&path).await.data(200)["visible"], false);
    let nowhere = format!("/internal/portfolios/{}/rights", Uuid::nil());
    app.internal(&nowhere).await.fails(404, "PORTFOLIO_NOT_FOUND");
    let block = siti.get(&portfolio.by_id()).await.data(200)["content_blocks"][0]["id"].as_str().unwrap().to_owned();
    let blocks = format!("/internal/portfolios/{}/blocks", portfolio.id);
    assert_eq!(app.internal(&format!("{blocks}/{block}")).await.data(200), json!({ "exists": true }));
    assert_eq!(app.internal(&format!("{blocks}/{}", Uuid::nil())).await.data(200), json!({ "exists": false }));
}

#[tokio::test]
async fn the_internal_listener_asks_for_the_internal_token_and_the_public_one_has_no_such_routes() {
    let mut app = TestApp::spawn().await;
    app.get(&format!("/internal/portfolios/{}/rights", Uuid::nil())).await.fails(404, "NOT_FOUND");
    app.internal_token = "x".repeat(32);
    let answer = app.internal(&format!("/internal/portfolios/{}/rights", Uuid::nil())).await;
    answer.fails(401, "UNAUTHORIZED");
}
