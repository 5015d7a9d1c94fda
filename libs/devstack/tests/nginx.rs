//! What nginx answers by itself: nothing behind it runs.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use grafikarsa_devstack::testing::{Stack, http_client};
use reqwest::{Method, Response};
use serde_json::Value;

const ORIGIN: &str = "http://localhost:3000";

async fn ask(stack: &Stack, method: Method, path: &str) -> Response {
    let base = stack.nginx().await;
    http_client().request(method, base.join(path).unwrap()).header("origin", ORIGIN).send().await.unwrap()
}

async fn code(response: Response) -> String {
    assert_eq!(response.headers()["access-control-allow-origin"], ORIGIN);
    assert_eq!(response.headers()["access-control-allow-credentials"], "true");
    assert_eq!(response.headers()["x-request-id"].len(), 32);
    assert_eq!(response.headers()["content-type"], "application/json");
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["success"], Value::Bool(false));
    assert_eq!(body["message"], body["error"]["message"]);
    body["error"]["code"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_service_that_is_down_is_502_in_the_envelope() {
    let stack = Stack::new().await;
    for path in
        ["/api/v1/auth/login", "/api/v1/me", "/api/v1/me/password", "/api/v1/uploads/presign", "/storage/avatars/x"]
    {
        let response = ask(&stack, Method::GET, path).await;
        assert_eq!(response.status(), 502, "{path}");
        assert_eq!(code(response).await, "SERVICE_UNAVAILABLE", "{path}");
    }
}

#[tokio::test]
async fn a_path_that_leads_nowhere_is_404_in_the_envelope() {
    let stack = Stack::new().await;
    for path in ["/", "/nothing", "/internal/accounts", "/metrics", "/readyz"] {
        let response = ask(&stack, Method::GET, path).await;
        assert_eq!(response.status(), 404, "{path}");
        assert_eq!(code(response).await, "NOT_FOUND", "{path}");
    }
}

#[tokio::test]
async fn a_body_beyond_every_limit_is_413_in_the_envelope() {
    let stack = Stack::new().await;
    let url = stack.nginx().await.join("/api/v1/portfolios").unwrap();
    let response = http_client().post(url).header("origin", ORIGIN).body(vec![b'x'; 3 << 20]).send().await.unwrap();
    assert_eq!(response.status(), 413);
    assert_eq!(code(response).await, "PAYLOAD_TOO_LARGE");
}

#[tokio::test]
async fn the_store_is_reached_by_signed_puts_alone() {
    let stack = Stack::new().await;
    let bucket = stack.installation.bucket.clone();
    let staging = format!("/{bucket}/staging/0190f5fe-7c00-7a00-8000-000000000000");
    for (method, path) in [
        (Method::GET, format!("{staging}?X-Amz-Signature=abc")),
        (Method::DELETE, format!("{staging}?X-Amz-Signature=abc")),
        (Method::PUT, staging.clone()),
        (Method::PUT, format!("/{bucket}/avatars/x?X-Amz-Signature=abc")),
        (Method::GET, format!("/{bucket}/?list-type=2&X-Amz-Signature=abc")),
    ] {
        assert_eq!(ask(&stack, method.clone(), &path).await.status(), 404, "{method} {path}");
    }
    let forged = ask(&stack, Method::PUT, &format!("{staging}?X-Amz-Signature=abc")).await;
    assert!(
        forged.status().is_client_error() && forged.status() != 404,
        "the store itself refuses: {}",
        forged.status()
    );
    assert_eq!(forged.headers()["access-control-allow-origin"], ORIGIN);
}

#[tokio::test]
async fn the_preflight_of_an_upload_is_answered_for_the_web_client() {
    let stack = Stack::new().await;
    let path =
        format!("/{}/staging/0190f5fe-7c00-7a00-8000-000000000000?X-Amz-Signature=abc", stack.installation.bucket);
    let url = stack.nginx().await.join(&path).unwrap();
    let preflight = |origin: &'static str| {
        http_client()
            .request(Method::OPTIONS, url.clone())
            .header("origin", origin)
            .header("access-control-request-method", "PUT")
            .send()
    };
    let allowed = preflight(ORIGIN).await.unwrap();
    assert_eq!(allowed.status(), 204);
    assert_eq!(allowed.headers()["access-control-allow-origin"], ORIGIN);
    assert_eq!(allowed.headers()["access-control-allow-methods"], "PUT");
    assert_eq!(allowed.headers()["access-control-allow-headers"], "content-type");
    assert!(!allowed.headers().contains_key("access-control-allow-credentials"));
    let stranger = preflight("https://evil.example").await.unwrap();
    assert!(!stranger.headers().contains_key("access-control-allow-origin"));
}
