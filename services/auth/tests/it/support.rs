//! `TestApp`, people and what they do.

use std::{
    process::Output,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use grafikarsa_config::Reader;
use grafikarsa_devstack::{
    services,
    testing::{Running, Stack, http_client},
};
use grafikarsa_events::{Bus, EventsSettings};
use grafikarsa_jwt::{Claims, RevocationList};
use reqwest::{Method, RequestBuilder, header};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::{
    process::Command,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);
pub const PASSWORD: &str = "rahasia-sekali";

/// A running auth service with a database of its own.
pub struct TestApp {
    pub stack: Stack,
    pub auth: Running,
    pub pool: PgPool,
    http: reqwest::Client,
    internal_token: String,
}

impl TestApp {
    pub async fn spawn() -> Self {
        Self::with(&[]).await
    }

    pub async fn with(changes: &[(&str, &str)]) -> Self {
        Self::on(Stack::new().await, changes).await
    }

    pub async fn on(stack: Stack, changes: &[(&str, &str)]) -> Self {
        let auth = stack.spawn_with("auth", changes).await;
        let pool = stack.pool("auth").await;
        let internal_token = stack.env_of("auth")["INTERNAL_API_TOKEN"].clone();
        Self { stack, auth, pool, http: http_client(), internal_token }
    }

    /// A student whom portfolio has created, at an address of his or her own.
    pub async fn account(&self, name: &str) -> Person<'_> {
        self.account_with(name, "student").await
    }

    pub async fn account_with(&self, name: &str, role: &str) -> Person<'_> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let mut command = new_account(name);
        command["role"] = role.into();
        let created = self.internal("/internal/accounts", &command).await;
        assert_eq!(created.status, 200, "{created:?}");
        let path = format!("/internal/commands/{}/confirm", command["command_id"].as_str().unwrap());
        assert_eq!(self.internal(&path, &json!({})).await.status, 200);
        let [_, a, b, c] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        Person {
            app: self,
            id: command["account_id"].as_str().unwrap().parse().unwrap(),
            username: name.to_owned(),
            address: format!("10.{a}.{b}.{c}"),
        }
    }

    pub fn request(&self, method: Method, path: &str) -> Call {
        Call(self.http.request(method, self.auth.public_url().join(path).unwrap()))
    }

    pub fn post(&self, path: &str) -> Call {
        self.request(Method::POST, path)
    }

    pub fn get(&self, path: &str) -> Call {
        self.request(Method::GET, path)
    }

    /// A login request of a browser at `address`.
    pub async fn login(&self, identifier: &str, password: &str, address: &str) -> Answer {
        let body = json!({ "username": identifier, "password": password });
        self.post("/api/v1/auth/login").address(address).json(&body).send().await
    }

    pub async fn refresh(&self, cookie: &str) -> Answer {
        self.post("/api/v1/auth/refresh").cookie(cookie).send().await
    }

    pub async fn logout(&self, access: &str) -> Answer {
        self.post("/api/v1/auth/logout").bearer(access).send().await
    }

    pub async fn sessions(&self, access: &str) -> Answer {
        self.get("/api/v1/auth/sessions").bearer(access).send().await
    }

    pub async fn change_password(&self, access: &str, current: &str, new: &str) -> Answer {
        let body = json!({ "current_password": current, "new_password": new, "new_password_confirmation": new });
        self.request(Method::PATCH, "/api/v1/me/password").bearer(access).json(&body).send().await
    }

    /// A command of portfolio that changes an account.
    pub async fn change(&self, account: Uuid, mut what: Value) -> Answer {
        what["command_id"] = json!(Uuid::now_v7());
        self.internal(&format!("/internal/accounts/{account}/change"), &what).await
    }

    /// The bus as portfolio uses it.
    pub async fn portfolio(&self) -> Bus {
        let settings = EventsSettings::read(&mut Reader::from_map(self.stack.env_of("portfolio")));
        Bus::connect(&settings, "portfolio").await.unwrap()
    }

    /// The list of revocations as another service keeps it.
    pub async fn follow_revocations(&self) -> RevocationList {
        let bus = self.portfolio().await;
        let list = RevocationList::watch(bus.client().clone(), bus.namespace(), CancellationToken::new());
        eventually("the list is read", async || list.is_ready()).await;
        list
    }

    /// A call of portfolio.
    pub async fn internal(&self, path: &str, body: &Value) -> Answer {
        let url = self.auth.internal_url().join(path).unwrap();
        Call(self.http.post(url)).bearer(&self.internal_token).json(body).send().await
    }

    pub async fn command(&self, id: &Value) -> Value {
        let url = self.auth.internal_url().join(&format!("/internal/commands/{}", id.as_str().unwrap())).unwrap();
        Call(self.http.get(url)).bearer(&self.internal_token).send().await.body["data"].clone()
    }

    /// Changes rows as only time would.
    pub async fn sql(&self, statement: &'static str) {
        sqlx::raw_sql(statement).execute(&self.pool).await.expect(statement);
    }

    pub async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&self.pool).await.expect(query)
    }
}

