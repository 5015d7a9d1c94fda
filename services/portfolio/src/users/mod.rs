//! People: their own profile and how others find it, and the copy of their account that auth's events keep true.

use axum::extract::DefaultBodyLimit;
use grafikarsa_http::ApiError;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::AppState;

pub mod account_events;
mod brief;
pub use brief::UserBrief;
pub mod copy;
mod detail;
pub mod find;
pub mod list;
mod me;
pub use me::SocialLink;
pub mod profile;
mod social_links;
mod update_me;

/// Bodies of this chapter.
const BODY_LIMIT: usize = 16 * 1024;

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(me::me, update_me::update))
        .routes(routes!(social_links::replace))
        .routes(routes!(list::list))
        .routes(routes!(detail::detail))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
}

/// For a caller whose account was deactivated or deleted a moment ago.
pub fn revoked() -> ApiError {
    ApiError::unauthorized("TOKEN_REVOKED", "Sesi telah berakhir, silakan masuk kembali")
}
