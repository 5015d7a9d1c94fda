use futures_util::future::join_all;
use reqwest::{Method, header};
use serde_json::json;
use uuid::Uuid;

use crate::{
    files,
    support::{Promise, TestApp, eventually, wish},
};

#[tokio::test]
async fn a_promise_says_where_and_how_to_put_the_file() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let answer = app.presign(&siti, &wish("avatar", "image/webp", 1000, None)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let data = &answer.body["data"];
    let key = data["object_key"].as_str().unwrap();
    assert!(key.starts_with(&format!("avatars/{}/", siti.id)), "{key}");
    assert_eq!(key.rsplit('.').next(), Some("webp"));
    let url = data["presigned_url"].as_str().unwrap();
    assert!(url.starts_with(app.stack.nginx().await.as_str()), "{url}");
    assert!(!url.contains(key), "staging is not the published key");
    assert_eq!(data["expires_in"], 900);
    assert_eq!(data["method"], "PUT");
    assert_eq!(data["headers"], json!({ "Content-Type": "image/webp" }));
    assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
}

#[tokio::test]
async fn the_address_takes_the_promised_file_more_than_once_and_no_other() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let bytes = files::png(40, 40);
    let promise = app.promise(&siti, "avatar", "image/png", bytes.len(), None).await;
    let other_type = Promise { mime: "text/html".to_owned(), ..promise.clone() };
    let refused = [403, 411, 413, 415];
    assert!(refused.contains(&app.put(&other_type, &bytes).await), "another type");
    assert!(refused.contains(&app.put(&promise, &[&bytes[..], b"x"].concat()).await), "another length");
    let other_key =
        Promise { url: promise.url.replace(&promise.id.to_string(), &Uuid::now_v7().to_string()), ..promise.clone() };
    assert_eq!(app.put(&other_key, &bytes).await, 403, "another key");
    assert_eq!(app.put(&promise, &bytes).await, 200);
    assert_eq!(app.put(&promise, &bytes).await, 200, "the web server's second attempt");
}

#[tokio::test]
async fn a_guest_cannot_upload() {
    let app = TestApp::spawn().await;
    let body = wish("avatar", "image/png", 10, None);
    let answer = app.media(Method::POST, "/api/v1/uploads/presign", None).json(&body).send().await;
    assert_eq!(answer.error(), (401, "UNAUTHORIZED"));
}

#[tokio::test]
async fn every_broken_field_is_named() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let answer = app.presign(&siti, &json!({})).await;
    assert_eq!(answer.error(), (422, "VALIDATION_ERROR"));
    assert_eq!(answer.fields(), ["upload_type", "filename", "content_type", "file_size"]);
    let answer = app.presign(&siti, &wish("thumbnail", "image/png", 0, None)).await;
    assert_eq!(answer.error(), (422, "VALIDATION_ERROR"));
    assert_eq!(answer.fields(), ["file_size", "portfolio_id"]);
    let broken = json!({ "upload_type": "avatar", "portfolio_id": "x" });
    assert_eq!(app.presign(&siti, &broken).await.error(), (400, "VALIDATION_ERROR"));
}

#[tokio::test]
async fn size_and_type_are_refused_with_their_own_codes() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let large = app.presign(&siti, &wish("avatar", "image/png", 5_242_881, None)).await;
    assert_eq!(large.error(), (400, "FILE_TOO_LARGE"));
    assert_eq!(large.fields(), ["file_size"]);
    for mime in ["image/svg+xml", "text/html", "image/gif"] {
        let answer = app.presign(&siti, &wish("avatar", mime, 10, None)).await;
        assert_eq!(answer.error(), (400, "INVALID_CONTENT_TYPE"), "{mime}");
        assert_eq!(answer.fields(), ["content_type"]);
    }
}

#[tokio::test]
async fn only_the_owner_and_managers_upload_into_a_portfolio() {
    let app = TestApp::spawn().await;
    let (siti, budi) = (app.student("siti").await, app.student("budi").await);
    let portfolio = app.portfolio_of(&siti).await;
    let into = |portfolio| wish("portfolio_image", "image/png", 10, Some(portfolio));
    assert_eq!(app.presign(&siti, &into(portfolio)).await.status, 200);
    assert_eq!(app.presign(&app.admin, &into(portfolio)).await.status, 200);
    assert_eq!(app.presign(&budi, &into(portfolio)).await.error(), (403, "FORBIDDEN"));
    assert_eq!(app.presign(&siti, &into(Uuid::now_v7())).await.error(), (404, "PORTFOLIO_NOT_FOUND"));
}

