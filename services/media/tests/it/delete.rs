//! Objects that people delete.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    files,
    support::{Answer, Person, TestApp, eventually},
};

async fn delete(app: &TestApp, who: &Person, key: &str) -> Answer {
    app.door(Method::DELETE, &format!("/api/v1/uploads/{key}"), Some(who)).send().await
}

async fn picture(app: &TestApp, who: &Person, kind: &str, portfolio: Option<Uuid>) -> String {
    app.upload(who, kind, "image/png", &files::png(400, 300), portfolio).await.key
}

async fn detail(app: &TestApp, who: &Person, portfolio: Uuid) -> Value {
    let answer = app.door(Method::GET, &format!("/api/v1/portfolios/id/{portfolio}"), Some(who)).send().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body["data"].clone()
}

async fn add_block(app: &TestApp, who: &Person, portfolio: Uuid, block_type: &str, key: &str) -> Answer {
    let url = format!("{}storage/{key}", app.stack.nginx().await);
    let block = json!({ "block_type": block_type, "payload": { "url": url } });
    app.door(Method::POST, &format!("/api/v1/portfolios/{portfolio}/blocks"), Some(who)).json(&block).send().await
}

#[tokio::test]
async fn a_picture_of_a_person_is_gone_and_shown_nowhere_before_the_answer() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    for (kind, field) in [("avatar", "avatar_url"), ("banner", "banner_url")] {
        let key = picture(&app, &siti, kind, None).await;
        assert_eq!(app.storage(&key).await.status, 200);
        let answer = delete(&app, &siti, &key).await;
        assert_eq!((answer.status, &answer.body["data"]), (200, &Value::Null), "{answer:?}");
        let me = app.door(Method::GET, "/api/v1/me", Some(&siti)).send().await;
        assert_eq!(me.body["data"][field], Value::Null, "{kind}");
        let stored = app.storage(&key).await;
        assert_eq!((stored.status, stored.header("cache-control")), (404, "no-store"));
        assert_eq!(delete(&app, &siti, &key).await.error(), (404, "OBJECT_NOT_FOUND"));
        eventually("its bytes are removed", async || {
            !app.is_in_store(&key).await && !app.is_in_store(&format!("variants/64/{key}")).await
        })
        .await;
    }
    let unswept = "select count(*) from objects where swept_at is null";
    eventually("nothing is left for a sweep", async || app.count(unswept).await == 0).await;
}

#[tokio::test]
async fn slashes_may_be_escaped() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let key = picture(&app, &siti, "avatar", None).await;
    assert_eq!(delete(&app, &siti, &key.replace('/', "%2F")).await.status, 200);
    assert_eq!(app.storage(&key).await.status, 404);
}

#[tokio::test]
async fn keys_of_another_shape_or_folder_are_refused() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let key = app.upload(&siti, "chat_image", "image/png", &files::png(20, 20), None).await.key;
    let id = siti.id;
    for bad in [
        key.clone(),
        key.replace("chat-images", "changelog-images"),
        format!("staging/{id}"),
        format!("avatars/{id}"),
        format!("avatars%2F..%2F{id}%2F{id}.png"),
        format!("avatars/{id}/{id}.png%00"),
        format!("avatars/{id}/{id}"),
        format!("avatars//{id}/{id}.png"),
        format!("variants/64/avatars/{id}/{id}.png"),
        "x".to_owned(),
    ] {
        assert_eq!(delete(&app, &siti, &bad).await.error(), (400, "VALIDATION_ERROR"), "{bad}");
    }
    assert_eq!(delete(&app, &siti, &format!("avatars/{id}/{id}.png")).await.error(), (404, "OBJECT_NOT_FOUND"));
    assert_eq!(app.storage(&key).await.status, 200);
}

#[tokio::test]
async fn only_the_owner_and_staff_may_delete() {
    let app = TestApp::spawn().await;
    let (siti, budi) = (app.student("siti").await, app.student("budi").await);
    let manager = app.holder("guru", "portfolios").await;
    let portfolio = app.portfolio_of(&siti).await;
    let guest = |key: String| app.door(Method::DELETE, &format!("/api/v1/uploads/{key}"), None);

    let avatar = picture(&app, &siti, "avatar", None).await;
    assert_eq!(guest(avatar.clone()).send().await.error(), (401, "UNAUTHORIZED"));
    for other in [&budi, &manager] {
        assert_eq!(delete(&app, other, &avatar).await.error(), (403, "FORBIDDEN"));
    }
    assert_eq!(app.storage(&avatar).await.status, 200);
    assert_eq!(delete(&app, &app.admin, &avatar).await.status, 200);

    for who in [&siti, &manager, &app.admin] {
        let key = picture(&app, &siti, "portfolio_image", Some(portfolio)).await;
        assert_eq!(guest(key.clone()).send().await.error(), (401, "UNAUTHORIZED"));
        assert_eq!(delete(&app, &budi, &key).await.error(), (403, "FORBIDDEN"));
        assert_eq!(app.storage(&key).await.status, 200);
        assert_eq!(delete(&app, who, &key).await.status, 200);
        assert_eq!(app.storage(&key).await.status, 404);
    }
}

