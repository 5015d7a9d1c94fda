//! What people ask of their own account here. Their profile is portfolio's, which also changes their names, through a
//! command.

mod check_username;
mod password;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::app::AppState;

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(password::change_password)).routes(routes!(check_username::check_username))
}
