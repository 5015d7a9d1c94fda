//! Portfolios: one published work of a user each, from draft to archive.

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::AppState;

pub mod access;
mod by_id;
pub mod card;
pub mod content;
mod create;
pub mod delete;
pub mod detail;
pub mod events;
pub mod fields;
pub mod filters;
mod list;
pub mod mine;
pub mod page;
mod slug;
pub mod status;
pub mod transitions;
pub mod update;
pub mod visibility;

pub use status::Status;

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list::list, create::create))
        .routes(routes!(detail::detail, update::update, delete::delete))
        .routes(routes!(by_id::by_id))
        .routes(routes!(mine::mine))
        .routes(routes!(transitions::submit))
        .routes(routes!(transitions::archive))
        .routes(routes!(transitions::unarchive))
}
