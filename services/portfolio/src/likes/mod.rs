//! Who likes which portfolio. The counter stands in the portfolio's row and changes with the like.

use grafikarsa_http::{ApiError, ApiResult};
use serde::Serialize;
use sqlx::{PgConnection, PgPool};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{AppState, capabilities::Caller, users};

mod like;
mod unlike;

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(like::like, unlike::unlike))
}

/// How the caller and a portfolio stand to each other now.
#[derive(Debug, Serialize, ToSchema)]
pub struct LikeResult {
    is_liked: bool,
    like_count: i64,
}

/// Locks the caller's own row, so that no like comes after the deletion of his account has taken his likes away.
async fn lock_liker(connection: &mut PgConnection, user: Uuid) -> ApiResult<()> {
    let usable =
        sqlx::query_scalar!("select id from users where id = $1 and is_active and deleted_at is null for share", user,);
    usable.fetch_optional(connection).await?.map(drop).ok_or_else(users::revoked)
}

async fn is_liked(db: &PgPool, portfolio: Uuid, user: Uuid) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (select 1 from portfolio_likes where portfolio_id = $1 and user_id = $2) as "liked!""#,
        portfolio,
        user,
    )
    .fetch_one(db)
    .await
}

async fn count(connection: &mut PgConnection, portfolio: Uuid) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!("select like_count from portfolios where id = $1", portfolio).fetch_one(connection).await
}

/// Staff only looks on.
fn refuse_admins(caller: &Caller) -> ApiResult<()> {
    if caller.is_admin() { Err(ApiError::forbidden()) } else { Ok(()) }
}
