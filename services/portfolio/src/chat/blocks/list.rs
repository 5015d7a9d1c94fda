use axum::extract::State;
use chrono::{DateTime, Utc};
use grafikarsa_http::{ApiResult, Page, PageEnvelope, Paging};
use serde::Serialize;
use sqlx::QueryBuilder;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{AppState, capabilities::Caller, totals, window};

/// A user whom the caller has blocked.
#[derive(Debug, Serialize, ToSchema, sqlx::FromRow)]
pub struct BlockedUser {
    user_id: Uuid,
    username: String,
    nama: String,
    avatar_url: Option<String>,
    blocked_at: DateTime<Utc>,
}

/// Whom the caller has blocked, the latest first.
#[utoipa::path(
    get,
    path = "/api/v1/dm/blocked",
    tag = "chat",
    operation_id = "list_blocked_users",
    params(("page" = Option<i64>, Query), ("limit" = Option<i64>, Query)),
    security(("bearer" = [])),
    responses((status = 200, body = PageEnvelope<BlockedUser>)),
)]
pub async fn list(State(app): State<AppState>, caller: Caller, paging: Paging) -> ApiResult<Page<BlockedUser>> {
    const BLOCKS: &str =
        " from dm_blocks b join users u on u.id = b.blocked_id and u.deleted_at is null where b.blocker_id = ";
    let window = paging.with(100, 100);
    let mut page =
        QueryBuilder::new("select u.id as user_id, u.username, u.nama, u.avatar_url, b.created_at as blocked_at");
    page.push(BLOCKS).push_bind(caller.id).push(" order by b.created_at desc, b.blocked_id");
    window::push(&mut page, window);
    let users: Vec<BlockedUser> = page.build_query_as().fetch_all(&app.db).await?;
    let total = match totals::of_last_page(window, users.len()) {
        Some(total) => total,
        None => {
            let mut count = QueryBuilder::new("select count(*)");
            count.push(BLOCKS).push_bind(caller.id);
            count.build_query_scalar().fetch_one(&app.db).await?
        }
    };
    Ok(Page::new(users, window, total))
}
