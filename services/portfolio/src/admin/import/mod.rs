//! Whole classes at once, from a table: accounts in auth and profiles here, or neither.

use axum::extract::DefaultBodyLimit;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::AppState;

mod check;
mod errors;
pub mod recovery;
mod report;
mod run;
mod students;
mod table;
mod template;
mod upload;
mod write;

pub use students::{PATH, TIME_LIMIT};

/// Largest file.
const FILE_LIMIT: usize = 5 * 1024 * 1024;
/// The file with what a form adds to it; nginx lets no more through either.
const BODY_LIMIT: usize = 6 * 1024 * 1024;
/// Most students of a file.
const MOST: usize = 2000;

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(students::import))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .routes(routes!(template::template))
}
