use futures_util::future::join_all;
use image::ImageFormat;
use reqwest::Method;
use serde_json::json;
use std::io::Cursor;
use uuid::Uuid;

use crate::{
    files,
    support::{Promise, TestApp},
};

#[tokio::test]
async fn a_real_photograph_is_published_upright_without_position_or_camera() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let portfolio = app.portfolio_of(&siti).await;
    let promise = app.upload(&siti, "thumbnail", "image/jpeg", files::CAMERA, Some(portfolio)).await;
    let stored = app.storage(&promise.key).await;
    assert_eq!(stored.status, 200);
    assert_eq!(stored.header("content-type"), "image/jpeg");
    assert!(exif::Reader::new().read_from_container(&mut Cursor::new(&stored.bytes[..])).is_err());
    for secret in [&b"Exif"[..], b"Apple", b"GPS"] {
        assert!(!stored.bytes.windows(secret.len()).any(|window| window == secret));
    }
    assert_eq!(app.count("select count(*) from variants").await, 3);
    assert_eq!(app.count("select count(*) from objects where length(placeholder) > 20 and width = 2448").await, 1);
}

#[tokio::test]
async fn an_avatar_is_the_users_picture_before_the_answer() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let bytes = files::png(300, 300);
    let (promise, answer) = app.attempt(&siti, "avatar", "image/png", &bytes).await;
    let me = app.door(Method::GET, "/api/v1/me", Some(&siti)).send().await;
    let url = format!("{}storage/{}", app.stack.nginx().await, promise.key);
    assert_eq!(me.body["data"]["avatar_url"], url);
    let mut data = answer.body["data"].clone();
    let placeholder = data.as_object_mut().unwrap().remove("placeholder");
    assert!(placeholder.unwrap().as_str().is_some_and(|hash| (20..60).contains(&hash.len())));
    assert_eq!(
        data,
        json!({ "type": "avatar", "url": url, "object_key": promise.key, "portfolio_id": null, "block_id": null })
    );
    // And the address works, through nginx.
    assert_eq!(app.http.get(&url).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_thumbnail_is_the_portfolios_picture_before_the_answer() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let portfolio = app.portfolio_of(&siti).await;
    let promise = app.upload(&siti, "thumbnail", "image/png", &files::png(300, 200), Some(portfolio)).await;
    let path = format!("/api/v1/portfolios/id/{portfolio}");
    let detail = app.door(Method::GET, &path, Some(&siti)).send().await;
    assert!(detail.body["data"]["thumbnail_url"].as_str().unwrap().ends_with(&promise.key), "{detail:?}");
}

#[tokio::test]
async fn exactly_one_of_parallel_confirmations_wins() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let promise = app.promise(&siti, "avatar", "image/jpeg", files::CAMERA.len(), None).await;
    assert_eq!(app.put(&promise, files::CAMERA).await, 200);
    let answers = join_all((0..8).map(|_| app.confirm(&siti, &promise))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1, "{answers:?}");
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        assert_eq!(answer.error(), (400, "UPLOAD_ALREADY_CONFIRMED"));
    }
    assert_eq!(app.count("select count(*) from outbox where event_type = 'upload.confirmed'").await, 1);
}

#[tokio::test]
async fn refusals_come_in_the_order_of_the_contract() {
    let app = TestApp::spawn().await;
    let (siti, budi) = (app.student("siti").await, app.student("budi").await);
    let bytes = files::png(20, 20);
    let promise = app.promise(&siti, "avatar", "image/png", bytes.len(), None).await;
    let body = json!({ "upload_id": "x", "object_key": promise.key });
    let answer = app.media(Method::POST, "/api/v1/uploads/confirm", Some(&siti)).json(&body).send().await;
    assert_eq!(answer.error(), (400, "VALIDATION_ERROR"));
    let unknown = Promise { id: Uuid::now_v7(), ..promise.clone() };
    assert_eq!(app.confirm(&siti, &unknown).await.error(), (404, "UPLOAD_NOT_FOUND"));
    let elsewhere = Promise { key: promise.key.replace(".png", ".jpg"), ..promise.clone() };
    assert_eq!(app.confirm(&budi, &elsewhere).await.error(), (403, "FORBIDDEN"));
    assert_eq!(app.confirm(&siti, &elsewhere).await.error(), (400, "VALIDATION_ERROR"));
    assert_eq!(app.confirm(&siti, &promise).await.error(), (400, "OBJECT_NOT_FOUND"));
    // Which was no end: the file comes late.
    assert_eq!(app.put(&promise, &bytes).await, 200);
    assert_eq!(app.confirm(&siti, &promise).await.status, 200);
    assert_eq!(app.confirm(&siti, &elsewhere).await.error(), (400, "UPLOAD_ALREADY_CONFIRMED"));
    assert_eq!(app.confirm(&budi, &promise).await.error(), (403, "FORBIDDEN"));
}

#[tokio::test]
async fn half_an_hour_after_the_promise_it_is_too_late() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let bytes = files::png(20, 20);
    let promise = app.promise(&siti, "avatar", "image/png", bytes.len(), None).await;
    assert_eq!(app.put(&promise, &bytes).await, 200);
    app.sql("update uploads set created_at = now() - interval '31 minutes'").await;
    assert_eq!(app.confirm(&siti, &promise).await.error(), (404, "UPLOAD_NOT_FOUND"));
}

#[tokio::test]
async fn rights_lost_since_the_promise_are_lost() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let portfolio = app.portfolio_of(&siti).await;
    let bytes = files::png(20, 20);
    let promise = app.promise(&siti, "thumbnail", "image/png", bytes.len(), Some(portfolio)).await;
    assert_eq!(app.put(&promise, &bytes).await, 200);
    let deleted = app.door(Method::DELETE, &format!("/api/v1/portfolios/{portfolio}"), Some(&siti)).send().await;
    assert_eq!(deleted.status, 200);
    assert_eq!(app.confirm(&siti, &promise).await.error(), (404, "PORTFOLIO_NOT_FOUND"));
}

#[tokio::test]
async fn a_later_put_changes_nothing_that_is_published() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let bytes = files::png(30, 30);
    let promise = app.upload(&siti, "avatar", "image/png", &bytes, None).await;
    let before = app.storage(&promise.key).await;
    let mut other = files::png(30, 30);
    let middle = other.len() / 2;
    other[middle] ^= 0xff;
    app.put(&promise, &other).await;
    let after = app.storage(&promise.key).await;
    assert_eq!((after.status, &after.bytes), (200, &before.bytes));
    assert_eq!(app.confirm(&siti, &promise).await.error(), (400, "UPLOAD_ALREADY_CONFIRMED"));
}

#[tokio::test]
async fn an_animation_stays_one() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let gif = files::picture(20, 20, ImageFormat::Gif);
    let promise = app.upload(&siti, "banner", "image/gif", &gif, None).await;
    let stored = app.storage(&promise.key).await;
    assert_eq!(stored.header("content-type"), "image/gif");
    assert!(stored.bytes.starts_with(b"GIF89a"));
}

#[tokio::test]
async fn a_picture_for_a_message_belongs_to_its_uploader() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let promise = app.upload(&siti, "chat_image", "image/png", &files::png(20, 20), None).await;
    assert!(promise.key.starts_with(&format!("chat-images/{}/", siti.id)));
    assert_eq!(app.storage(&promise.key).await.status, 200);
}
