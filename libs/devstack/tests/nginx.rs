//! What nginx does by itself: nothing behind it runs, but for a stub where one is needed.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::{Arc, Mutex};

use grafikarsa_devstack::{
    process::free_port,
    testing::{Stack, http_client},
};
use reqwest::{Method, Response};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

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

/// Stands in for something behind nginx: gives the same answer to everything and keeps the heads of what came.
struct Stub(Arc<Mutex<Vec<String>>>);

impl Stub {
    async fn at(port: u16, answer: &'static str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let kept = heads.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mut stream = BufReader::new(stream);
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap().to_lowercase();
                let body = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
                stream.read_exact(&mut vec![0; body.unwrap_or(0)]).await.unwrap();
                kept.lock().unwrap().push(head);
                stream.write_all(answer.as_bytes()).await.unwrap();
                stream.shutdown().await.unwrap();
            }
        });
        Self(heads)
    }

    /// The head of the one request that came, in lower case.
    fn head(&self) -> String {
        let heads = self.0.lock().unwrap();
        assert_eq!(heads.len(), 1);
        heads[0].clone()
    }
}

/// Waits until nginx has written its log, which it does every second.
async fn logged(stack: &Stack, what: &str) {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    while !stack.log("nginx/access").contains(what) {
        assert!(tokio::time::Instant::now() < deadline, "every request is logged: {what}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// Sends bytes that no HTTP client would send, and gives the whole answer.
async fn raw(stack: &Stack, request: &str) -> String {
    let port = stack.nginx().await.port().unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// The values of all headers called `name`.
fn all<'a>(response: &'a Response, name: &str) -> Vec<&'a str> {
    response.headers().get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
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
    for path in ["/", "/nothing", "/internal/accounts", "/metrics", "/readyz", "/.errors/malformed"] {
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

#[tokio::test]
async fn a_path_that_lacks_its_last_slash_is_404_and_leads_nowhere() {
    let stack = Stack::new().await;
    for path in ["/api/v1", "/api/v1/auth", "/api/v1/uploads", "/storage", "/storage/documents"] {
        let response = ask(&stack, Method::GET, &format!("{path}?token=geheim")).await;
        assert_eq!(response.status(), 404, "{path}");
        assert_eq!(code(response).await, "NOT_FOUND", "{path}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_400_in_the_envelope_and_its_query_is_not_logged() {
    let stack = Stack::new().await;
    let long = "x".repeat(70_000);
    for (what, request) in [
        ("no request line", "geheim\r\n\r\n".to_owned()),
        ("a bad path", "GET ?token=geheim HTTP/1.1\r\nHost: x\r\n\r\n".to_owned()),
        ("an escape that is none", "GET /%?token=geheim HTTP/1.1\r\nHost: x\r\n\r\n".to_owned()),
        ("another version", "GET /?token=geheim HTTP/3.0\r\nHost: x\r\n\r\n".to_owned()),
        ("no version", "GET /?token=geheim HTTP/x\r\nHost: x\r\n\r\n".to_owned()),
        ("no host", "GET /?token=geheim HTTP/1.1\r\n\r\n".to_owned()),
        (
            "two lengths",
            "POST /?token=geheim HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".to_owned(),
        ),
        ("another coding", "POST /?token=geheim HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n".to_owned()),
        ("a long address", format!("GET /?token=geheim{long} HTTP/1.1\r\nHost: x\r\n\r\n")),
        ("a long header", format!("GET /?token=geheim HTTP/1.1\r\nHost: x\r\nX-Long: {long}\r\n\r\n")),
    ] {
        let answer = raw(&stack, &request).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{what}: {answer}"));
        assert!(head.starts_with("HTTP/1.1 400 "), "{what}: {answer}");
        assert!(head.contains("\r\nContent-Type: application/json\r\n"), "{what}: {answer}");
        assert_eq!(head.matches("\r\nX-Request-Id: ").count(), 1, "{what}: {answer}");
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["success"], Value::Bool(false), "{what}");
        assert_eq!(body["error"]["code"], "VALIDATION_ERROR", "{what}");
        assert_eq!(body["message"], body["error"]["message"], "{what}");
    }
    let origin = raw(&stack, &format!("GET / HTTP/1.1\r\nOrigin: {ORIGIN}\r\n\r\n")).await;
    assert!(origin.contains(&format!("\r\nAccess-Control-Allow-Origin: {ORIGIN}\r\n")), "{origin}");
    logged(&stack, " 400 ").await;
    for log in ["nginx/access", "nginx/error", "nginx/nginx"] {
        assert!(!stack.log(log).contains("token"), "{log}: {}", stack.log(log));
    }
}

#[tokio::test]
async fn a_method_that_nginx_itself_refuses_is_405_in_the_envelope() {
    let stack = Stack::new().await;
    let response = ask(&stack, Method::TRACE, "/api/v1/me").await;
    assert_eq!(response.status(), 405);
    assert_eq!(code(response).await, "METHOD_NOT_ALLOWED");
}

#[tokio::test]
async fn queries_are_not_logged_when_something_behind_nginx_fails() {
    let stack = Stack::new().await;
    for path in
        ["/api/v1/ws/chat", "/api/v1/search", "/api/v1/auth/login", "/storage/documents/x.pdf", "/storage/avatars/x"]
    {
        assert_eq!(ask(&stack, Method::GET, &format!("{path}?token=geheim")).await.status(), 502, "{path}");
    }
    let staging = format!("/{}/staging/0190f5fe-7c00-7a00-8000-000000000000", stack.installation.bucket);
    let large = format!(
        "PUT {staging}?X-Amz-Signature=geheim HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 99999999\r\n\r\n"
    );
    assert!(raw(&stack, &large).await.starts_with("HTTP/1.1 413 "));
    logged(&stack, "/api/v1/ws/chat 502").await;
    logged(&stack, " 413 ").await;
    for log in ["nginx/access", "nginx/error", "nginx/nginx"] {
        assert!(!stack.log(log).contains("geheim"), "{log}: {}", stack.log(log));
    }
}

#[tokio::test]
async fn a_part_that_a_stored_picture_does_not_have_is_416_with_the_headers_of_media_once() {
    let stack = Stack::new().await;
    let media = Stub::at(
        stack.installation.ports["media"].public,
        "HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 5\r\nETag: \"abc\"\r\nAccept-Ranges: bytes\r\n\
         Cache-Control: public, max-age=31536000, immutable\r\nX-Accel-Expires: 60\r\nX-Request-Id: of-media\r\n\
         Access-Control-Allow-Origin: *\r\nConnection: close\r\n\r\n12345",
    )
    .await;
    let url = stack.nginx().await.join("/storage/avatars/x.png").unwrap();
    let part =
        |range: &'static str| http_client().get(url.clone()).header("origin", ORIGIN).header("range", range).send();
    let first = part("bytes=1-2").await.unwrap();
    assert_eq!((first.status().as_u16(), first.text().await.unwrap().as_str()), (206, "23"));
    let several = part("bytes=0-1,3-4").await.unwrap();
    assert_eq!((several.status().as_u16(), several.text().await.unwrap().as_str()), (200, "12345"));
    let beyond = part("bytes=9-").await.unwrap();
    assert_eq!(beyond.status(), 416);
    assert_eq!(all(&beyond, "content-type"), ["application/json"]);
    assert_eq!(all(&beyond, "access-control-allow-origin"), ["*"]);
    assert_eq!(all(&beyond, "cache-control").len(), 1);
    assert_eq!(all(&beyond, "x-request-id").len(), 1);
    assert_eq!(all(&beyond, "x-request-id")[0].len(), 32);
    let body: Value = beyond.json().await.unwrap();
    assert_eq!(body["error"]["code"], "RANGE_NOT_SATISFIABLE");
    media.head();
}

#[tokio::test]
async fn a_client_cannot_choose_its_address_its_request_id_or_its_trace() {
    let stack = Stack::new().await;
    let portfolio =
        Stub::at(stack.installation.ports["portfolio"].public, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
            .await;
    let url = stack.nginx().await.join("/api/v1/me").unwrap();
    let request = http_client().get(url).header("x-real-ip", "203.0.113.9").header("x-forwarded-for", "203.0.113.9");
    let request = request.header("forwarded", "for=203.0.113.9").header("x-request-id", "chosen-by-the-client");
    let request = request.header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    assert_eq!(request.send().await.unwrap().status(), 204);
    let head = portfolio.head();
    let values = |name: &str| {
        head.lines()
            .filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(values("x-real-ip"), ["127.0.0.1"]);
    assert!(!head.contains("203.0.113.9"), "{head}");
    let id = values("x-request-id");
    assert!(id.len() == 1 && id[0].len() == 32, "{head}");
    let trace = values("traceparent");
    assert!(trace.len() == 1 && trace[0].starts_with(&format!("00-{}-", id[0])), "{head}");
}

#[tokio::test]
async fn headers_that_nginx_writes_for_the_store_are_not_doubled() {
    let mut stack = Stack::new().await;
    stack.installation.servers.s3 = free_port().unwrap();
    let store = Stub::at(
        stack.installation.servers.s3,
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Request-Id: of-the-store\r\nAccess-Control-Allow-Origin: *\r\n\
         Access-Control-Expose-Headers: *\r\nConnection: close\r\n\r\n",
    )
    .await;
    let path = format!("/{}/staging/0190f5fe-7c00-7a00-8000-000000000000", stack.installation.bucket);
    let url = stack.nginx().await.join(&format!("{path}?X-Amz-Signature=abc")).unwrap();
    let stored = http_client().put(url).header("origin", ORIGIN).body("bytes").send().await.unwrap();
    assert_eq!(stored.status(), 200);
    assert_eq!(all(&stored, "access-control-allow-origin"), [ORIGIN]);
    assert!(all(&stored, "access-control-expose-headers").is_empty());
    assert_eq!(all(&stored, "x-request-id").len(), 1);
    assert_ne!(all(&stored, "x-request-id"), ["of-the-store"]);
    assert!(store.head().starts_with(&format!("put {path}?x-amz-signature=abc ")));
}
