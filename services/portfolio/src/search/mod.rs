//! The search page: people and published work.

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::AppState;

mod portfolios;
mod users;

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(users::search)).routes(routes!(portfolios::search))
}
