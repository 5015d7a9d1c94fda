//! Sockets: who is connected to which replica, and what reaches them.

use utoipa_axum::router::OpenApiRouter;

use crate::AppState;

pub mod presence;

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
}
