use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::TestApp;

const LINKS: &str = "/api/v1/me/social-links";

fn links(pairs: &[(&str, &str)]) -> Value {
    let links: Vec<Value> = pairs.iter().map(|(platform, url)| json!({ "platform": platform, "url": url })).collect();
    json!({ "social_links": links })
}

#[tokio::test]
async fn the_whole_list_is_replaced_and_keeps_its_order() {
    let app = TestApp::spawn().await;
    let budi = app.student("budi").await;
    let sent = links(&[("youtube", "https://youtube.com/@budi"), ("github", " github.com/budi ")]);
    let stored = json!([
        { "platform": "youtube", "url": "https://youtube.com/@budi" },
        { "platform": "github", "url": "https://github.com/budi" },
    ]);
    assert_eq!(budi.put(LINKS, &sent).await.data(200)["social_links"], stored);
    assert_eq!(budi.get("/api/v1/me").await.data(200)["social_links"], stored);
    assert_eq!(app.get("/api/v1/users/budi").await.data(200)["social_links"], stored);
    let other = links(&[("github", "https://github.com/lain")]);
    budi.put(LINKS, &other).await.data(200);
    assert_eq!(budi.get("/api/v1/me").await.data(200)["social_links"], other["social_links"]);
    assert_eq!(budi.put(LINKS, &json!({ "social_links": [] })).await.data(200), json!({ "social_links": [] }));
    assert_eq!(budi.get("/api/v1/me").await.data(200)["social_links"], json!([]));
}

#[tokio::test]
async fn a_broken_call_cannot_wipe_the_list() {
    let app = TestApp::spawn().await;
    let budi = app.student("budi").await;
    let good = links(&[("github", "https://github.com/budi")]);
    budi.put(LINKS, &good).await.data(200);
    assert_eq!(budi.put(LINKS, &json!({})).await.broken(), ["social_links"]);
    assert_eq!(budi.put(LINKS, &json!({ "social_links": null })).await.broken(), ["social_links"]);
    for (wrong, field) in [
        (json!({ "social_links": "x" }), "social_links"),
        (json!({ "social_links": [1] }), "social_links[0]"),
        (json!({ "social_links": [{ "platform": "github", "url": 1 }] }), "social_links[0].url"),
    ] {
        let answer = budi.put(LINKS, &wrong).await;
        answer.fails(400, "VALIDATION_ERROR");
        assert_eq!(answer.details(), [field]);
    }
    budi.raw(Method::PUT, LINKS, "application/json", "[]").await.fails(400, "VALIDATION_ERROR");
    assert_eq!(budi.get("/api/v1/me").await.data(200)["social_links"], good["social_links"]);
}

#[tokio::test]
async fn broken_links_are_named_by_their_place() {
    let app = TestApp::spawn().await;
    let budi = app.student("budi").await;
    let sent = links(&[
        ("github", "javascript:alert(1)"),
        ("myspace", "https://myspace.com/budi"),
        ("youtube", "https://youtube.com/a"),
        ("youtube", "https://youtube.com/b"),
        ("medium", &format!("https://medium.com/{}", "x".repeat(500))),
        ("gitlab", ""),
    ]);
    let broken = budi.put(LINKS, &sent).await.broken();
    assert_eq!(
        broken,
        [
            "social_links[0].url",
            "social_links[1].platform",
            "social_links[3].platform",
            "social_links[4].url",
            "social_links[5].url",
        ]
    );
    let many: Vec<(&str, &str)> = vec![("github", "https://github.com/x"); 15];
    assert_eq!(budi.put(LINKS, &links(&many)).await.broken(), ["social_links"]);
}

#[tokio::test]
async fn two_replacements_at_once_leave_one_of_the_lists() {
    let app = TestApp::spawn().await;
    let budi = app.student("budi").await;
    let (a, b) = (
        links(&[("github", "https://github.com/a"), ("youtube", "https://youtube.com/a")]),
        links(&[("youtube", "https://youtube.com/b"), ("gitlab", "https://gitlab.com/b")]),
    );
    for _ in 0..5 {
        for answer in join_all([&a, &b, &a, &b].map(|list| budi.put(LINKS, list))).await {
            answer.data(200);
        }
        let stored = &budi.get("/api/v1/me").await.data(200)["social_links"];
        assert!(*stored == a["social_links"] || *stored == b["social_links"], "{stored}");
    }
}
