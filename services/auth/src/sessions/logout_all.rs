use axum::extract::State;
use grafikarsa_http::{ApiResult, Data, Envelope};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Ending, SessionUser, cookie::WithCookie as _, end_all};
use crate::{app::AppState, revocations::Kept};

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
    let sessions_terminated = end_all(&mut tx, user.id, None, Ending::LogoutAll).await?;
    let unannounced = app.revocations.of_epoch(&mut tx, user.id, epoch, None, Kept::Nobody).await?;
    tx.commit().await?;

    tracing::info!(target: "security", account = %user.id, sessions_terminated, "an account was logged out everywhere");
    app.revocations.announce(unannounced).await;
    let terminated = Terminated { sessions_terminated };
    Ok(Data::new(terminated).message("Anda telah keluar dari semua perangkat").clear_cookie(&app.sessions))
}
