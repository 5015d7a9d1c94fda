//! The API's own description: the document of all three services, and a page that shows it.

use axum::{
    http::{HeaderName, HeaderValue, header},
    response::IntoResponse,
    routing::get,
};
use utoipa_axum::router::OpenApiRouter;

use crate::AppState;

/// Generated from the code of all services; `make lint` refuses a stale one.
const DOCUMENT: &str = include_str!("../../../docs/openapi.json");
/// Everything the page needs is in it: no other host is asked for anything.
const PAGE: &str = include_str!("docs.html");
/// The page's own script and style may run, and nothing else may be loaded but the document.
const POLICY: &str =
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'";

pub fn router() -> OpenApiRouter<AppState> {
    // The description does not describe itself.
    OpenApiRouter::new().route("/api/v1/openapi.json", get(document)).route("/api/v1/docs", get(page))
}

async fn document() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json"), CACHED], DOCUMENT)
}

async fn page() -> impl IntoResponse {
    let policy = (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    let kind = (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    ([kind, policy, (CACHED.0, HeaderValue::from_static(CACHED.1))], PAGE)
}

const CACHED: (HeaderName, &str) = (header::CACHE_CONTROL, "public, max-age=300");
