//! Files that are not what they should be.

use image::ImageFormat;

use crate::{files, support::TestApp};

#[tokio::test]
async fn a_webp_named_jpg_is_served_as_what_it_is() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let webp = files::picture(30, 30, ImageFormat::WebP);
    let promise = app.upload(&siti, "avatar", "image/jpeg", &webp, None).await;
    assert_eq!(promise.key.rsplit('.').next(), Some("jpg"));
    assert_eq!(app.storage(&promise.key).await.header("content-type"), "image/webp");
}

#[tokio::test]
async fn markup_never_passes() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    for markup in [
        &b"<!DOCTYPE html><html><script>alert(1)</script></html>"[..],
        b"<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"alert(1)\"/>",
        b"<?xml version=\"1.0\"?><svg/>",
    ] {
        let (promise, answer) = app.attempt(&siti, "avatar", "image/jpeg", markup).await;
        assert_eq!(answer.error(), (400, "INVALID_CONTENT_TYPE"));
        assert_eq!(app.storage(&promise.key).await.status, 404);
        // The upload has failed for good.
        assert_eq!(app.confirm(&siti, &promise).await.error(), (404, "UPLOAD_NOT_FOUND"));
    }
}

#[tokio::test]
async fn a_type_of_another_kind_of_upload_does_not_pass() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    for bytes in [files::picture(20, 20, ImageFormat::Gif), files::PDF.to_vec(), files::docx()] {
        let (_, answer) = app.attempt(&siti, "avatar", "image/png", &bytes).await;
        assert_eq!(answer.error(), (400, "INVALID_CONTENT_TYPE"));
    }
}

#[tokio::test]
async fn damaged_and_cut_off_pictures_are_refused() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let mut damaged = files::png(300, 300);
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0xff;
    for (mime, bytes) in [("image/jpeg", &files::CAMERA[..300_000]), ("image/png", &damaged[..])] {
        let (_, answer) = app.attempt(&siti, "avatar", mime, bytes).await;
        assert_eq!(answer.error(), (400, "INVALID_FILE"));
    }
    assert_eq!(app.count("select count(*) from uploads where state = 'failed'").await, 2);
}

#[tokio::test]
async fn a_bomb_is_refused_by_its_header() {
    let app = TestApp::spawn().await;
    let siti = app.student("siti").await;
    let (_, answer) = app.attempt(&siti, "avatar", "image/png", &files::bomb()).await;
    assert_eq!(answer.error(), (400, "INVALID_FILE"));
}