/// `auth …` with some settings changed.
pub async fn auth(stack: &Stack, arguments: &[&str], changes: &[(&str, &str)]) -> Output {
    Command::new(services::programs().unwrap().join("auth"))
        .args(arguments)
        .env_clear()
        .envs(stack.env_of("auth"))
        .envs(changes.iter().copied())
        .output()
        .await
        .unwrap()
}

/// The body of the command that creates a student.
pub fn new_account(name: &str) -> Value {
    json!({
        "command_id": Uuid::now_v7(),
        "account_id": Uuid::now_v7(),
        "username": name,
        "email": format!("{name}@sekolah.sch.id"),
        "password": PASSWORD,
        "role": "student",
        "must_change_password": false,
    })
}

/// Somebody with an account and a browser at an address.
pub struct Person<'a> {
    app: &'a TestApp,
    pub id: Uuid,
    pub username: String,
    pub address: String,
}

impl Person<'_> {
    pub async fn login(&self) -> Session {
        let answer = self.app.login(&self.username, PASSWORD, &self.address).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.session()
    }

    pub async fn login_with(&self, password: &str) -> Answer {
        self.app.login(&self.username, password, &self.address).await
    }
}

/// The tokens a browser holds.
#[derive(Clone, Debug)]
pub struct Session {
    pub access: String,
    pub cookie: String,
}

pub struct Call(RequestBuilder);

impl Call {
    pub fn bearer(self, token: &str) -> Self {
        Self(self.0.bearer_auth(token))
    }

    pub fn cookie(self, token: &str) -> Self {
        Self(self.0.header(header::COOKIE, format!("refresh_token={token}")))
    }

    /// What nginx says about the client's address.
    pub fn address(self, address: &str) -> Self {
        self.header("x-real-ip", address)
    }

    pub fn header(self, name: &str, value: &str) -> Self {
        Self(self.0.header(name, value))
    }

    pub fn json(self, body: &Value) -> Self {
        Self(self.0.json(body))
    }

    pub fn body(self, kind: &str, body: impl Into<String>) -> Self {
        Self(self.0.header(header::CONTENT_TYPE, kind).body(body.into()))
    }

    pub async fn send(self) -> Answer {
        let response = self.0.send().await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.expect("a body");
        Answer { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) }
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: header::HeaderMap,
    pub body: Value,
}

impl Answer {
    /// Status and error code.
    pub fn error(&self) -> (u16, &str) {
        (self.status, self.body["error"]["code"].as_str().unwrap_or("none"))
    }

    /// `Set-Cookie`, as it is.
    pub fn set_cookie(&self) -> Option<&str> {
        self.headers.get(header::SET_COOKIE).map(|value| value.to_str().unwrap())
    }

    /// The refresh token it sets; an empty one is a cleared one.
    pub fn cookie(&self) -> Option<&str> {
        self.set_cookie()?.strip_prefix("refresh_token=")?.split(';').next()
    }

    pub fn clears_the_cookie(&self) -> bool {
        self.cookie() == Some("") && self.set_cookie().is_some_and(|cookie| cookie.contains("Max-Age=0"))
    }

    pub fn access(&self) -> String {
        self.body["data"]["access_token"].as_str().expect("an access token").to_owned()
    }

    pub fn session(&self) -> Session {
        Session { access: self.access(), cookie: self.cookie().expect("a cookie").to_owned() }
    }

    /// Names of the broken fields.
    pub fn fields(&self) -> Vec<&str> {
        self.body["error"]["details"].as_array().unwrap().iter().map(|d| d["field"].as_str().unwrap()).collect()
    }
}

/// The claims of a token, unchecked.
pub fn claims(access: &str) -> Value {
    let payload = access.split('.').nth(1).expect("three parts");
    serde_json::from_slice(&data_encoding::BASE64URL_NOPAD.decode(payload.as_bytes()).unwrap()).unwrap()
}

/// The same, as services read them.
pub fn typed_claims(access: &str) -> Claims {
    serde_json::from_value(claims(access)).unwrap()
}

/// The session of a token.
pub fn session_id(access: &str) -> String {
    claims(access)["sid"].as_str().unwrap().to_owned()
}

/// Waits for something that happens in the background.
pub async fn eventually(what: &str, mut check: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !check().await {
        assert!(Instant::now() < deadline, "never happened: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}
