use proto_events::media::v1::{ObjectDeleted, UploadConfirmed};
use serde_json::json;
use uuid::Uuid;

use crate::support::{Portfolio, TestApp, User, new_user};

fn upload(app: &TestApp, kind: &str, owner: &User, portfolio: Option<&Portfolio>) -> UploadConfirmed {
    let (folder, place) = match kind {
        "avatar" => ("avatars", owner.id),
        "banner" => ("banners", owner.id),
        _ => ("thumbnails", portfolio.unwrap().id),
    };
    let object_key = format!("{folder}/{place}/{}.webp", Uuid::now_v7());
    UploadConfirmed {
        upload_id: Uuid::now_v7().to_string(),
        kind: kind.to_owned(),
        owner_id: owner.id.to_string(),
        portfolio_id: portfolio.map(|portfolio| portfolio.id.to_string()),
        block_id: None,
        url: format!("{}/{object_key}", app.storage),
        object_key,
        content_type: "image/webp".to_owned(),
        size: 1000,
        width: 640,
        height: 480,
        placeholder: String::new(),
        variants: Vec::new(),
    }
}

fn deleted(upload: &UploadConfirmed) -> ObjectDeleted {
    ObjectDeleted {
        object_key: upload.object_key.clone(),
        url: upload.url.clone(),
        kind: upload.kind.clone(),
        owner_id: upload.owner_id.clone(),
        portfolio_id: upload.portfolio_id.clone(),
    }
}

#[tokio::test]
async fn a_confirmed_avatar_is_shown_and_its_deletion_clears_it() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let (first, second) = (upload(&app, "avatar", &siti, None), upload(&app, "avatar", &siti, None));
    app.media_says(&first).await;
    assert_eq!(siti.get("/api/v1/me").await.data(200)["avatar_url"], json!(first.url));
    app.media_says(&second).await;
    assert_eq!(siti.get("/api/v1/me").await.data(200)["avatar_url"], json!(second.url));
    assert_eq!(app.count("select count(*) from outbox where event_type = 'media.released'").await, 1);
    app.media_says(&deleted(&first)).await;
    assert_eq!(siti.get("/api/v1/me").await.data(200)["avatar_url"], json!(second.url));
    app.media_says(&deleted(&second)).await;
    assert_eq!(siti.get("/api/v1/me").await.data(200)["avatar_url"], json!(null));
    let banner = upload(&app, "banner", &siti, None);
    app.media_says(&banner).await;
    assert_eq!(siti.get("/api/v1/me").await.data(200)["banner_url"], json!(banner.url));
}

#[tokio::test]
async fn a_confirmed_thumbnail_is_a_content_change_and_may_be_sent_back() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let portfolio = siti.published("Karya", app.admin()).await;
    let first = upload(&app, "thumbnail", &siti, Some(&portfolio));
    app.media_says(&first).await;
    let data = siti.get(&portfolio.by_id()).await.data(200);
    assert_eq!((&data["thumbnail_url"], &data["status"]), (&json!(first.url), &json!("draft")));
    siti.patch(&portfolio.path(""), &json!({ "thumbnail_url": first.url })).await.data(200);
    siti.patch(&portfolio.path(""), &json!({ "thumbnail_url": null })).await.data(200);
    assert_eq!(siti.get(&portfolio.by_id()).await.data(200)["thumbnail_url"], json!(null));
    siti.patch(&portfolio.path(""), &json!({ "thumbnail_url": first.url })).await.data(200);
    let other = siti.draft("Lain").await;
    let foreign = siti.patch(&other.path(""), &json!({ "thumbnail_url": first.url })).await;
    assert_eq!(foreign.broken(), ["thumbnail_url"]);
    app.media_says(&deleted(&first)).await;
    assert_eq!(siti.get(&portfolio.by_id()).await.data(200)["thumbnail_url"], json!(null));
    let gone = siti.patch(&portfolio.path(""), &json!({ "thumbnail_url": first.url })).await;
    assert_eq!(gone.broken(), ["thumbnail_url"]);
}

#[tokio::test]
async fn a_managers_thumbnail_keeps_the_status() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let portfolio = siti.published("Karya", app.admin()).await;
    app.media_says(&upload(&app, "thumbnail", app.admin(), Some(&portfolio))).await;
    assert_eq!(siti.status_of(&portfolio).await, "published");
}

#[tokio::test]
async fn a_picture_in_the_user_form_goes_to_the_new_user_and_the_actors_own_returns() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let own = upload(&app, "avatar", admin, None);
    app.media_says(&own).await;
    // Two pictures in a row for two others: the own one is the one before both.
    for username in ["budi", "siti"] {
        let picture = upload(&app, "avatar", admin, None);
        app.media_says(&picture).await;
        let body = new_user(json!({ "username": username, "avatar_url": picture.url }));
        let data = admin.post("/api/v1/admin/users", &body).await.data(201);
        assert_eq!(data["avatar_url"], json!(picture.url));
        assert_eq!(admin.get("/api/v1/me").await.data(200)["avatar_url"], json!(own.url));
    }
}
