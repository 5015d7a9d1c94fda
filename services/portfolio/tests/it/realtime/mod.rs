//! Sockets, on two replicas where it matters.

mod client;
mod convergence;
mod delivery;
mod endings;
mod handshake;
mod limits;
mod outages;
mod presence;
mod speaking;
mod typing;

use grafikarsa_config::Secret;
use grafikarsa_devstack::testing::{Running, Stack, http_client};
use grafikarsa_jwt::{Role, TokenKeys};
use reqwest::{Method, header};
use serde_json::{Value, json};

use self::client::{Client, Pair};
use crate::support::{PASSWORD, TestApp, User};

/// auth and two replicas of portfolio.
struct Two {
    app: TestApp,
    second: Running,
}

impl Two {
    async fn spawn() -> Self {
        Self::with(&[]).await
    }

    async fn with(changes: &[(&str, &str)]) -> Self {
        Self::on(Stack::new().await, changes).await
    }

    async fn on(stack: Stack, changes: &[(&str, &str)]) -> Self {
        let app = TestApp::on(stack, changes).await;
        let second = app.stack.spawn_replica("portfolio", changes).await;
        Self { app, second }
    }

    /// One socket of `user` on each replica.
    async fn sockets(&self, user: &User) -> [Client; 2] {
        [user.socket(&self.app.portfolio).await, user.socket(&self.second).await]
    }
}

/// An answer of auth, as far as sessions go.
struct Session {
    status: u16,
    body: Value,
    cookie: String,
}

impl Session {
    fn user(&self, like: &User) -> User {
        assert_eq!(self.status, 200, "{}", self.body);
        like.with_token(self.body["data"]["access_token"].as_str().unwrap().to_owned())
    }
}

/// A request to auth.
async fn auth(app: &TestApp, method: Method, path: &str, token: &str, cookie: &str, body: &Value) -> Session {
    let url = app.auth.public_url().join(path).unwrap();
    let request = http_client().request(method, url).header(header::COOKIE, format!("refresh_token={cookie}"));
    let response = request.bearer_auth(token).json(body).send().await.unwrap();
    let set = response.headers().get(header::SET_COOKIE).map(|value| value.to_str().unwrap().to_owned());
    let cookie = set.as_deref().and_then(|set| set.strip_prefix("refresh_token=")?.split(';').next());
    Session {
        status: response.status().as_u16(),
        cookie: cookie.unwrap_or_default().to_owned(),
        body: response.json().await.unwrap(),
    }
}

/// A login as a browser does it that still has this cookie.
async fn login(app: &TestApp, username: &str, cookie: &str) -> Session {
    let body = json!({ "username": username, "password": PASSWORD });
    auth(app, Method::POST, "/api/v1/auth/login", "x", cookie, &body).await
}

/// What signs access tokens.
fn keys(app: &TestApp, lifetime: std::time::Duration) -> TokenKeys {
    TokenKeys::new(&Secret::new(app.stack.env_of("portfolio")["JWT_ACCESS_SECRET"].clone()), lifetime)
}

/// A token that auth could have minted `ago` seconds ago.
fn minted(app: &TestApp, user: &User, lifetime: u64, ago: i64) -> String {
    let now = chrono::Utc::now() - chrono::Duration::seconds(ago);
    let keys = keys(app, std::time::Duration::from_secs(lifetime));
    keys.mint(user.id, Role::Student, session_of(user), 0, now).unwrap()
}

fn session_of(user: &User) -> uuid::Uuid {
    claims(&user.token)["sid"].as_str().unwrap().parse().unwrap()
}

/// The claims of a token, unverified.
fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&data_encoding::BASE64URL_NOPAD.decode(payload.as_bytes()).unwrap()).unwrap()
}
