use axum::extract::State;
use grafikarsa_http::{ApiError, ApiResult, Data, Envelope, Id, Nothing};

use super::{Ending, SessionUser, cookie::WithCookie as _};
use crate::app::AppState;

/// End one of one's own sessions
#[utoipa::path(
    delete, path = "/api/v1/auth/sessions/{session_id}", tag = "auth", security(("bearer" = [])),
    params(("session_id" = Uuid, Path)),
    responses((status = 200, body = Envelope<Nothing>, description = "The session has ended")),
)]
pub(crate) async fn remove(
    State(app): State<AppState>,
    SessionUser(user): SessionUser,
    Id(session): Id,
) -> ApiResult<Data<()>> {
    let mut tx = app.pool.begin().await?;
    let ended = sqlx::query!(
        r#"
        update sessions
        set ended_at = now(), ended_reason = $3
        where id = $1 and account_id = $2 and ended_at is null and expires_at > now()
        "#,
        session,
        user.id,
        Ending::Removed.as_str(),
    );
    // Other people's sessions do not exist for the caller.
    if ended.execute(&mut *tx).await?.rows_affected() == 0 {
        return Err(ApiError::not_found("SESSION_NOT_FOUND", "Sesi tidak ditemukan"));
    }
    let unannounced = app.revocations.of_sessions(&mut tx, &[session]).await?;
    tx.commit().await?;

    app.revocations.announce(unannounced).await;
    let answer = Data::none().message("Sesi telah diakhiri");
    Ok(if session == user.session { answer.clear_cookie(&app.sessions) } else { answer })
}
