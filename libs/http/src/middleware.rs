//! What happens around every handler: request id, trace, metrics, identity, rate limit, CORS, time limit, panics.

use std::{
    any::Any,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{DefaultBodyLimit, MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
};
use grafikarsa_jwt::Verifier;
use grafikarsa_telemetry::propagation::{TRACEPARENT, join_trace};
use tower_http::{catch_panic::CatchPanicLayer, cors::CorsLayer};
use tracing::{Instrument as _, field::Empty};
use uuid::Uuid;

use crate::{
    ApiError, ClientIp, HttpSettings, RequestId, extract::Identity, rate_limit::GeneralLimit, unread::drain_unread,
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Bodies of routes that set no limit of their own.
const BODY_LIMIT: usize = 1024 * 1024;
/// A request that takes longer is answered with 503; routes that need more are named by `Service::slow`.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// Routes with a time limit of their own.
pub(crate) type SlowRoutes = Vec<(&'static str, Duration)>;

/// The layers of the routes under `/api/v1`.
pub(crate) fn api(
    router: Router,
    settings: &HttpSettings,
    verifier: Verifier,
    limit: Arc<GeneralLimit>,
    slow: SlowRoutes,
) -> Router {
    router
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(Arc::new(slow), time_limit))
        // Panics and refusals of the limit are answers of the API, too: `no_store` and CORS lie around them.
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state((verifier, limit), identify))
        .layer(from_fn(no_store))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(cors(settings))
}

/// The layers around everything a listener serves.
pub(crate) fn outermost(router: Router, draining: Arc<AtomicBool>) -> Router {
    router
        // For what is outside of the API, and for the layers themselves.
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(drain_unread))
        .layer(from_fn_with_state(draining, close_when_draining))
        .layer(from_fn(observe))
}

async fn unknown_route() -> ApiError {
    ApiError::not_found("NOT_FOUND", "Halaman tidak ditemukan")
}

pub(crate) async fn wrong_method() -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "Metode tidak diizinkan")
}

fn panicked(_: Box<dyn Any + Send>) -> Response {
    ApiError::internal(anyhow::anyhow!("a handler panicked")).into_response()
}

fn cors(settings: &HttpSettings) -> CorsLayer {
    let origins: Vec<HeaderValue> = settings.cors_origins.iter().filter_map(|origin| origin.parse().ok()).collect();
    let named = HeaderName::from_static;
    CorsLayer::new()
        .allow_origin(origins)
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS])
        .allow_headers([
            header::ORIGIN,
            header::CONTENT_TYPE,
            header::ACCEPT,
            header::AUTHORIZATION,
            named("x-requested-with"),
            named("x-session-id"),
            header::CACHE_CONTROL,
            header::PRAGMA,
            named("service-worker"),
        ])
        .expose_headers([REQUEST_ID, header::RETRY_AFTER, header::CONTENT_DISPOSITION])
        .max_age(Duration::from_secs(3600))
}

/// Finds out who calls and counts the request.
async fn identify(
    State((verifier, limit)): State<(Verifier, Arc<GeneralLimit>)>,
    mut request: Request,
    next: Next,
) -> Response {
    let identity = Identity::of(request.headers(), &verifier);
    if request.uri().path() != "/api/v1/health"
        && let Err(seconds) = limit.check(&identity, ClientIp::of(request.headers()))
    {
        return ApiError::too_many(seconds).into_response();
    }
    request.extensions_mut().insert(identity);
    next.run(request).await
}

/// Answers of the API are nobody's to keep, unless their route says otherwise.
async fn no_store(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

async fn time_limit(State(slow): State<Arc<SlowRoutes>>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let limit = slow.iter().find(|(path, _)| *path == route).map_or(TIME_LIMIT, |&(_, limit)| limit);
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(late) => ApiError::unavailable().because(late).into_response(),
    }
}

async fn close_when_draining(State(draining): State<Arc<AtomicBool>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if draining.load(Ordering::Relaxed) {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Clients may invent methods, but no metrics: each new label would be one more for ever.
fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// Gives the request its id, its span and its metrics. Nothing of the query or the headers is written down.
async fn observe(mut request: Request, next: Next) -> Response {
    let id = request
        .headers()
        .get(&REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|id| (8..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
        .map_or_else(|| Uuid::new_v4().simple().to_string(), str::to_owned);
    let method = known_method(request.method());
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let span = tracing::info_span!("request", method, route, request_id = %id, trace_id = Empty);
    join_trace(&span, request.headers().get(TRACEPARENT).and_then(|parent| parent.to_str().ok()));
    request.extensions_mut().insert(RequestId(id.clone()));

    let started = Instant::now();
    let (mut response, elapsed) = async {
        let response = next.run(request).await;
        let elapsed = started.elapsed();
        let status = response.status().as_u16();
        tracing::info!(status, milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX), "answered");
        (response, elapsed)
    }
    .instrument(span)
    .await;

    let labels = [("method", method.to_owned()), ("route", route), ("status", response.status().as_u16().to_string())];
    metrics::counter!("http_requests_total", &labels).increment(1);
    metrics::histogram!("http_request_duration_seconds", &labels[..2]).record(elapsed);
    if let Ok(id) = HeaderValue::try_from(id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}
