//! Pictures of changelogs, which portfolio hands over.

use data_encoding::BASE64;
use image::ImageFormat;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    files,
    support::{Answer, TestApp, eventually},
};

async fn store(app: &TestApp, changelog: Uuid, bytes: Vec<u8>) -> Answer {
    app.internal(Method::POST, &format!("/internal/changelogs/{changelog}/images")).body(bytes).send().await
}

#[tokio::test]
async fn a_picture_is_stored_as_what_it_is_and_served_to_everybody() {
    let app = TestApp::spawn().await;
    let changelog = Uuid::now_v7();
    for (format, mime) in
        [(ImageFormat::Png, "image/png"), (ImageFormat::WebP, "image/webp"), (ImageFormat::Gif, "image/gif")]
    {
        let stored = store(&app, changelog, files::picture(80, 40, format)).await;
        assert_eq!(stored.status, 200, "{stored:?}");
        let data = &stored.body["data"];
        let key = data["object_key"].as_str().unwrap();
        assert!(key.starts_with(&format!("changelog-images/{changelog}/")), "{key}");
        assert!(data["url"].as_str().unwrap().ends_with(key));
        assert_eq!((&data["width"], &data["height"], &data["content_type"]), (&json!(80), &json!(40), &json!(mime)));
        assert_ne!(data["placeholder"], Value::String(String::new()));
        assert_eq!(app.storage(key).await.header("content-type"), mime);
        // They go with their changelog, not by the route of uploads.
        let path = format!("/api/v1/uploads/{key}");
        let refused = app.media(Method::DELETE, &path, Some(&app.admin)).send().await;
        assert_eq!(refused.error(), (400, "VALIDATION_ERROR"));
    }
    let camera = store(&app, changelog, files::CAMERA.to_vec()).await;
    let key = camera.body["data"]["object_key"].as_str().unwrap();
    let shown = app.storage(key).await;
    assert!(!shown.bytes.windows(4).any(|window| window == b"Exif"), "the position is gone");
}

#[tokio::test]
async fn what_is_no_picture_is_refused_and_leaves_nothing() {
    let app = TestApp::spawn().await;
    let changelog = Uuid::now_v7();
    let svg = b"<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"alert(1)\"/>".to_vec();
    let mut torn = files::png(300, 300);
    torn.truncate(torn.len() / 2);
    for (bytes, code) in [
        (svg, "INVALID_CONTENT_TYPE"),
        (files::PDF.to_vec(), "INVALID_CONTENT_TYPE"),
        (Vec::new(), "VALIDATION_ERROR"),
        (torn, "INVALID_FILE"),
        (files::bomb(), "INVALID_FILE"),
        (vec![0; 10 * 1024 * 1024 + 1], "FILE_TOO_LARGE"),
    ] {
        assert_eq!(store(&app, changelog, bytes).await.error(), (400, code));
    }
    for table in ["select count(*) from objects", "select count(*) from uploads"] {
        assert_eq!(app.count(table).await, 0, "{table}");
    }
}

#[tokio::test]
async fn only_the_other_services_can_store_one() {
    let app = TestApp::spawn().await;
    let path = format!("/internal/changelogs/{}/images", Uuid::now_v7());
    let url = app.media.internal_url().join(&path).unwrap();
    let answer = app.http.post(url).bearer_auth(&app.admin.token).body(files::png(8, 8)).send().await.unwrap();
    assert_eq!(answer.status(), 401);
    assert_eq!(app.door(Method::POST, &path, Some(&app.admin)).send().await.status, 404);
    // Nobody is promised a place for one, either.
    let wish =
        json!({ "upload_type": "changelog_image", "filename": "x", "content_type": "image/png", "file_size": 9 });
    assert_eq!(app.presign(&app.admin, &wish).await.fields(), ["upload_type"]);
}

#[tokio::test]
async fn a_sweep_leaves_them_until_their_changelog_lets_go() {
    let app = TestApp::spawn().await;
    let path = "/api/v1/admin/changelogs";
    let image = |url: &str| json!({ "block_type": "image", "payload": { "url": url, "caption": "" } });
    let picture = format!("data:image/png;base64,{}", BASE64.encode(&files::png(80, 40)));
    let form = json!({
        "version": "1.0.0",
        "title": "Rilis pertama",
        "sections": [{ "category": "added", "blocks": [image(&picture), image(&picture), image(&picture)] }],
        "contributors": [{ "user_id": app.admin.id, "contribution": "Semua" }],
    });
    let post = async || app.door(Method::POST, path, Some(&app.admin)).json(&form).send().await;
    let mut made = post().await;
    // The admin's own copy may still be on its way to portfolio.
    eventually("the admin is known", async || {
        if made.status != 201 {
            made = post().await;
        }
        made.status == 201
    })
    .await;
    let changelog = &made.body["data"];
    let urls: Vec<&str> =
        (0..3).map(|n| changelog["sections"][0]["blocks"][n]["payload"]["url"].as_str().unwrap()).collect();
    let key = |n: usize| urls[n].split_once("/storage/").unwrap().1;
    let path = format!("{path}/{}", changelog["id"].as_str().unwrap());
    let released = "select count(*) from objects where released_at is not null";
    let days_later = "update objects set look_again_at = now() - interval '1 minute'";

    let kept = json!({ "sections": [{ "category": "added", "blocks": [image(urls[0]), image(urls[1])] }] });
    assert_eq!(app.door(Method::PATCH, &path, Some(&app.admin)).json(&kept).send().await.status, 200);
    eventually("one is released", async || app.count(released).await == 1).await;
    app.sweep("unreferenced").await;
    assert_eq!(app.storage(key(2)).await.status, 200, "a week has not passed");
    app.sql(days_later).await;
    app.sweep("unreferenced").await;
    for (n, status) in [(0, 200), (1, 200), (2, 404)] {
        assert_eq!(app.storage(key(n)).await.status, status, "{n}");
    }

    assert_eq!(app.door(Method::DELETE, &path, Some(&app.admin)).send().await.status, 200);
    eventually("the others are released", async || app.count(released).await == 3).await;
    app.sql(days_later).await;
    app.sweep("unreferenced").await;
    for n in 0..3 {
        assert_eq!(app.storage(key(n)).await.status, 404, "{n}");
    }
}

#[tokio::test]
async fn one_whose_changelog_was_never_saved_goes_after_its_days() {
    let app = TestApp::spawn().await;
    let stored = store(&app, Uuid::now_v7(), files::png(80, 40)).await;
    let key = stored.body["data"]["object_key"].as_str().unwrap();
    app.sweep("unreferenced").await;
    assert_eq!(app.storage(key).await.status, 200, "it may be saved in the next moment");
    app.sql("update objects set look_again_at = now() - interval '1 minute'").await;
    app.sweep("unreferenced").await;
    assert_eq!(app.storage(key).await.status, 404);
}