#[tokio::test]
async fn a_holder_of_portfolios_uploads_into_everybodys_and_another_holder_does_not() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let (tata, tono) = (app.holder("tata", "portfolios").await, app.holder("tono", "moderation").await);
    let portfolio = app.portfolio_of(&siti).await;
    app.publish(&siti, portfolio).await;
    for kind in ["thumbnail", "portfolio_image"] {
        let refused = app.presign(&tono, &wish(kind, "image/png", 10, Some(portfolio))).await;
        assert_eq!(refused.error(), (403, "FORBIDDEN"));
        let promise = app.upload(&tata, kind, "image/png", &files::png(40, 40), Some(portfolio)).await;
        // Under the portfolio, whoever uploads.
        assert!(promise.key.contains(&format!("/{portfolio}/")), "{}", promise.key);
    }
    let path = format!("/api/v1/portfolios/id/{portfolio}");
    let detail = app.door(Method::GET, &path, Some(&siti)).send().await.body["data"].clone();
    assert!(detail["thumbnail_url"].as_str().is_some_and(|url| url.contains("/thumbnails/")), "{detail}");
    assert_eq!(detail["status"], "published", "a manager's change needs no review");
}

#[tokio::test]
async fn a_right_that_was_withdrawn_since_the_promise_is_gone() {
    let app = TestApp::spawn().await;
    let (siti, tata) = (app.student("siti").await, app.holder("tata", "portfolios").await);
    let portfolio = app.portfolio_of(&siti).await;
    let bytes = files::png(40, 40);
    let promise = app.promise(&tata, "thumbnail", "image/png", bytes.len(), Some(portfolio)).await;
    assert_eq!(app.put(&promise, &bytes).await, 200);
    sqlx::query("delete from user_special_roles").execute(&app.stack.pool("portfolio").await).await.unwrap();
    // portfolio may know the right for some seconds more.
    let path = format!("/api/v1/portfolios/id/{portfolio}");
    eventually("the right is gone", async || app.door(Method::GET, &path, Some(&tata)).send().await.status == 403)
        .await;
    assert_eq!(app.confirm(&tata, &promise).await.error(), (403, "FORBIDDEN"));
    assert_eq!(app.count("select count(*) from objects").await, 0);
}

#[tokio::test]
async fn a_block_must_be_one_of_the_portfolio() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let portfolio = app.portfolio_of(&siti).await;
    let mut body = wish("portfolio_image", "image/png", 10, Some(portfolio));
    body["block_id"] = json!(Uuid::now_v7());
    assert_eq!(app.presign(&siti, &body).await.error(), (404, "NOT_FOUND"));
}

#[tokio::test]
async fn sixty_uploads_may_wait_for_their_confirmation() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let body = wish("avatar", "image/png", 10, None);
    let answers = join_all((0..70).map(|_| app.presign(&siti, &body))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 60);
    let refused = answers.iter().find(|answer| answer.status == 429).unwrap();
    assert_eq!(refused.error(), (429, "TOO_MANY_REQUESTS"));
    let seconds: u64 = refused.headers[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
    assert!((1..=1800).contains(&seconds), "{seconds}");
    // Another person is not held up.
    assert_eq!(app.presign(&app.admin, &body).await.status, 200);
}

#[tokio::test]
async fn a_user_gets_a_hundred_and_twenty_promises_a_minute() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let body = wish("avatar", "image/png", 10, None);
    for _ in 0..3 {
        let answers = join_all((0..40).map(|_| app.presign(&siti, &body))).await;
        assert!(answers.iter().all(|answer| answer.status == 200));
        app.sql("delete from uploads").await;
    }
    let refused = app.presign(&siti, &body).await;
    assert_eq!(refused.error(), (429, "TOO_MANY_REQUESTS"));
    let seconds: u64 = refused.headers[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn a_file_name_is_not_logged() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let mut body = wish("avatar", "image/png", 10, None);
    body["filename"] = json!("rahasia-keluarga.png");
    assert_eq!(app.presign(&siti, &body).await.status, 200);
    let log = app.stack.log("media");
    assert!(log.contains("an upload was promised"), "{log}");
    assert!(!log.contains("rahasia-keluarga") && !log.contains("Signature"), "{log}");
}
