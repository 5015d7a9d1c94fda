//! Somebody who uses the running stack through nginx, as the web client does.

use std::time::Duration;

use anyhow::Context as _;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use url::Url;

/// One signed-in person.
#[derive(Clone)]
pub struct Visitor {
    http: reqwest::Client,
    base: Url,
    token: Option<String>,
}

/// What the stack answered.
pub struct Answer {
    pub status: StatusCode,
    pub body: Value,
}

impl Answer {
    /// The `data` of a success.
    pub fn data(mut self) -> anyhow::Result<Value> {
        anyhow::ensure!(self.status.is_success(), "{}: {}", self.status, self.body);
        Ok(self.body["data"].take())
    }

    /// The code of an error; empty for a success.
    pub fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }
}

impl Visitor {
    /// A guest of the stack at `base`.
    pub fn guest(base: Url) -> anyhow::Result<Self> {
        // A second installation finds the first; the address may be an https one.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).no_proxy().build()?;
        Ok(Self { http, base, token: None })
    }

    /// The same stack, as the person who has this password.
    pub async fn login(&self, username: &str, password: &str) -> anyhow::Result<Self> {
        let body = json!({ "username": username, "password": password });
        let data = self.post("/api/v1/auth/login", &body).await?.data();
        let data = data.with_context(|| format!("{username} cannot log in"))?;
        let token = data["access_token"].as_str().context("the login carries no token")?;
        Ok(Self { token: Some(token.to_owned()), ..self.clone() })
    }

    pub async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.send(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Answer> {
        self.send(Method::POST, path, Some(body)).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> anyhow::Result<Answer> {
        self.send(Method::PATCH, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> anyhow::Result<Answer> {
        self.send(Method::DELETE, path, None).await
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Answer> {
        let mut request = self.http.request(method, self.base.join(path)?);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.with_context(|| format!("{path} was not answered"))?;
        let status = answer.status();
        let bytes = answer.bytes().await?;
        let body = serde_json::from_slice(&bytes).with_context(|| format!("{path}: {status} is not JSON"))?;
        Ok(Answer { status, body })
    }

    /// Presign, PUT, confirm: the public address of the picture.
    pub async fn upload(
        &self,
        kind: &str,
        portfolio: &str,
        filename: &str,
        bytes: &'static [u8],
    ) -> anyhow::Result<String> {
        let wish = json!({
            "upload_type": kind,
            "portfolio_id": portfolio,
            "filename": filename,
            "content_type": "image/jpeg",
            "file_size": bytes.len(),
        });
        let upload = self.post("/api/v1/uploads/presign", &wish).await?.data().context("presign")?;
        let target = upload["presigned_url"].as_str().context("the answer to presign has no address")?;
        let put = self.http.put(target).header(reqwest::header::CONTENT_TYPE, "image/jpeg").body(bytes).send().await?;
        anyhow::ensure!(put.status().is_success(), "the object store answered {}", put.status());
        let receipt = json!({ "upload_id": upload["upload_id"], "object_key": upload["object_key"] });
        let confirmed = self.post("/api/v1/uploads/confirm", &receipt).await?.data().context("confirm")?;
        Ok(confirmed["url"].as_str().context("the answer to confirm has no address")?.to_owned())
    }
}
