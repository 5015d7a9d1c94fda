use axum::extract::State;
use grafikarsa_http::{ApiResult, Data, Envelope, Nothing};

use super::{
    Ending, SessionUser,
    cookie::{RefreshCookie, WithCookie as _},
};
use crate::app::AppState;

/// Log out of this session
#[utoipa::path(
    post, path = "/api/v1/auth/logout", tag = "auth", security(("bearer" = [])),
    responses((status = 200, body = Envelope<Nothing>, description = "The session has ended, the cookie is cleared")),
)]
pub(crate) async fn logout(
    State(app): State<AppState>,
    SessionUser(user): SessionUser,
    RefreshCookie(cookie): RefreshCookie,
) -> ApiResult<Data<()>> {
    let hash = cookie.map(|cookie| cookie.hash(&app.sessions.refresh_secret));
    let mut tx = app.pool.begin().await?;
    // The session of a cookie that belongs to somebody else is none of the caller's business.
    let mut ended = sqlx::query_scalar!(
        r#"
        update sessions
        set ended_at = now(), ended_reason = $4
        where
            account_id = $1
            and ended_at is null
            and (id = $2 or id = (select session_id from refresh_tokens where hash = $3))
        returning id
        "#,
        user.id,
        user.session,
        hash,
        Ending::Logout.as_str(),
    )
    .fetch_all(&mut *tx)
    .await?;
    // Its refresh tokens may have ended before, by a login in the same browser; this access token ends now.
    if !ended.contains(&user.session) {
        ended.push(user.session);
        sqlx::query!("update sessions set ended_reason = $2 where id = $1", user.session, Ending::Logout.as_str())
            .execute(&mut *tx)
            .await?;
    }
    let unannounced = app.revocations.of_sessions(&mut tx, &ended).await?;
    tx.commit().await?;

    app.revocations.announce(unannounced).await;
    Ok(Data::none().message("Anda telah keluar").clear_cookie(&app.sessions))
}
