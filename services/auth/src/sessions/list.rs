use axum::extract::State;
use chrono::{DateTime, Utc};
use grafikarsa_http::{ApiResult, Data, Envelope};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{SessionUser, device::Device};
use crate::app::AppState;

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Session {
    id: Uuid,
    device_info: Device,
    /// At login or at the last refresh.
    ip_address: Option<String>,
    created_at: DateTime<Utc>,
    /// Last refresh.
    last_used_at: Option<DateTime<Utc>>,
    /// The session of this request's access token.
    is_current: bool,
}

/// List one's own live sessions
#[utoipa::path(
    get, path = "/api/v1/auth/sessions", tag = "auth", security(("bearer" = [])),
    responses((status = 200, body = Envelope<Vec<Session>>, description = "The youngest first")),
)]
pub(crate) async fn list(State(app): State<AppState>, SessionUser(user): SessionUser) -> ApiResult<Data<Vec<Session>>> {
    let rows = sqlx::query!(
        r#"
        select
            id,
            user_agent,
            device_type,
            browser,
            os,
            ip_address,
            created_at,
            last_used_at
        from sessions
        where account_id = $1 and ended_at is null and expires_at > now()
        order by created_at desc, id desc
        "#,
        user.id,
    )
    .fetch_all(&app.pool)
    .await?;
    let sessions = rows.into_iter().map(|row| Session {
        id: row.id,
        device_info: Device {
            user_agent: row.user_agent,
            device_type: row.device_type,
            browser: row.browser,
            os: row.os,
        },
        ip_address: row.ip_address,
        created_at: row.created_at,
        last_used_at: row.last_used_at,
        is_current: row.id == user.session,
    });
    Ok(Data::new(sessions.collect()))
}
