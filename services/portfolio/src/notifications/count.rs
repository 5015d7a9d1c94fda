use axum::extract::State;
use grafikarsa_http::{ApiResult, CurrentUser, Data, Envelope};
use serde::Serialize;
use utoipa::ToSchema;

use crate::AppState;

#[derive(Debug, Serialize, ToSchema)]
pub struct UnreadCount {
    unread_count: i64,
}

/// How many notifications of the caller are unread.
#[utoipa::path(
    get,
    path = "/api/v1/notifications/count",
    tag = "notifications",
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<UnreadCount>)),
)]
pub async fn count(State(app): State<AppState>, user: CurrentUser) -> ApiResult<Data<UnreadCount>> {
    // Every open tab asks twice a minute: the token alone says who it is, and one statement counts.
    let unread_count = sqlx::query_scalar!(
        r#"
        select count(*) as "count!"
        from notifications
        where user_id = $1 and read_at is null and deleted_at is null
        "#,
        user.id,
    )
    .fetch_one(&app.db)
    .await?;
    Ok(Data::new(UnreadCount { unread_count }))
}
