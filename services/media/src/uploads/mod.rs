//! From the promise of a file to its publication: presign, the browser's PUT, confirm.

mod confirm;
mod contents;
mod presign;
mod view;

pub(crate) mod keys;
pub(crate) mod kinds;
pub(crate) mod publish;
pub(crate) mod rights;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::app::AppState;

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(presign::presign))
        .routes(routes!(confirm::confirm))
        .routes(routes!(view::presign_view))
}
