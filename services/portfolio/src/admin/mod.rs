//! The back office.

use axum::extract::DefaultBodyLimit;
use grafikarsa_http::ApiError;
use utoipa_axum::router::OpenApiRouter;

use crate::AppState;

pub mod audit;
mod dashboard;
pub mod import;
mod jurusan;
mod kelas;
mod portfolios;
mod series;
mod special_roles;
mod tags;
pub mod tahun_ajaran;
pub mod users;

/// The 409 of a unique index; every other error as it is.
fn taken(error: sqlx::Error, constraint: &str, code: &'static str, message: &'static str) -> ApiError {
    match error.as_database_error().and_then(|error| error.constraint()) {
        Some(name) if name == constraint => ApiError::conflict(code, message),
        _ => error.into(),
    }
}

/// Bodies of this chapter.
const BODY_LIMIT: usize = 256 * 1024;

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .merge(dashboard::router())
        .merge(jurusan::router())
        .merge(tahun_ajaran::router())
        .merge(kelas::router())
        .merge(tags::router())
        .merge(series::router())
        .merge(special_roles::router())
        .merge(users::router())
        .merge(portfolios::router())
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .merge(import::router())
}
