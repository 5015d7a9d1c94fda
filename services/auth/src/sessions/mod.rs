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
use sqlx::PgConnection;
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

/// The signed-in caller of a route of this service. Here the session's row decides, and not only the replicated list of
/// revocations.
pub(crate) struct SessionUser(pub(crate) CurrentUser);

impl FromRequestParts<AppState> for SessionUser {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, ApiError> {
        let user = CurrentUser::from_request_parts(parts, app).await?;
        let live = sqlx::query_scalar!(
            r#"
            select (s.ended_at is null or s.ended_reason = 'replaced') and a.is_active and a.deleted_at is null
                as "live!"
            from sessions s
            join accounts a on a.id = s.account_id
            where s.id = $1 and a.id = $2
            "#,
            user.session,
            user.id,
        )
        .fetch_optional(&app.pool)
        .await?;
        if live != Some(true) {
            return Err(ApiError::unauthorized("TOKEN_REVOKED", "Sesi telah berakhir, silakan masuk kembali"));
        }
        Ok(Self(user))
    }
}
