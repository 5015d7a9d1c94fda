use std::borrow::Cow;

use axum::{
    Json,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

/// What a handler returns.
pub type ApiResult<T> = Result<T, ApiError>;

/// One broken field of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Name of the field, as in the request: `judul`, `payload.url`, `social_links[2].url`.
    pub field: String,
    /// What is wrong, in Indonesian.
    pub message: String,
}

/// An error that a client sees: status, code, a message in Indonesian, and the broken fields if any.
///
/// An internal cause is kept for the log and never shown.
#[derive(Debug)]
pub struct ApiError(Box<Inner>);

#[derive(Debug)]
struct Inner {
    status: StatusCode,
    code: Cow<'static, str>,
    message: Cow<'static, str>,
    details: Vec<FieldError>,
    headers: HeaderMap,
    cause: Option<anyhow::Error>,
}

impl ApiError {
    /// Any error. The constructors below cover the usual ones.
    pub fn new(status: StatusCode, code: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            status,
            code: code.into(),
            message: message.into(),
            details: Vec::new(),
            headers: HeaderMap::new(),
            cause: None,
        }))
    }

    /// 400 with a code of the chapter.
    pub fn bad_request(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// 400 `VALIDATION_ERROR`: the request cannot be read, and `field` says where.
    pub fn syntax(field: impl Into<String>, message: impl Into<String>) -> Self {
        let message = message.into();
        let error = Self::new(StatusCode::BAD_REQUEST, "VALIDATION_ERROR", message.clone());
        error.detail(field, message)
    }

    /// 422 `VALIDATION_ERROR` with every broken field; the message is the first one's.
    pub fn invalid(details: Vec<FieldError>) -> Self {
        let message = details.first().map_or_else(|| "Data tidak valid".to_owned(), |first| first.message.clone());
        let mut error = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "VALIDATION_ERROR", message);
        error.0.details = details;
        error
    }

    /// 401 with one of the token codes.
    pub fn unauthorized(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, message)
    }

    /// 403 `FORBIDDEN`.
    pub fn forbidden() -> Self {
        Self::forbidden_with("FORBIDDEN", "Anda tidak memiliki akses untuk tindakan ini")
    }

    /// 403 with a code of the chapter.
    pub fn forbidden_with(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, message)
    }

    /// 404 with the chapter's code.
    pub fn not_found(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    /// 409 with the chapter's code.
    pub fn conflict(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, code, message)
    }

    /// 413 `PAYLOAD_TOO_LARGE`.
    pub fn payload_too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", "Ukuran data terlalu besar")
    }

    /// 429 with `Retry-After` in seconds, at least one.
    pub fn too_many(retry_after: u64) -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "TOO_MANY_REQUESTS",
            "Terlalu banyak permintaan, silakan coba lagi nanti",
        )
        .with_header(header::RETRY_AFTER, HeaderValue::from(retry_after.max(1)))
    }

    /// 503: something this request needs is down, nothing was consumed, the client may repeat it.
    pub fn unavailable() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "SERVICE_UNAVAILABLE",
            "Layanan sedang tidak tersedia, silakan coba lagi",
        )
    }

    /// 500; `cause` goes to the log with the request id.
    pub fn internal(cause: impl Into<anyhow::Error>) -> Self {
        let error = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR", "Terjadi kesalahan pada server");
        error.because(cause)
    }

    /// Adds a broken field.
    #[must_use]
    pub fn detail(mut self, field: impl Into<String>, message: impl Into<String>) -> Self {
        self.0.details.push(FieldError { field: field.into(), message: message.into() });
        self
    }

    /// Adds a response header, such as a cookie to be cleared.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.append(name, value);
        self
    }

    /// Keeps the cause for the log.
    #[must_use]
    pub fn because(mut self, cause: impl Into<anyhow::Error>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The code.
    pub fn code(&self) -> &str {
        &self.0.code
    }
}

impl From<anyhow::Error> for ApiError {
    fn from(error: anyhow::Error) -> Self {
        Self::internal(error)
    }
}

impl From<sqlx::Error> for ApiError {
    fn from(error: sqlx::Error) -> Self {
        // Class 57 is a server going down or a statement cancelled by its time limit, 55 a lock not had in time, 40 a
        // conflict between transactions: in all of them nothing has changed and a repetition may succeed.
        let transient = match &error {
            sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Io(_) | sqlx::Error::WorkerCrashed => {
                true
            }
            sqlx::Error::Database(database) => {
                database.code().is_some_and(|code| ["57", "55", "40", "53", "08"].contains(&&code[..2.min(code.len())]))
            }
            _ => false,
        };
        if transient { Self::unavailable().because(error) } else { Self::internal(error) }
    }
}

/// Turns a broken constraint into the client error it means.
pub trait OnConstraint<T> {
    /// Maps a violation of the constraint called `name`; every other error passes as it is.
    ///
    /// # Errors
    /// What `error` makes, or the original error.
    fn on_constraint(self, name: &str, error: impl FnOnce() -> ApiError) -> Result<T, ApiError>;
}

impl<T, E: Into<ApiError> + ConstraintName> OnConstraint<T> for Result<T, E> {
    fn on_constraint(self, name: &str, error: impl FnOnce() -> ApiError) -> Result<T, ApiError> {
        self.map_err(|cause| if cause.constraint_name() == Some(name) { error() } else { cause.into() })
    }
}

/// An error that may know which constraint was broken.
pub trait ConstraintName {
    /// Name of the broken constraint.
    fn constraint_name(&self) -> Option<&str>;
}

impl ConstraintName for sqlx::Error {
    fn constraint_name(&self) -> Option<&str> {
        self.as_database_error().and_then(|error| error.constraint())
    }
}

impl ConstraintName for ApiError {
    fn constraint_name(&self) -> Option<&str> {
        self.0.cause.as_ref()?.downcast_ref::<sqlx::Error>()?.constraint_name()
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    success: bool,
    error: ErrorBody<'a>,
    // Some pages of the web client read the text here.
    message: &'a str,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
    details: &'a [FieldError],
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Inner { status, code, message, details, headers, cause } = *self.0;
        if let Some(cause) = cause {
            if status == StatusCode::SERVICE_UNAVAILABLE {
                tracing::warn!(error = format!("{cause:#}"), "a dependency is unavailable");
            } else if status.is_server_error() {
                tracing::error!(error = format!("{cause:#}"), "request failed");
            }
        }
        let error = ErrorBody { code: &code, message: &message, details: &details };
        (status, headers, Json(Envelope { success: false, error, message: &message })).into_response()
    }
}
