//! `/storage`: published objects, streamed from the object store.

mod conditional;
mod range;
mod resize;
mod serve;
mod signature;
mod visibility;

use axum::{Router, routing::any};
use utoipa::{OpenApi, openapi::OpenApi as Document};

pub(crate) use serve::WIDTHS;
pub(crate) use signature::{Signatures, VIEW};

use crate::app::AppState;

pub(crate) fn router(app: AppState) -> Router {
    // One handler for all methods: refusals carry the same headers as the rest.
    Router::new().route("/storage/{*object_key}", any(serve::serve)).with_state(app)
}

/// The description is written apart from the route, whose key spans several path segments.
pub(crate) fn documentation() -> Document {
    #[derive(OpenApi)]
    #[openapi(paths(serve::document))]
    struct Documentation;
    Documentation::openapi()
}
