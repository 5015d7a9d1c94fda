//! People: their own profile, and the copy of their account that auth's events keep true.

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::AppState;

pub mod account_events;
pub mod copy;
mod me;
pub use me::SocialLink;
pub mod profile;

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(me::me))
}
