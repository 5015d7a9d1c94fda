use std::sync::Arc;

use axum::{Router, extract::DefaultBodyLimit};
use grafikarsa_http::openapi::document;
use grafikarsa_jwt::TokenKeys;
use sqlx::PgPool;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::{limits::Limits, me, passwords::Passwords, revocations::Revocations, sessions, settings::SessionSettings};

/// The chapter's limit of a request body.
const BODY_LIMIT: usize = 16 * 1024;

/// What handlers work with. Cheap to clone.
#[derive(Clone)]
pub(crate) struct AppState {
    pub(crate) pool: PgPool,
    pub(crate) keys: TokenKeys,
    pub(crate) passwords: Passwords,
    pub(crate) revocations: Revocations,
    pub(crate) limits: Arc<Limits>,
    pub(crate) sessions: Arc<SessionSettings>,
}

/// The public routes.
pub(crate) fn router(app: AppState) -> Router {
    let (router, _) = routes().split_for_parts();
    router.layer(DefaultBodyLimit::max(BODY_LIMIT)).with_state(app)
}

/// Their description.
pub(crate) fn openapi() -> OpenApi {
    routes().into_openapi()
}

fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(document()).merge(sessions::routes()).merge(me::routes())
}
