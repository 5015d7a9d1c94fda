//! Somebody in front of a screen: every call goes through nginx, as the web client's do.

use std::{future::Future, time::Duration};

use reqwest::{Method, StatusCode, header::HeaderMap};
use serde_json::{Value, json};
use tokio::time::Instant;
use url::Url;

/// Far more than anything here takes, so that a slow machine fails no test.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A guest, or somebody signed in.
#[derive(Clone)]
pub struct Person {
    http: reqwest::Client,
    base: Url,
    pub token: Option<String>,
    cookie: Option<String>,
}

/// What the stack answered, or that it did not (status 599: the connection broke).
#[derive(Debug)]
pub struct Answer {
    pub request: String,
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub bytes: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or(Value::Null)
    }

    /// The code of an error; empty for a success.
    pub fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The `data` of an answer with this status.
    pub fn expect(self, status: u16) -> Value {
        let Self { request, status: got, bytes, .. } = &self;
        assert_eq!(got.as_u16(), status, "{request}: {}", String::from_utf8_lossy(bytes));
        self.json()["data"].take()
    }

    /// Whether the same request may be sent again: something was down, and nothing (known) was consumed.
    pub fn is_outage(&self) -> bool {
        matches!(self.status.as_u16(), 502..=504 | 599)
    }
}

impl Person {
    /// A guest of the stack behind `base`.
    pub fn guest(base: Url) -> Self {
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).no_proxy().build().unwrap();
        Self { http, base, token: None, cookie: None }
    }

    /// The same person with this access token.
    pub fn with_token(&self, access_token: &Value) -> Self {
        Self { token: access_token.as_str().map(str::to_owned), ..self.clone() }
    }

    /// The same person in a browser that sends this refresh token.
    pub fn with_cookie(&self, refresh_token: &str) -> Self {
        Self { cookie: Some(refresh_token.to_owned()), ..self.clone() }
    }

    /// Tries until the stack lets this person in; what is down while the test kills things comes back.
    pub async fn login(&self, username: &str, password: &str) -> Self {
        let body = json!({ "username": username, "password": password });
        let data = self.insist(Method::POST, "/api/v1/auth/login", Some(body)).await.expect(200);
        Self { token: Some(data["access_token"].as_str().unwrap().to_owned()), ..self.clone() }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, Some(body)).await
    }

    /// Repeats a request that is safe to repeat until it is answered by who should answer it.
    pub async fn insist(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.send(method.clone(), path, body.clone()).await;
            if !answer.is_outage() {
                return answer;
            }
            assert!(Instant::now() < deadline, "still down: {answer:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let url = self.base.join(path).unwrap();
        let description = format!("{method} {path}");
        let mut request = self.http.request(method, url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(cookie) = &self.cookie {
            request = request.header(reqwest::header::COOKIE, format!("refresh_token={cookie}"));
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        finish(description, request).await
    }

    /// PUT of a file to a presigned address.
    pub async fn put(&self, address: &str, content_type: &str, bytes: &'static [u8]) -> Answer {
        let request = self.http.put(address).header(reqwest::header::CONTENT_TYPE, content_type).body(bytes);
        finish("PUT to the object store".to_owned(), request).await
    }

    /// GET of an absolute address, such as a picture's.
    pub async fn fetch(&self, address: &str) -> Answer {
        finish(format!("GET {address}"), self.http.get(address)).await
    }
}

async fn finish(request: String, builder: reqwest::RequestBuilder) -> Answer {
    let broken = || StatusCode::from_u16(599).unwrap();
    match builder.send().await {
        Ok(response) => {
            let (status, headers) = (response.status(), response.headers().clone());
            match response.bytes().await {
                Ok(bytes) => Answer { request, status, headers, bytes: bytes.to_vec() },
                Err(_) => Answer { request, status: broken(), headers, bytes: Vec::new() },
            }
        }
        Err(error) => {
            Answer { request, status: broken(), headers: HeaderMap::new(), bytes: format!("{error:#}").into_bytes() }
        }
    }
}

/// Polls until `check` gives something; fails the test with the last complaint when the patience is over.
pub async fn eventually<T, F, Fut>(what: &str, check: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, String>>,
{
    within(PATIENCE, what, check).await
}

/// [`eventually`], with a promise about the time.
pub async fn within<T, F, Fut>(limit: Duration, what: &str, mut check: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, String>>,
{
    let deadline = Instant::now() + limit;
    loop {
        match check().await {
            Ok(value) => return value,
            Err(complaint) => assert!(Instant::now() < deadline, "not {what} within {limit:?}: {complaint}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
