use axum::extract::State;
use grafikarsa_http::{ApiResult, Data, Envelope};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Ending, SessionUser, cookie::WithCookie as _};
use crate::app::AppState;

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Terminated {
    /// Live sessions before the call, this one included.
    sessions_terminated: i64,
}

/// Log out everywhere
#[utoipa::path(
    post, path = "/api/v1/auth/logout-all", tag = "auth", security(("bearer" = [])),
    responses((status = 200, body = Envelope<Terminated>, description = "All sessions have ended")),
)]
pub(crate) async fn logout_all(
    State(app): State<AppState>,
    SessionUser(user): SessionUser,
) -> ApiResult<Data<Terminated>> {
    let mut tx = app.pool.begin().await?;
    // The account's row first: a login at the same time is before this, or after.
    let epoch = sqlx::query_scalar!(
        "update accounts set token_epoch = token_epoch + 1 where id = $1 returning token_epoch",
        user.id,
    )
    .fetch_one(&mut *tx)
    .await?;
    let ended = sqlx::query!(
        r#"
        with ended as (
            update sessions
            set ended_at = now(), ended_reason = $2
            where account_id = $1 and ended_at is null
            returning expires_at
        )
        select count(*) filter (where expires_at > now()) as "live!" from ended
        "#,
        user.id,
        Ending::LogoutAll.as_str(),
    )
    .fetch_one(&mut *tx)
    .await?;
    let unannounced = app.revocations.of_epoch(&mut tx, user.id, epoch, None).await?;
    // The routes of this service look at the session's row, which may have ended before its access tokens did.
    sqlx::query!(
        "update sessions set ended_reason = $2 where account_id = $1 and ended_reason = $3",
        user.id,
        Ending::LogoutAll.as_str(),
        Ending::Replaced.as_str(),
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;

    app.revocations.announce(unannounced).await;
    let terminated = Terminated { sessions_terminated: ended.live };
    Ok(Data::new(terminated).message("Anda telah keluar dari semua perangkat").clear_cookie(&app.sessions))
}
