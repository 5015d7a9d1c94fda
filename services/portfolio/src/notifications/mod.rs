//! What people are told. The rows hold who did what to what; names, pictures and texts are those of the moment they are read.

use grafikarsa_http::ApiError;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::AppState;

mod count;
mod delete;
mod insert;
mod kind;
mod list;
mod read;
pub mod retention;
mod text;

pub use insert::{FeedbackUpdate, feedback_updated, insert};
pub use kind::Kind;

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list::list))
        .routes(routes!(count::count))
        .routes(routes!(read::read))
        .routes(routes!(read::read_all))
        .routes(routes!(delete::delete))
}

/// For ids that nobody has, and for those of somebody else: nobody learns which exist.
fn not_found() -> ApiError {
    ApiError::not_found("NOT_FOUND", "Notifikasi tidak ditemukan")
}
