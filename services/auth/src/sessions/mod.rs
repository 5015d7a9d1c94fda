//! Logins and what follows from them: a session is a family of refresh tokens, and every access token names its session.

pub(crate) mod cookie;
mod device;
mod list;
mod login;
mod logout;
mod logout_all;
mod refresh;
mod remove;
mod tokens;

use std::time::Duration;

use axum::{extract::FromRequestParts, http::request::Parts};
use grafikarsa_http::{ApiError, CurrentUser};
use serde::Serialize;
use sqlx::{PgConnection, PgExecutor};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::app::AppState;

pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(login::login))
        .routes(routes!(refresh::refresh))
        .routes(routes!(logout::logout))
        .routes(routes!(logout_all::logout_all))
        .routes(routes!(list::list))
        .routes(routes!(remove::remove))
}

/// An access token on its way to the client. The refresh token only ever travels in the cookie.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TokenGrant {
    access_token: String,
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// Seconds.
    #[schema(example = 900)]
    expires_in: u64,
}

impl TokenGrant {
    fn new(access_token: String, lifetime: Duration) -> Self {
        Self { access_token, token_type: "Bearer", expires_in: lifetime.as_secs() }
    }
}

/// Why a session ended. Stored, so the names stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Logout,
    LogoutAll,
    Removed,
    /// A login in a browser that still had the cookie; access tokens of the session live on.
    Replaced,
    /// The least recently used one of more than twenty.
    TooMany,
    Reused,
    OwnerGone,
    PasswordChanged,
    PasswordReset,
    Deactivated,
    Deleted,
}

impl Ending {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::LogoutAll => "logout_all",
            Self::Removed => "removed",
            Self::Replaced => "replaced",
            Self::TooMany => "too_many",
            Self::Reused => "token_reuse_detected",
            Self::OwnerGone => "owner_gone",
            Self::PasswordChanged => "password_changed",
            Self::PasswordReset => "password_reset",
            Self::Deactivated => "deactivated",
            Self::Deleted => "deleted",
        }
    }
}

/// Ends one session; false when it had ended before.
async fn end(connection: &mut PgConnection, session: Uuid, ending: Ending) -> Result<bool, sqlx::Error> {
    let ended = sqlx::query!(
        "update sessions set ended_at = now(), ended_reason = $2 where id = $1 and ended_at is null",
        session,
        ending.as_str(),
    );
    Ok(ended.execute(connection).await?.rows_affected() == 1)
}

/// Ends all sessions of an account but `spared`, and says how many of them were live. The caller holds the lock of the
/// account's row, so that a login at the same time is before this, or after.
pub(crate) async fn end_all(
    connection: &mut PgConnection,
    account: Uuid,
    spared: Option<Uuid>,
    ending: Ending,
) -> Result<i64, sqlx::Error> {
    let live = sqlx::query_scalar!(
        r#"
        with ended as (
            update sessions
            set ended_at = now(), ended_reason = $3
            where account_id = $1 and ended_at is null and id is distinct from $2
            returning expires_at
        )
        select count(*) filter (where expires_at > now()) as "live!" from ended
        "#,
        account,
        spared,
        ending.as_str(),
    )
    .fetch_one(&mut *connection)
    .await?;
    // The routes of this service look at the session's row, which may have ended before its access tokens did.
    sqlx::query!(
        r#"
        update sessions
        set ended_reason = $3
        where account_id = $1 and ended_reason = $4 and id is distinct from $2
        "#,
        account,
        spared,
        ending.as_str(),
        Ending::Replaced.as_str(),
    )
    .execute(connection)
    .await?;
    Ok(live)
}

/// Whether access tokens of this session are good, by its row and its owner's.
pub(crate) async fn is_live(executor: impl PgExecutor<'_>, user: &CurrentUser) -> Result<bool, sqlx::Error> {
    let live = sqlx::query_scalar!(
        r#"
        select (s.ended_at is null or s.ended_reason = 'replaced') and a.is_active and a.deleted_at is null as "live!"
        from sessions s
        join accounts a on a.id = s.account_id
        where s.id = $1 and a.id = $2
        "#,
        user.session,
        user.id,
    );
    Ok(live.fetch_optional(executor).await? == Some(true))
}

pub(crate) fn revoked() -> ApiError {
    ApiError::unauthorized("TOKEN_REVOKED", "Sesi telah berakhir, silakan masuk kembali")
}

/// The signed-in caller of a route of this service. Here the session's row decides, and not only the replicated list of
/// revocations.
pub(crate) struct SessionUser(pub(crate) CurrentUser);

impl FromRequestParts<AppState> for SessionUser {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, ApiError> {
        let user = CurrentUser::from_request_parts(parts, app).await?;
        if is_live(&app.pool, &user).await? { Ok(Self(user)) } else { Err(revoked()) }
    }
}
