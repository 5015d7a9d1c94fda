//! The middleware and the extractors as a client meets them: over a real listener.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may panic")]

use std::{sync::OnceLock, time::Duration};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    routing::{get, post},
};
use chrono::Utc;
use grafikarsa_config::{Reader, Secret};
use grafikarsa_devstack::process::free_port;
use grafikarsa_http::{
    ApiResult, Body, ClientIp, CurrentUser, Data, HttpSettings, Id, MaybeUser, OptionalBody, Service,
};
use grafikarsa_jwt::{Revocation, RevocationList, Role, TokenKeys, Verifier};
use grafikarsa_telemetry::{Guard, LogFormat, TelemetrySettings, propagation::current_traceparent};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::oneshot,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

struct App {
    base: String,
    internal: String,
    http: Client,
    keys: TokenKeys,
    revocations: RevocationList,
    shutdown: CancellationToken,
    server: tokio::task::JoinHandle<anyhow::Result<()>>,
}

const ORIGIN: &str = "https://web.example";

impl App {
    async fn spawn() -> Self {
        Self::with(&[]).await
    }

    async fn with(changes: &[(&str, &str)]) -> Self {
        let app = Self::start(changes, async {});
        app.answers("/readyz", 200).await;
        app
    }

    /// One that opens its public listener after `condition`.
    fn start(changes: &[(&str, &str)], condition: impl Future<Output = ()> + Send + 'static) -> Self {
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let (port, internal) = (free_port().unwrap(), free_port().unwrap());
        let mut values = vec![
            ("APP_ENV".to_owned(), "development".to_owned()),
            ("APP_HOST".to_owned(), "127.0.0.1".to_owned()),
            ("INTERNAL_API_TOKEN".to_owned(), "t".repeat(32)),
            ("CORS_ORIGINS".to_owned(), ORIGIN.to_owned()),
        ];
        values.extend(changes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let mut env = Reader::from_map(values);
        let settings = HttpSettings::read(&mut env, port, internal);
        env.finish(()).unwrap();

        let keys = TokenKeys::new(&Secret::new("k".repeat(32)), Duration::from_secs(900));
        let revocations = RevocationList::in_memory();
        let shutdown = CancellationToken::new();
        let api = Router::new()
            .route("/api/v1/who", get(async |user: CurrentUser| Data::new(user.id)))
            .route("/api/v1/maybe", get(async |user: MaybeUser| Data::new(user.id())))
            .route("/api/v1/public", get(async || Data::new(json!([]))))
            .route("/api/v1/trace", get(async || Data::new(current_traceparent())))
            .route("/api/v1/ip", get(async |ip: ClientIp| Data::new(ip.0.to_string())))
            .route("/api/v1/things/{id}", get(async |Id(id): Id| Data::new(id)))
            .route("/api/v1/echo", post(echo).layer(DefaultBodyLimit::max(64)))
            .route("/api/v1/optional", post(optional))
            .route(
                "/api/v1/slow",
                get(async || {
                    tokio::time::sleep(Duration::from_millis(400)).await;
                    Data::none()
                }),
            )
            .route("/api/v1/panic", get(panic));
        let internal_routes = Router::new().route("/internal/ping", get(async || Data::new("pong")));
        let service = Service::new("test", settings, Verifier::new(keys.clone(), revocations.clone()))
            .api(api)
            .internal(internal_routes)
            .ready_when("always", async || Ok(()))
            .serve_after("condition", condition);
        let server = tokio::spawn(service.serve(shutdown.clone()));
        Self {
            base: format!("http://127.0.0.1:{port}"),
            internal: format!("http://127.0.0.1:{internal}"),
            http: Client::new(),
            keys,
            revocations,
            shutdown,
            server,
        }
    }

    /// Waits until the internal listener gives this answer.
    async fn answers(&self, path: &str, status: u16) {
        for _ in 0..500 {
            let answer = self.http.get(format!("{}{path}", self.internal)).send().await;
            if answer.is_ok_and(|answer| answer.status() == status) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{path} does not answer {status}");
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    fn token(&self, user: Uuid, session: Uuid) -> String {
        self.keys.mint(user, Role::Student, session, 0, Utc::now()).unwrap()
    }
}

#[derive(serde::Deserialize)]
struct Echo {
    text: Option<String>,
}

async fn echo(Body(body): Body<Echo>) -> ApiResult<Data<Option<String>>> {
    Ok(Data::new(body.text))
}

async fn optional(body: OptionalBody<Echo>) -> ApiResult<Data<bool>> {
    Ok(Data::new(body.read().await?.is_some()))
}

/// Logs nothing, but makes traces and metrics: once in this process.
fn telemetry() {
    static STARTED: OnceLock<Guard> = OnceLock::new();
    STARTED.get_or_init(|| {
        let settings =
            TelemetrySettings { log_level: "off".to_owned(), log_format: LogFormat::Json, otlp_endpoint: None };
        grafikarsa_telemetry::init("test", &settings).unwrap()
    });
}

async fn panic() -> Data<()> {
    panic!("a bug with a secret in its message")
}

async fn error(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    assert!(response.headers().contains_key("x-request-id"));
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["success"], json!(false));
    assert_eq!(body["message"], body["error"]["message"]);
    (status, body["error"]["code"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn unknown_routes_wrong_methods_and_panics_answer_in_the_envelope() {
    let app = App::spawn().await;
    assert_eq!(error(app.get("/api/v1/nothing").await).await, (404, "NOT_FOUND".to_owned()));
    assert_eq!(error(app.get("/elsewhere").await).await, (404, "NOT_FOUND".to_owned()));
    let wrong = app.request(Method::PATCH, "/api/v1/who").send().await.unwrap();
    assert_eq!(error(wrong).await, (405, "METHOD_NOT_ALLOWED".to_owned()));
    let text = app.get("/api/v1/panic").await.text().await.unwrap();
    assert!(text.contains("INTERNAL_ERROR") && !text.contains("secret"), "{text}");
    assert_eq!(app.get("/api/v1/public").await.status(), 200, "the service lives on");
}

#[tokio::test]
async fn a_bad_token_is_401_on_optional_routes_and_ignored_on_public_ones() {
    let app = App::spawn().await;
    for (header, code) in
        [("Bearer nonsense", "INVALID_TOKEN"), ("Basic abc", "UNAUTHORIZED"), ("Bearer ", "UNAUTHORIZED")]
    {
        for path in ["/api/v1/who", "/api/v1/maybe"] {
            let response = app.request(Method::GET, path).header("authorization", header).send().await.unwrap();
            assert_eq!(error(response).await, (401, code.to_owned()), "{path} {header}");
        }
        let public = app.request(Method::GET, "/api/v1/public").header("authorization", header).send().await.unwrap();
        assert_eq!(public.status(), 200);
    }
    assert_eq!(error(app.get("/api/v1/who").await).await, (401, "UNAUTHORIZED".to_owned()));
    assert_eq!(app.get("/api/v1/maybe").await.status(), 200);
}

#[tokio::test]
async fn a_revoked_session_is_refused_at_once() {
    let app = App::spawn().await;
    let session = Uuid::new_v4();
    let token = app.token(Uuid::new_v4(), session);
    let ask = || app.request(Method::GET, "/api/v1/who").bearer_auth(&token).send();
    assert_eq!(ask().await.unwrap().status(), 200);
    app.revocations.apply(Revocation::Session { session, expires_at: Utc::now() + Duration::from_secs(60) });
    assert_eq!(error(ask().await.unwrap()).await, (401, "TOKEN_REVOKED".to_owned()));
}

#[tokio::test]
async fn bodies_that_cannot_be_read_are_400_and_large_ones_413() {
    let app = App::spawn().await;
    let post = |kind: &'static str, body: String| {
        app.request(Method::POST, "/api/v1/echo").header("content-type", kind).body(body).send()
    };
    for (kind, body) in [
        ("text/plain", "{}"),
        ("application/x-www-form-urlencoded", "text=a"),
        ("application/json", "{"),
        ("application/json", "{\"text\":1}"),
        ("application/json", ""),
    ] {
        let response = post(kind, body.to_owned()).await.unwrap();
        assert_eq!(error(response).await, (400, "VALIDATION_ERROR".to_owned()), "{kind} {body}");
    }
    let large = post("application/json", format!("{{\"text\":\"{}\"}}", "x".repeat(100))).await.unwrap();
    assert_eq!(error(large).await, (413, "PAYLOAD_TOO_LARGE".to_owned()));
    assert_eq!(post("application/json; charset=utf-8", "{\"text\":\"a\"}".to_owned()).await.unwrap().status(), 200);
}

/// nginx sends on what it has read when the answer is there already; a reset would lose that answer.
#[tokio::test]
async fn an_early_answer_reaches_a_client_that_is_still_sending() {
    let app = App::spawn().await;
    let address = app.base.strip_prefix("http://").unwrap();
    let body = "x".repeat(1024 * 1024);
    let head = format!(
        "POST /api/v1/echo HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    for _ in 0..20 {
        let mut connection = TcpStream::connect(address).await.unwrap();
        connection.write_all(head.as_bytes()).await.unwrap();
        for piece in body.as_bytes().chunks(64 * 1024) {
            connection.write_all(piece).await.unwrap();
        }
        let mut answer = [0; 12];
        connection.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 413");
    }
}

#[tokio::test]
async fn a_body_may_be_absent_where_it_is_optional() {
    let app = App::spawn().await;
    let bare = app.request(Method::POST, "/api/v1/optional").send().await.unwrap();
    assert_eq!(bare.json::<Value>().await.unwrap()["data"], json!(false));
    let garbage = app.request(Method::POST, "/api/v1/optional").body("x").send().await.unwrap();
    assert_eq!(error(garbage).await.0, 400);
}

#[tokio::test]
async fn only_canonical_uuids_are_ids() {
    let app = App::spawn().await;
    let id = Uuid::new_v4();
    assert_eq!(app.get(&format!("/api/v1/things/{id}")).await.status(), 200);
    for id in ["1", "not-a-uuid", &id.simple().to_string(), "%00"] {
        assert_eq!(error(app.get(&format!("/api/v1/things/{id}")).await).await.0, 400, "{id}");
    }
}

#[tokio::test]
async fn cors_allows_the_listed_origin_with_credentials_and_nobody_else() {
    let app = App::spawn().await;
    let preflight = |origin: &'static str| {
        app.request(Method::OPTIONS, "/api/v1/who")
            .header("origin", origin)
            .header("access-control-request-method", "PATCH")
            .header("access-control-request-headers", "authorization,x-session-id")
            .send()
    };
    let allowed = preflight("https://web.example").await.unwrap();
    assert_eq!(allowed.headers()["access-control-allow-origin"], "https://web.example");
    assert_eq!(allowed.headers()["access-control-allow-credentials"], "true");
    assert_eq!(allowed.headers()["access-control-max-age"], "3600");
    assert!(!preflight("https://evil.example").await.unwrap().headers().contains_key("access-control-allow-origin"));
    let failing = app.request(Method::GET, "/api/v1/who").header("origin", "https://web.example").send().await.unwrap();
    assert_eq!(failing.headers()["access-control-allow-origin"], "https://web.example", "errors carry it too");
}

#[tokio::test]
async fn a_panic_and_a_refusal_of_the_limit_are_answers_of_the_api_as_any_other() {
    let app = App::with(&[("RATE_LIMIT_REQUESTS", "1")]).await;
    let token = app.token(Uuid::new_v4(), Uuid::new_v4());
    for expected in [(500, "INTERNAL_ERROR"), (429, "TOO_MANY_REQUESTS")] {
        let request = app.request(Method::GET, "/api/v1/panic").header("origin", ORIGIN).bearer_auth(&token);
        let response = request.send().await.unwrap();
        let all = |name| response.headers().get_all(name).iter().collect::<Vec<_>>();
        assert_eq!(all("access-control-allow-origin"), [ORIGIN]);
        assert_eq!(all("access-control-allow-credentials"), ["true"]);
        assert_eq!(all("cache-control"), ["no-store"]);
        let (status, code) = error(response).await;
        assert_eq!((status, code.as_str()), expected);
    }
}

#[tokio::test]
async fn clients_cannot_invent_labels_of_metrics() {
    telemetry();
    let app = App::spawn().await;
    let id = Uuid::new_v4();
    app.get(&format!("/api/v1/things/{id}")).await;
    app.get("/api/v1/somewhere-invented").await;
    app.request(Method::from_bytes(b"BREW").unwrap(), "/api/v1/public").send().await.unwrap();
    let metrics = app.http.get(format!("{}/metrics", app.internal)).send().await.unwrap().text().await.unwrap();
    for label in [r#"route="/api/v1/things/{id}""#, r#"route="unmatched""#, r#"method="other""#] {
        assert!(metrics.contains(label), "no {label}: {metrics}");
    }
    for invented in [id.to_string().as_str(), "somewhere-invented", "BREW"] {
        assert!(!metrics.contains(invented), "{invented}: {metrics}");
    }
}

#[tokio::test]
async fn a_request_goes_on_with_the_trace_of_its_caller() {
    telemetry();
    let app = App::spawn().await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let request =
        app.request(Method::GET, "/api/v1/trace").header("traceparent", format!("00-{trace}-b7ad6b7169203331-01"));
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    assert!(answer["data"].as_str().unwrap().starts_with(&format!("00-{trace}-")), "{answer}");
    let answer: Value = app.get("/api/v1/trace").await.json().await.unwrap();
    assert!(answer["data"].as_str().is_some_and(|begun| !begun.contains(trace)), "{answer}");
}

#[tokio::test]
async fn nobody_is_served_before_the_conditions_hold() {
    let (fulfil, condition) = oneshot::channel();
    let app = App::start(&[], async { condition.await.unwrap() });
    app.answers("/healthz", 200).await;
    let readiness = app.http.get(format!("{}/readyz", app.internal)).send().await.unwrap();
    assert_eq!(readiness.status(), 503);
    assert_eq!(readiness.json::<Value>().await.unwrap()["listener"], json!("the public listener is closed"));
    assert!(app.request(Method::GET, "/api/v1/public").send().await.unwrap_err().is_connect());
    fulfil.send(()).unwrap();
    app.answers("/readyz", 200).await;
    assert_eq!(app.get("/api/v1/public").await.status(), 200);
}

#[tokio::test]
async fn a_shutdown_ends_the_wait_for_the_conditions() {
    let app = App::start(&[], std::future::pending());
    app.answers("/readyz", 503).await;
    app.shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(10), app.server).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn answers_are_not_stored_and_carry_the_request_id() {
    let app = App::spawn().await;
    let response =
        app.request(Method::GET, "/api/v1/public").header("x-request-id", "0123456789abcdef").send().await.unwrap();
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(response.headers()["x-request-id"], "0123456789abcdef");
    let forged = app.request(Method::GET, "/api/v1/public").header("x-request-id", "<script>").send().await.unwrap();
    assert_ne!(forged.headers()["x-request-id"], "<script>");
}

#[tokio::test]
async fn only_nginx_says_where_a_client_comes_from() {
    let app = App::spawn().await;
    let forged = app.request(Method::GET, "/api/v1/ip").header("x-forwarded-for", "203.0.113.9").send().await.unwrap();
    assert_eq!(forged.json::<Value>().await.unwrap()["data"], json!("0.0.0.0"));
}

#[tokio::test]
async fn the_general_limit_counts_users_apart_and_says_when_to_come_back() {
    let app = App::with(&[("RATE_LIMIT_REQUESTS", "2")]).await;
    let token = app.token(Uuid::new_v4(), Uuid::new_v4());
    let ask = |token: String| app.request(Method::GET, "/api/v1/who").bearer_auth(token).send();
    for _ in 0..2 {
        assert_eq!(ask(token.clone()).await.unwrap().status(), 200);
    }
    let refused = ask(token).await.unwrap();
    assert!(refused.headers()["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
    assert_eq!(error(refused).await, (429, "TOO_MANY_REQUESTS".to_owned()));
    assert_eq!(
        ask(app.token(Uuid::new_v4(), Uuid::new_v4())).await.unwrap().status(),
        200,
        "another user is not held back"
    );
}

#[tokio::test]
async fn the_internal_routes_ask_for_the_token_and_are_not_public() {
    let app = App::spawn().await;
    let ask = |token: String| app.http.get(format!("{}/internal/ping", app.internal)).bearer_auth(token).send();
    assert_eq!(ask("t".repeat(32)).await.unwrap().status(), 200);
    assert_eq!(ask("x".repeat(32)).await.unwrap().status(), 401);
    assert_eq!(app.get("/internal/ping").await.status(), 404);
    assert_eq!(app.get("/metrics").await.status(), 404);
}

#[tokio::test]
async fn shutdown_lets_a_running_request_finish() {
    let app = App::spawn().await;
    let running = tokio::spawn(app.request(Method::GET, "/api/v1/slow").send());
    tokio::time::sleep(Duration::from_millis(100)).await;
    app.shutdown.cancel();
    assert_eq!(running.await.unwrap().unwrap().status(), 200);
    app.server.await.unwrap().unwrap();
    assert!(app.http.get(format!("{}/api/v1/public", app.base)).send().await.is_err(), "nobody listens any more");
}
