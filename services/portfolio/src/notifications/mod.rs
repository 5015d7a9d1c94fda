//! What people are told.

use utoipa_axum::router::OpenApiRouter;

use crate::AppState;

mod insert;

pub use insert::{Kind, insert};

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
}
