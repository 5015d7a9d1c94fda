//! The back office.

use axum::extract::DefaultBodyLimit;
use utoipa_axum::router::OpenApiRouter;

use crate::AppState;

pub mod audit;
mod portfolios;
pub mod users;

/// Bodies of this chapter.
const BODY_LIMIT: usize = 256 * 1024;

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().merge(users::router()).merge(portfolios::router()).layer(DefaultBodyLimit::max(BODY_LIMIT))
}
