//! Direct messages of two: conversations, messages, reactions, settings, blocks and streaks.

use utoipa_axum::router::OpenApiRouter;

use crate::AppState;

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
}
