use reqwest::Method;

use crate::{files, support::TestApp};

#[tokio::test]
async fn a_picture_comes_with_the_headers_of_the_contract() {
    let app = TestApp::spawn().await;
    let key = app.upload(&app.admin, "avatar", "image/png", &files::png(50, 50), None).await.key;
    let stored = app.storage(&key).await;
    for (name, value) in [
        ("content-type", "image/png"),
        ("content-length", &*stored.bytes.len().to_string()),
        ("accept-ranges", "bytes"),
        ("cache-control", "public, max-age=31536000, immutable"),
        ("x-accel-expires", "60"),
        ("access-control-allow-origin", "*"),
        ("cross-origin-resource-policy", "cross-origin"),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "default-src 'none'; sandbox"),
        ("content-disposition", "inline"),
    ] {
        assert_eq!(stored.header(name), value, "{name}");
    }
    let etag = stored.header("etag");
    assert!(etag.starts_with('"') && etag.ends_with('"') && etag.len() > 10, "{etag}");
    assert!(stored.header("last-modified").ends_with("GMT"));
    assert!(!stored.header("x-request-id").is_empty());
}

#[tokio::test]
async fn what_a_client_has_is_not_sent_again() {
    let app = TestApp::spawn().await;
    let key = app.upload(&app.admin, "avatar", "image/png", &files::png(50, 50), None).await.key;
    let stored = app.storage(&key).await;
    for (name, value) in
        [("if-none-match", stored.header("etag")), ("if-modified-since", stored.header("last-modified"))]
    {
        let again = app.storage_with(Method::GET, &key, &[(name, value)]).await;
        assert_eq!((again.status, again.bytes.len()), (304, 0), "{name}");
        assert_eq!(again.header("etag"), stored.header("etag"));
        assert_eq!(again.header("cache-control"), stored.header("cache-control"));
    }
    let other = app.storage_with(Method::GET, &key, &[("if-none-match", "\"other\"")]).await;
    assert_eq!(other.status, 200);
}

#[tokio::test]
async fn a_part_can_be_asked_for() {
    let app = TestApp::spawn().await;
    let key = app.upload(&app.admin, "avatar", "image/png", &files::png(50, 50), None).await.key;
    let whole = app.storage(&key).await.bytes;
    let size = whole.len();
    let part = app.storage_with(Method::GET, &key, &[("range", "bytes=10-19")]).await;
    assert_eq!((part.status, &part.bytes[..]), (206, &whole[10..20]));
    assert_eq!(part.header("content-range"), format!("bytes 10-19/{size}"));
    assert_eq!(part.header("content-length"), "10");
    let end = app.storage_with(Method::GET, &key, &[("range", "bytes=-7")]).await;
    assert_eq!((end.status, &end.bytes[..]), (206, &whole[size - 7..]));
    let several = app.storage_with(Method::GET, &key, &[("range", "bytes=0-1,5-6")]).await;
    assert_eq!((several.status, several.bytes.len()), (200, size));
    let behind = app.storage_with(Method::GET, &key, &[("range", "bytes=999999-")]).await;
    assert_eq!(behind.status, 416);
    assert_eq!(behind.header("content-range"), format!("bytes */{size}"));
    let changed = app.storage_with(Method::GET, &key, &[("range", "bytes=0-1"), ("if-range", "\"old\"")]).await;
    assert_eq!((changed.status, changed.bytes.len()), (200, size));
}

#[tokio::test]
async fn head_has_the_headers_and_no_body() {
    let app = TestApp::spawn().await;
    let key = app.upload(&app.admin, "avatar", "image/png", &files::png(50, 50), None).await.key;
    let (got, head) = (app.storage(&key).await, app.storage_with(Method::HEAD, &key, &[]).await);
    assert_eq!((head.status, head.bytes.len()), (200, 0));
    for name in ["etag", "content-length", "content-type", "cache-control"] {
        assert_eq!(head.header(name), got.header(name), "{name}");
    }
}

#[tokio::test]
async fn other_methods_are_not_for_files() {
    let app = TestApp::spawn().await;
    let key = app.upload(&app.admin, "avatar", "image/png", &files::png(50, 50), None).await.key;
    let preflight = app.storage_with(Method::OPTIONS, &key, &[]).await;
    assert_eq!(preflight.status, 204);
    assert_eq!(preflight.header("access-control-allow-origin"), "*");
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        let answer = app.storage_with(method, &key, &[]).await;
        assert_eq!(answer.status, 405);
        assert!(String::from_utf8_lossy(&answer.bytes).contains("METHOD_NOT_ALLOWED"));
    }
}

#[tokio::test]
async fn nothing_but_published_keys_can_be_read() {
    let app = TestApp::spawn().await;
    let bytes = files::png(50, 50);
    let open = app.promise(&app.admin, "avatar", "image/png", bytes.len(), None).await;
    app.put(&open, &bytes).await;
    let key = app.upload(&app.admin, "avatar", "image/png", &bytes, None).await.key;
    for path in [
        format!("/storage/staging/{}", open.id),
        format!("/storage/{}", open.key),
        format!("/storage/variants/64/{key}"),
        format!("/storage/avatars/../{key}"),
        format!("/storage/%2e%2e/{key}"),
        format!("/storage/avatars/%2e%2e%2f{key}"),
        format!("/storage//{key}"),
        format!("/storage/{}", key.replace('/', "//")),
        format!("/storage/{}", key.replace('/', "%2F")),
        format!("/storage/{key}/"),
        "/storage/".to_owned(),
        "/storage".to_owned(),
        "/storage/avatars/".to_owned(),
        "/storage/avatars/0f6c2a10-0000-4000-8000-000000000001/0f6c2a10-0000-4000-8000-000000000001.png".to_owned(),
        "/storage/..%2f..%2fetc/passwd".to_owned(),
        "/storage/../../etc/passwd".to_owned(),
    ] {
        let answer = app.raw(&path).await;
        let lower = answer.to_lowercase();
        assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
        assert!(lower.contains("cache-control: no-store"), "{path}: {answer}");
        assert!(answer.contains("\"NOT_FOUND\"") && !lower.contains("location:"), "{path}: {answer}");
    }
}

#[tokio::test]
async fn a_deleted_object_is_gone_at_once() {
    let app = TestApp::spawn().await;
    let key = app.upload(&app.admin, "avatar", "image/png", &files::png(50, 50), None).await.key;
    app.sql("update objects set deleted_at = now()").await;
    assert_eq!(app.storage(&key).await.status, 404);
}

#[tokio::test]
async fn nginx_serves_a_picture_with_one_set_of_headers() {
    let app = TestApp::spawn().await;
    let key = app.upload(&app.admin, "avatar", "image/png", &files::png(50, 50), None).await.key;
    for _ in 0..2 {
        let answer = app.door(Method::GET, &format!("/storage/{key}"), None).send().await;
        assert_eq!(answer.status, 200);
        for name in ["access-control-allow-origin", "x-request-id", "cache-control", "etag"] {
            assert_eq!(answer.headers.get_all(name).iter().count(), 1, "{name}: {:?}", answer.headers);
        }
    }
}
