//! `?w=`.

use futures_util::future::join_all;
use image::ImageFormat;

use crate::{files, support::TestApp};

#[tokio::test]
async fn a_picture_is_scaled_down_in_its_own_format_and_kept() {
    let app = TestApp::spawn().await;
    for (format, mime) in
        [(ImageFormat::Png, "image/png"), (ImageFormat::WebP, "image/webp"), (ImageFormat::Gif, "image/gif")]
    {
        let bytes = files::picture(800, 400, format);
        let key = app.upload(&app.admin, "banner", mime, &bytes, None).await.key;
        let scaled = app.storage(&format!("{key}?w=320")).await;
        assert_eq!((scaled.status, scaled.header("content-type")), (200, mime));
        let size = image::load_from_memory(&scaled.bytes).unwrap();
        let expected = if format == ImageFormat::Gif { (800, 400) } else { (320, 160) };
        assert_eq!((size.width(), size.height()), expected, "{mime}");
        let again = app.storage(&format!("{key}?w=320")).await;
        assert_eq!((again.header("etag"), &again.bytes), (scaled.header("etag"), &scaled.bytes));
        assert_eq!(again.header("cache-control"), "public, max-age=31536000, immutable");
    }
    assert_eq!(app.count("select count(*) from variants").await, 2);
}

#[tokio::test]
async fn the_real_photograph_is_scaled_as_a_jpeg() {
    let app = TestApp::spawn().await;
    let key = app.upload(&app.admin, "banner", "image/jpeg", files::CAMERA, None).await.key;
    join_all([64, 640, 1920].map(async |width| {
        let scaled = app.storage(&format!("{key}?w={width}")).await;
        let header = turbojpeg::read_header(&scaled.bytes).unwrap();
        assert_eq!((header.width, header.height), (width, width));
    }))
    .await;
}

#[tokio::test]
async fn nothing_is_scaled_up() {
    let app = TestApp::spawn().await;
    let key = app.upload(&app.admin, "banner", "image/png", &files::png(200, 100), None).await.key;
    let (own, asked) = (app.storage(&key).await, app.storage(&format!("{key}?w=1920")).await);
    assert_eq!((asked.status, asked.bytes), (200, own.bytes));
}

#[tokio::test]
async fn the_widths_of_avatars_are_there_after_the_confirmation() {
    let app = TestApp::spawn().await;
    let key = app.upload(&app.admin, "avatar", "image/png", &files::png(500, 500), None).await.key;
    assert_eq!(app.count("select count(*) from variants where width in (64, 128, 256)").await, 3);
    let scaled = app.storage(&format!("{key}?w=128")).await;
    assert_eq!(image::load_from_memory(&scaled.bytes).unwrap().width(), 128);
    assert_eq!(app.count("select count(*) from variants").await, 3);
}

#[tokio::test]
async fn a_width_that_is_not_listed_is_refused() {
    let app = TestApp::spawn().await;
    let key = app.upload(&app.admin, "avatar", "image/png", &files::png(50, 50), None).await.key;
    for width in ["65", "0", "-1", "abc", "4000", ""] {
        let answer = app.storage(&format!("{key}?w={width}")).await;
        assert_eq!(answer.status, 400, "{width}");
        assert!(String::from_utf8_lossy(&answer.bytes).contains("VALIDATION_ERROR"));
    }
}

#[tokio::test]
async fn a_rendering_does_not_outlive_an_object_that_is_deleted_meanwhile() {
    let app = TestApp::spawn().await;
    let key = app.upload(&app.admin, "banner", "image/png", &files::png(300, 100), None).await.key;
    let mut tx = app.pool.begin().await.unwrap();
    sqlx::query("update objects set deleted_at = now()").execute(&mut *tx).await.unwrap();
    let path = format!("{key}?w=64");
    let (scaled, ()) = tokio::join!(app.storage(&path), async {
        app.somebody_waits_for_a_lock().await;
        assert!(app.is_in_store(&format!("variants/64/{key}")));
        tx.commit().await.unwrap();
    });
    assert_eq!((scaled.status, scaled.header("cache-control")), (404, "no-store"));
    assert_eq!(app.count("select count(*) from variants").await, 0);
    assert!(!app.is_in_store(&format!("variants/64/{key}")));
}
