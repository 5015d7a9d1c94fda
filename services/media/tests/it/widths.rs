//! `?w=`.

use futures_util::future::join_all;
use image::ImageFormat;
use reqwest::{Method, StatusCode};

use crate::{files, support::TestApp};

/// What browsers send for the pictures of a page.
const BROWSERS: [&str; 2] =
    ["image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8", "image/webp,image/png;q=0.9,*/*;q=0.5"];
/// What sends whoever cannot show a WebP, or does not say.
const OTHERS: [&str; 3] = ["*/*", "image/*", "image/webp;q=0,image/png"];

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
async fn browsers_that_take_webp_get_it() {
    let app = TestApp::spawn().await;
    let bytes = files::picture(800, 400, ImageFormat::Png);
    let key = app.upload(&app.admin, "banner", "image/png", &bytes, None).await.key;
    let path = format!("{key}?w=320");
    let get = async |accept: &str| app.storage_with(Method::GET, &path, &[("accept", accept)]).await;
    let plain = app.storage(&path).await;
    for accept in BROWSERS {
        let webp = get(accept).await;
        assert_eq!((webp.status, webp.header("content-type"), webp.header("vary")), (200, "image/webp", "Accept"));
        assert_eq!(image::guess_format(&webp.bytes).unwrap(), ImageFormat::WebP);
        let size = image::load_from_memory(&webp.bytes).unwrap();
        assert_eq!((size.width(), size.height()), (320, 160));
        assert_ne!(webp.header("etag"), plain.header("etag"));
        let known = [("accept", accept), ("if-none-match", webp.header("etag"))];
        let unchanged = app.storage_with(Method::GET, &path, &known).await;
        assert_eq!((unchanged.status, unchanged.header("vary")), (304, "Accept"));
    }
    for accept in OTHERS {
        let own = get(accept).await;
        assert_eq!((own.header("content-type"), own.header("vary")), ("image/png", "Accept"), "{accept}");
        assert_eq!(own.bytes, plain.bytes);
    }
    // The picture itself never changes its form, and neither does an animation.
    let whole = app.storage_with(Method::GET, &key, &[("accept", BROWSERS[0])]).await;
    assert_eq!((whole.header("content-type"), whole.header("vary")), ("image/png", ""));
    let gif = files::picture(800, 400, ImageFormat::Gif);
    let key = app.upload(&app.admin, "banner", "image/gif", &gif, None).await.key;
    let still = app.storage_with(Method::GET, &format!("{key}?w=320"), &[("accept", BROWSERS[0])]).await;
    assert_eq!(still.header("content-type"), "image/gif");
}

#[tokio::test]
async fn a_rendering_of_the_previous_release_gets_its_webp_when_it_is_asked_for() {
    let app = TestApp::spawn().await;
    let key = app.upload(&app.admin, "avatar", "image/png", &files::png(500, 500), None).await.key;
    app.sql("update variants set webp_size = null, webp_etag = null").await;
    let webp = app.storage_with(Method::GET, &format!("{key}?w=64"), &[("accept", BROWSERS[0])]).await;
    assert_eq!((webp.status, webp.header("content-type")), (200, "image/webp"));
    assert_eq!(app.count("select count(*) from variants where webp_etag is not null").await, 1);
}

#[tokio::test]
async fn nginx_keeps_both_forms_apart_and_asks_once_for_each() {
    let app = TestApp::spawn().await;
    let key = app.upload(&app.admin, "avatar", "image/png", &files::png(500, 500), None).await.key;
    let path = format!("/storage/{key}?w=128");
    for _ in 0..2 {
        for (accepts, mime) in [(&BROWSERS[..], "image/webp"), (&OTHERS[..], "image/png")] {
            for accept in accepts {
                let answer = app.door(Method::GET, &path, None).header("accept", accept).send().await;
                assert_eq!(answer.status, StatusCode::OK);
                assert_eq!(answer.headers["content-type"], mime, "{accept}");
                assert!(answer.headers.get_all("vary").iter().any(|vary| vary == "Accept"), "{:?}", answer.headers);
            }
        }
    }
    let log = app.stack.log("media");
    assert_eq!(log.lines().filter(|line| line.contains("/storage/") && line.contains("answered")).count(), 2, "{log}");
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
        assert!(app.is_in_store(&format!("variants/64/{key}")).await);
        tx.commit().await.unwrap();
    });
    assert_eq!((scaled.status, scaled.header("cache-control")), (404, "no-store"));
    assert_eq!(app.count("select count(*) from variants").await, 0);
    assert!(!app.is_in_store(&format!("variants/64/{key}")).await);
}
