//! Users in the back office. An account belongs to auth, a profile to us: what needs both is a command with an intent.

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::AppState;

mod account;
mod create;
mod detail;
mod list;
mod names;
pub mod pictures;
pub mod profile;
mod rules;
mod special_roles;
mod target;
mod update;

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list::list, create::create))
        .routes(routes!(names::check_username))
        .routes(routes!(names::check_email))
        .routes(routes!(list::detail, update::update, account::delete))
        .routes(routes!(account::reset_password))
        .routes(routes!(account::activate))
        .routes(routes!(account::deactivate))
        .routes(routes!(special_roles::list, special_roles::replace))
}
