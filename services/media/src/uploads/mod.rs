//! From the promise of a file to its publication and its end: presign, the browser's PUT, confirm, delete.

mod contents;
mod presign;
mod view;

pub(crate) mod confirm;
pub(crate) mod delete;
pub(crate) mod keys;
pub(crate) mod kinds;
pub(crate) mod publish;
pub(crate) mod rights;

use axum::routing;
use utoipa::{OpenApi, openapi::OpenApi as Document};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::app::AppState;

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(presign::presign))
        .routes(routes!(confirm::confirm))
        .routes(routes!(view::presign_view))
        .route("/api/v1/uploads/{*object_key}", routing::delete(delete::delete))
}

/// The description of what is routed apart from it, because its key spans several path segments.
pub(crate) fn documentation() -> Document {
    #[derive(OpenApi)]
    #[openapi(paths(delete::delete))]
    struct Documentation;
    Documentation::openapi()
}
