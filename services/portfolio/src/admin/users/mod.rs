//! Users in the back office. An account belongs to auth, a profile to us: what needs both is a command with an intent.

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::AppState;

mod create;
mod detail;
mod pictures;
pub mod profile;
mod rules;

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(create::create))
}