#[tokio::test]
async fn the_thumbnail_that_goes_is_a_content_change_by_whoever_deletes_it() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let manager = app.holder("guru", "portfolios").await;
    for (who, status) in [(&manager, "published"), (&siti, "draft")] {
        let portfolio = app.portfolio_of(&siti).await;
        let key = picture(&app, &siti, "thumbnail", Some(portfolio)).await;
        app.publish(&siti, portfolio).await;
        assert_eq!(delete(&app, who, &key).await.status, 200);
        let after = detail(&app, &siti, portfolio).await;
        assert_eq!((&after["thumbnail_url"], &after["status"]), (&Value::Null, &json!(status)));
    }
}

#[tokio::test]
async fn what_a_block_shows_stays_until_the_block_is_gone() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let portfolio = app.portfolio_of(&siti).await;
    let image = picture(&app, &siti, "portfolio_image", Some(portfolio)).await;
    let pdf = app.upload(&siti, "document", "application/pdf", files::PDF, Some(portfolio)).await.key;
    for (block_type, key) in [("image", &image), ("pdf", &pdf)] {
        let block = add_block(&app, &siti, portfolio, block_type, key).await;
        assert_eq!(block.status, 201, "{block:?}");
        for who in [&siti, &app.admin] {
            assert_eq!(delete(&app, who, key).await.error(), (409, "OBJECT_IN_USE"));
        }
        assert!(app.is_in_store(key).await);
        let path = format!("/api/v1/portfolios/{portfolio}/blocks/{}", block.body["data"]["id"].as_str().unwrap());
        assert_eq!(app.door(Method::DELETE, &path, Some(&siti)).send().await.status, 200);
        assert_eq!(delete(&app, &siti, key).await.status, 200);
    }
    // And no block takes a document that is gone.
    assert_eq!(add_block(&app, &siti, portfolio, "pdf", &pdf).await.error(), (422, "VALIDATION_ERROR"));
}

#[tokio::test]
async fn what_is_left_of_a_deleted_portfolio_is_for_admins() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let manager = app.holder("guru", "portfolios").await;
    let portfolio = app.portfolio_of(&siti).await;
    let key = picture(&app, &siti, "portfolio_image", Some(portfolio)).await;
    let path = format!("/api/v1/portfolios/{portfolio}");
    assert_eq!(app.door(Method::DELETE, &path, Some(&siti)).send().await.status, 200);
    for who in [&siti, &manager] {
        assert_eq!(delete(&app, who, &key).await.error(), (404, "PORTFOLIO_NOT_FOUND"));
    }
    assert_eq!(delete(&app, &app.admin, &key).await.status, 200);
}

#[tokio::test]
async fn exactly_one_of_parallel_deletions_wins_and_is_told() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let key = picture(&app, &siti, "avatar", None).await;
    let answers = join_all((0..8).map(|_| delete(&app, &siti, &key))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1, "{answers:?}");
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        assert_eq!(answer.error(), (404, "OBJECT_NOT_FOUND"));
    }
    assert_eq!(app.count("select count(*) from outbox where event_type = 'object.deleted'").await, 1);
}

#[tokio::test]
async fn without_portfolio_nothing_is_deleted() {
    let mut app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let key = picture(&app, &siti, "avatar", None).await;
    app.portfolio.kill().await;
    assert_eq!(delete(&app, &siti, &key).await.error(), (503, "SERVICE_UNAVAILABLE"));
    assert_eq!(app.storage(&key).await.status, 200);
    app.portfolio.restart().await;
    assert_eq!(delete(&app, &siti, &key).await.status, 200);
    let me = app.door(Method::GET, "/api/v1/me", Some(&siti)).send().await;
    assert_eq!(me.body["data"]["avatar_url"], Value::Null);
}
