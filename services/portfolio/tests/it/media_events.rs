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
        deleted_by: None,
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
async fn a_late_confirmation_does_not_bring_an_older_picture_back() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let portfolio = siti.draft("Karya").await;
    let released = async || app.count("select count(*) from outbox where event_type = 'media.released'").await;
    for (number, kind) in ["avatar", "banner", "thumbnail"].into_iter().enumerate() {
        let place = (kind == "thumbnail").then_some(&portfolio);
        let shown = async || match kind {
            "thumbnail" => siti.get(&portfolio.by_id()).await.data(200)["thumbnail_url"].clone(),
            _ => siti.get("/api/v1/me").await.data(200)[format!("{kind}_url")].clone(),
        };
        let (older, newer) = (upload(&app, kind, &siti, place), upload(&app, kind, &siti, place));
        let (oldest, newest) = (upload(&app, kind, &siti, place), upload(&app, kind, &siti, place));
        app.media_said(&newer, 10).await;
        app.media_said(&older, 20).await;
        assert_eq!(shown().await, json!(newer.url), "{kind}");
        // Nobody shows it, and nobody ever will by itself.
        assert_eq!(released().await, 2 * i64::try_from(number).unwrap() + 1);
        app.media_said(&deleted(&newer), 5).await;
        app.media_said(&oldest, 30).await;
        assert_eq!(shown().await, json!(null), "{kind}: what replaced it was deleted since");
        app.media_said(&newest, 1).await;
        assert_eq!(shown().await, json!(newest.url), "{kind}");
    }
}

#[tokio::test]
async fn what_the_owner_has_chosen_since_outlives_a_late_confirmation() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let portfolio = siti.draft("Karya").await;
    let shown = async || siti.get(&portfolio.by_id()).await.data(200)["thumbnail_url"].clone();
    let choose = async |url: serde_json::Value| {
        siti.patch(&portfolio.path(""), &json!({ "thumbnail_url": url })).await.data(200);
    };
    // Cleared, though there was none yet.
    choose(json!(null)).await;
    app.media_said(&upload(&app, "thumbnail", &siti, Some(&portfolio)), 10).await;
    assert_eq!(shown().await, json!(null));
    let (first, second) =
        (upload(&app, "thumbnail", &siti, Some(&portfolio)), upload(&app, "thumbnail", &siti, Some(&portfolio)));
    app.media_says(&first).await;
    app.media_says(&second).await;
    choose(json!(first.url)).await;
    app.media_said(&upload(&app, "thumbnail", &siti, Some(&portfolio)), 10).await;
    assert_eq!(shown().await, json!(first.url));
    // A patch that does not speak of it chooses nothing.
    siti.patch(&portfolio.path(""), &json!({ "judul": "Lain" })).await.data(200);
    let third = upload(&app, "thumbnail", &siti, Some(&portfolio));
    app.media_says(&third).await;
    assert_eq!(shown().await, json!(third.url));
}

#[tokio::test]
async fn a_deletion_does_not_clear_the_thumbnail_that_is_just_taking_its_place() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let portfolio = siti.draft("Karya").await;
    let (old, new) =
        (upload(&app, "thumbnail", &siti, Some(&portfolio)), upload(&app, "thumbnail", &siti, Some(&portfolio)));
    app.media_says(&old).await;
    let mut tx = app.pool.begin().await.unwrap();
    sqlx::query("update portfolios set thumbnail_url = $2 where id = $1")
        .bind(portfolio.id)
        .bind(&new.url)
        .execute(&mut *tx)
        .await
        .unwrap();
    let event = deleted(&old);
    tokio::join!(app.media_says(&event), async {
        app.somebody_waits_for_a_lock().await;
        tx.commit().await.unwrap();
    });
    assert_eq!(siti.get(&portfolio.by_id()).await.data(200)["thumbnail_url"], json!(new.url));
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
async fn a_picture_in_the_user_form_is_the_actors_own_by_its_exact_address() {
    let app = TestApp::spawn().await;
    let admin = app.admin();
    let picture = upload(&app, "avatar", admin, None);
    let banner = upload(&app, "banner", admin, None);
    app.media_says(&picture).await;
    app.media_says(&banner).await;
    let users = "/api/v1/admin/users";
    let wrong = [
        json!("x"),
        json!("\u{0}"),
        json!(app.storage),
        json!(format!("{}/", app.storage)),
        json!(format!("{}/../internal/accounts", app.storage)),
        json!(format!("{}/avatars/{}/x.webp", app.storage, admin.id)),
        json!(format!("{}/avatars/{}/%00.webp", app.storage, admin.id)),
        json!(format!("{}\u{0}", picture.url)),
        json!(format!("{}?w=64", picture.url)),
        json!(format!("{}#x", picture.url)),
        json!(format!("{}/x", picture.url)),
        json!(picture.url.to_uppercase()),
        json!(picture.url.replace("/avatars/", "//avatars/")),
        json!(picture.url.replace("/avatars/", "/avatars/%2e/")),
        json!(banner.url),
        json!("x".repeat(100_000)),
    ];
    for url in wrong {
        let body = new_user(json!({ "username": "budi", "avatar_url": url }));
        assert_eq!(admin.post(users, &body).await.broken(), ["avatar_url"], "{url:.80}");
    }
    // Nobody gives what somebody else has uploaded.
    let tata = app.holder("tata", &["users"]).await;
    let theirs = upload(&app, "avatar", &tata, None);
    app.media_says(&theirs).await;
    let body = new_user(json!({ "username": "siti", "avatar_url": theirs.url }));
    assert_eq!(admin.post(users, &body).await.broken(), ["avatar_url"]);
}
