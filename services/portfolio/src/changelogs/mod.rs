//! What is new in the product, and who has read it.

use grafikarsa_http::ApiError;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::AppState;

pub mod admin;
mod detail;
mod list;
pub mod reads;
mod view;

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list::list))
        .routes(routes!(list::latest))
        .routes(routes!(reads::unread_count))
        .routes(routes!(reads::mark_all_read))
        .routes(routes!(detail::detail))
        .routes(routes!(reads::mark_read))
        .merge(admin::router())
}

fn not_found() -> ApiError {
    ApiError::not_found("NOT_FOUND", "Changelog tidak ditemukan")
}
