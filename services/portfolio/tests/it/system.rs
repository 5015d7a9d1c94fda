use grafikarsa_devstack::testing::Stack;
use serde_json::json;

use crate::support::TestApp;

#[tokio::test]
async fn health_is_outside_of_the_envelope() {
    let app = TestApp::spawn().await;
    let answer = app.get("/api/v1/health").await;
    assert_eq!((answer.status, answer.body), (200, json!({ "status": "ok" })));
}

#[tokio::test]
async fn health_says_that_the_database_cannot_be_reached() {
    let mut app = TestApp::on(Stack::with_own_servers().await, &[]).await;
    app.stack.own.postgres.as_mut().unwrap().kill().await.unwrap();
    let answer = app.get("/api/v1/health").await;
    assert_eq!((answer.status, answer.body), (503, json!({ "status": "unavailable" })));
    // Everything else says in its envelope that it may be repeated.
    app.get("/api/v1/jurusan").await.fails(503, "SERVICE_UNAVAILABLE");
}

#[tokio::test]
async fn the_document_and_its_page_are_served_without_any_other_host() {
    let app = TestApp::spawn().await;
    let document = app.get("/api/v1/openapi.json").await;
    assert_eq!((document.status, document.body.is_object()), (200, true));
    let page = app.get("/api/v1/docs").await;
    assert_eq!(page.status, 200);
    assert!(page.headers["content-type"].to_str().unwrap().starts_with("text/html"));
    let html = include_str!("../../src/docs.html");
    assert!(!html.contains("http://") && !html.contains("https://"));
}

#[tokio::test]
async fn unknown_routes_and_methods_are_in_the_envelope() {
    let app = TestApp::spawn().await;
    app.get("/api/v1/nowhere").await.fails(404, "NOT_FOUND");
    app.admin().delete("/api/v1/feed").await.fails(405, "METHOD_NOT_ALLOWED");
    let answer = app.get("/api/v1/nowhere").await;
    assert!(answer.headers.contains_key("x-request-id"));
}
