//! Presigned addresses, as browsers and attackers use them.

use std::time::{Duration, SystemTime};

use aws_sdk_s3::{
    config::{BehaviorVersion, Credentials, Region},
    presigning::PresigningConfig,
};
use reqwest::{Method, header};

use crate::{
    files,
    support::{Promise, TestApp},
};

const ORIGIN: &str = "http://localhost:3000";

#[tokio::test]
async fn a_page_of_the_web_client_may_put_and_read_the_answer() {
    let app = TestApp::spawn().await;
    let bytes = files::png(40, 40);
    let promise = app.promise(&app.admin, "avatar", "image/png", bytes.len(), None).await;
    let preflight = app
        .http
        .request(Method::OPTIONS, &promise.url)
        .header(header::ORIGIN, ORIGIN)
        .header(header::ACCESS_CONTROL_REQUEST_METHOD, "PUT")
        .header(header::ACCESS_CONTROL_REQUEST_HEADERS, "content-type")
        .send()
        .await
        .unwrap();
    assert_eq!(preflight.status(), 204);
    for (name, value) in [
        ("access-control-allow-origin", ORIGIN),
        ("access-control-allow-methods", "PUT"),
        ("access-control-allow-headers", "content-type"),
    ] {
        assert_eq!(preflight.headers()[name], value);
    }
    assert!(!preflight.headers().contains_key("access-control-allow-credentials"));

    let put = async |mime: &str| {
        let request = app.http.put(&promise.url).header(header::ORIGIN, ORIGIN).header(header::CONTENT_TYPE, mime);
        request.body(bytes.clone()).send().await.unwrap()
    };
    for (mime, good) in [("image/png", true), ("text/html", false)] {
        let answer = put(mime).await;
        assert_eq!(answer.status().is_success(), good, "{answer:?}");
        let origins: Vec<_> = answer.headers().get_all("access-control-allow-origin").iter().collect();
        assert_eq!(origins, [ORIGIN], "once, whatever the outcome");
    }
}

#[tokio::test]
async fn a_page_from_elsewhere_may_not() {
    let app = TestApp::spawn().await;
    let promise = app.promise(&app.admin, "avatar", "image/png", 10, None).await;
    for origin in ["https://evil.example", "null", "http://localhost:3000.evil.example"] {
        let request = app.http.request(Method::OPTIONS, &promise.url).header(header::ORIGIN, origin);
        let preflight = request.header(header::ACCESS_CONTROL_REQUEST_METHOD, "PUT").send().await.unwrap();
        assert!(!preflight.headers().contains_key("access-control-allow-origin"), "{origin}");
        assert!(!preflight.headers().contains_key("access-control-allow-methods"), "{origin}");
    }
}

#[tokio::test]
async fn a_script_may_read_pictures_from_anywhere() {
    let app = TestApp::spawn().await;
    let key = app.upload(&app.admin, "avatar", "image/png", &files::png(40, 40), None).await.key;
    for _ in 0..2 {
        let answer = app.door(Method::GET, &format!("/storage/{key}"), None).header("origin", ORIGIN).send().await;
        let origins: Vec<_> = answer.headers.get_all("access-control-allow-origin").iter().collect();
        assert_eq!(origins, ["*"]);
        assert_eq!(answer.headers["cross-origin-resource-policy"], "cross-origin");
    }
}

#[tokio::test]
async fn every_change_of_an_address_breaks_it() {
    let app = TestApp::spawn().await;
    let bytes = files::png(40, 40);
    let promise = app.promise(&app.admin, "avatar", "image/png", bytes.len(), None).await;
    let with = |url: String| Promise { url, ..promise.clone() };
    let day = promise.url.split("X-Amz-Date=").nth(1).unwrap()[..8].to_owned();
    for broken in [
        promise.url.replace("X-Amz-Expires=900", "X-Amz-Expires=90000"),
        promise.url.replace(&format!("X-Amz-Date={day}"), "X-Amz-Date=20991231"),
        promise.url.replace("X-Amz-SignedHeaders=content-length%3Bcontent-type%3Bhost", "X-Amz-SignedHeaders=host"),
        promise.url.replace("/staging/", "/avatars/"),
        promise.url.replace("/staging/", "/staging/../avatars/"),
        promise.url.replace("/staging/", "/staging/%2e%2e/avatars/"),
        format!("{}0", promise.url),
        promise.url.split('?').next().unwrap().to_owned(),
    ] {
        assert_ne!(broken, promise.url);
        let status = app.put(&with(broken.clone()), &bytes).await;
        assert!([400, 403, 404].contains(&status), "{status}: {broken}");
    }
    assert_eq!(app.put(&promise, &bytes).await, 200);
}

#[tokio::test]
async fn an_address_is_over_after_its_time() {
    let app = TestApp::spawn().await;
    let bytes = files::png(40, 40);
    let promise = app.promise(&app.admin, "avatar", "image/png", bytes.len(), None).await;
    // The same address, signed twenty minutes ago.
    let late = Promise { url: signed(&app, &promise, bytes.len(), Duration::from_mins(20)).await, ..promise.clone() };
    assert_eq!(app.put(&late, &bytes).await, 403);
    let early = Promise { url: signed(&app, &promise, bytes.len(), Duration::from_mins(10)).await, ..promise };
    assert_eq!(app.put(&early, &bytes).await, 200);
}

#[tokio::test]
async fn an_address_does_not_read_or_remove() {
    let app = TestApp::spawn().await;
    let bytes = files::png(40, 40);
    let promise = app.promise(&app.admin, "avatar", "image/png", bytes.len(), None).await;
    assert_eq!(app.put(&promise, &bytes).await, 200);
    for method in [Method::GET, Method::HEAD, Method::DELETE, Method::POST] {
        let answer = app.http.request(method.clone(), &promise.url).send().await.unwrap();
        assert_eq!(answer.status(), 404, "{method}");
    }
    assert!(app.is_in_store(&format!("staging/{}", promise.id)).await);
}

/// What media would have signed for this promise some time ago.
async fn signed(app: &TestApp, promise: &Promise, length: usize, ago: Duration) -> String {
    let env = app.stack.env_of("media");
    let get = |name: &str| env[name].clone();
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(get("S3_PUBLIC_ENDPOINT"))
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(
            get("S3_ACCESS_KEY_ID"),
            get("S3_SECRET_ACCESS_KEY"),
            None,
            None,
            "test",
        ))
        .force_path_style(true)
        .build();
    let times = PresigningConfig::builder().start_time(SystemTime::now() - ago).expires_in(Duration::from_mins(15));
    aws_sdk_s3::Client::from_conf(config)
        .put_object()
        .bucket(get("S3_BUCKET"))
        .key(format!("staging/{}", promise.id))
        .content_type(&promise.mime)
        .content_length(i64::try_from(length).unwrap())
        .presigned(times.build().unwrap())
        .await
        .unwrap()
        .uri()
        .to_owned()
}
