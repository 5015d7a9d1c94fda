//! Profiles, portfolios and every other domain: one folder per domain, one file per use case.

mod academic;
mod accounts;
pub mod admin;
mod app;
mod assessments;
mod blocks;
mod capabilities;
mod changelogs;
mod chat;
mod comments;
mod feed;
mod feedback;
mod follows;
mod health;
mod internal;
mod jobs;
mod likes;
mod limits;
mod media_events;
mod notifications;
mod openapi;
mod portfolios;
pub mod promotion;
mod rankings;
mod realtime;
mod search;
mod seed;
mod series;
mod settings;
mod storage;
mod tags;
mod totals;
mod users;
mod views;
mod window;

use utoipa_axum::router::OpenApiRouter;

pub use app::{AppState, serve};
pub use seed::seed;
pub use settings::{Rules, Settings};

/// The schema of this service.
pub fn migrator() -> sqlx::migrate::Migrator {
    sqlx::migrate!()
}

/// Every public route with its documentation.
pub fn api() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(grafikarsa_http::openapi::document())
        .merge(users::router())
        .merge(follows::router())
        .merge(rankings::router())
        .merge(academic::router())
        .merge(tags::router())
        .merge(portfolios::router())
        .merge(blocks::router())
        .merge(likes::router())
        .merge(comments::router())
        .merge(series::router())
        .merge(feed::router())
        .merge(search::router())
        .merge(admin::router())
        .merge(assessments::router())
        .merge(feedback::router())
        .merge(changelogs::router())
        .merge(notifications::router())
        .merge(chat::router())
        .merge(realtime::router())
        .merge(health::router())
        .merge(openapi::router())
}
