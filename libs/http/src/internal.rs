//! Calls between services: the client, and the guard of the routes it calls.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use grafikarsa_config::Secret;
use reqwest::{Method, RequestBuilder};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use subtle::ConstantTimeEq as _;
use url::Url;

use crate::ApiError;

/// Answers of another service are read up to this size.
const ANSWER_LIMIT: usize = 4 * 1024 * 1024;

/// Lets in who shows `INTERNAL_API_TOKEN`.
#[derive(Clone)]
pub struct InternalGuard(Arc<Secret>);

impl InternalGuard {
    /// A guard that asks for `token`.
    pub fn new(token: &Secret) -> Self {
        Self(Arc::new(token.clone()))
    }

    fn admits(&self, request: &Request) -> bool {
        let shown =
            request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        shown.is_some_and(|shown| shown.as_bytes().ct_eq(self.0.bytes()).into())
    }
}

pub(crate) fn guarded(router: Router, guard: InternalGuard) -> Router {
    router.layer(from_fn_with_state(guard, check))
}

async fn check(State(guard): State<InternalGuard>, request: Request, next: Next) -> Response {
    if guard.admits(&request) {
        next.run(request).await
    } else {
        ApiError::unauthorized("UNAUTHORIZED", "Token internal tidak valid").into_response()
    }
}

/// Why a call to another service failed.
#[derive(Debug, thiserror::Error)]
pub enum InternalError {
    /// The service answered with an error of its own.
    #[error("the service answered {status} {code}")]
    Api {
        /// HTTP status.
        status: StatusCode,
        /// Code of the envelope.
        code: String,
        /// Message of the envelope.
        message: String,
    },
    /// No answer, or none in time. Whether the call took effect is unknown.
    #[error("the service cannot be reached")]
    Unreachable(#[source] anyhow::Error),
    /// The answer makes no sense.
    #[error("the service's answer cannot be read")]
    Unreadable(#[source] anyhow::Error),
}

impl From<InternalError> for ApiError {
    fn from(error: InternalError) -> Self {
        match error {
            // A peer that is draining or has lost its own database is down for us too.
            InternalError::Api { status, .. } if status.is_server_error() => Self::unavailable().because(error),
            // A refused internal token is our own misconfiguration, never the caller's.
            InternalError::Api { status: StatusCode::UNAUTHORIZED, .. } | InternalError::Unreadable(_) => {
                Self::internal(error)
            }
            InternalError::Api { status, code, message } => Self::new(status, code, message),
            InternalError::Unreachable(_) => Self::unavailable().because(error),
        }
    }
}

/// Calls `/internal/*` of one other service.
#[derive(Clone)]
pub struct InternalClient {
    http: reqwest::Client,
    base: Url,
    token: Arc<Secret>,
    deadline: Duration,
}

#[derive(Deserialize)]
struct Success<T> {
    data: T,
}

#[derive(Deserialize)]
struct Failure {
    error: FailureBody,
}

#[derive(Deserialize)]
struct FailureBody {
    code: String,
    message: String,
}

impl InternalClient {
    /// A client of the service at `base`; each call ends after `deadline`.
    ///
    /// # Errors
    /// The HTTP client cannot be built.
    pub fn new(base: Url, token: &Secret, deadline: Duration) -> anyhow::Result<Self> {
        install_crypto();
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(1))
            .pool_idle_timeout(Duration::from_secs(30))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self { http, base, token: Arc::new(token.clone()), deadline })
    }

    /// The same client with another deadline, for a command that takes longer than others.
    #[must_use]
    pub fn within(&self, deadline: Duration) -> Self {
        Self { deadline, ..self.clone() }
    }

    /// GET; `path` begins with `/internal/`. Tried once more when the connection fails, for it changes nothing.
    ///
    /// # Errors
    /// See [`InternalError`].
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, InternalError> {
        match self.send(Method::GET, path, |request| request).await {
            Err(InternalError::Unreachable(_)) => self.send(Method::GET, path, |request| request).await,
            answer => answer,
        }
    }

    /// POST with a JSON body. Never repeated here: the caller knows whether that is safe.
    ///
    /// # Errors
    /// See [`InternalError`].
    pub async fn post<B: Serialize, T: DeserializeOwned>(&self, path: &str, body: &B) -> Result<T, InternalError> {
        self.send(Method::POST, path, |request| request.json(body)).await
    }

    /// POST of a file as it is, with its length. Never repeated here either.
    ///
    /// # Errors
    /// See [`InternalError`].
    pub async fn post_bytes<T: DeserializeOwned>(
        &self,
        path: &str,
        content_type: &str,
        bytes: Bytes,
    ) -> Result<T, InternalError> {
        self.send(Method::POST, path, |request| request.header(header::CONTENT_TYPE, content_type).body(bytes)).await
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        with_body: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<T, InternalError> {
        let url = self.base.join(path).map_err(|error| InternalError::Unreadable(error.into()))?;
        let request = self.http.request(method, url).timeout(self.deadline).bearer_auth(self.token.expose());
        let request = with_body(request);
        let mut headers = HeaderMap::new();
        grafikarsa_telemetry::propagation::inject_http(&mut headers);
        let mut answer =
            request.headers(headers).send().await.map_err(|error| InternalError::Unreachable(error.into()))?;
        let status = answer.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| InternalError::Unreachable(error.into()))? {
            if bytes.len() + chunk.len() > ANSWER_LIMIT {
                return Err(InternalError::Unreadable(anyhow::anyhow!("the answer is too large")));
            }
            bytes.extend_from_slice(&chunk);
        }
        if status.is_success() {
            let success: Success<T> =
                serde_json::from_slice(&bytes).map_err(|error| InternalError::Unreadable(error.into()))?;
            Ok(success.data)
        } else {
            match serde_json::from_slice::<Failure>(&bytes) {
                Ok(Failure { error }) => Err(InternalError::Api { status, code: error.code, message: error.message }),
                Err(error) if status.is_server_error() => Err(InternalError::Unreachable(error.into())),
                Err(error) => Err(InternalError::Unreadable(error.into())),
            }
        }
    }
}

/// Chooses ring for this process; a second call finds it chosen.
fn install_crypto() {
    let _installed = rustls::crypto::ring::default_provider().install_default();
}
