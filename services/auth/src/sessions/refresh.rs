use std::{net::IpAddr, time::Duration};

use axum::extract::State;
use chrono::{DateTime, Utc};
use grafikarsa_http::{ApiError, ApiResult, ClientIp, Data, Envelope};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    Ending, TokenGrant,
    cookie::{RefreshCookie, WithCookie as _},
    end,
    login::known,
    revoked,
    tokens::RefreshToken,
};
use crate::app::AppState;

/// Get a new access token for the refresh cookie
#[utoipa::path(
    post, path = "/api/v1/auth/refresh", tag = "auth",
    responses((status = 200, body = Envelope<TokenGrant>, description = "The cookie holds the next refresh token")),
)]
pub(crate) async fn refresh(
    State(app): State<AppState>,
    ClientIp(address): ClientIp,
    RefreshCookie(cookie): RefreshCookie,
) -> ApiResult<Data<TokenGrant>> {
    let Some(cookie) = cookie else {
        app.limits.refresh_unknown(address).hit(&app.pool).await?;
        return Err(expired());
    };
    let hash = cookie.hash(&app.sessions.refresh_secret);
    let session = sqlx::query_scalar!("select session_id from refresh_tokens where hash = $1", hash);
    let Some(session) = session.fetch_optional(&app.pool).await? else {
        app.limits.refresh_unknown(address).hit(&app.pool).await?;
        return Err(expired().clear_cookie(&app.sessions));
    };
    app.limits.refresh_session(session).hit(&app.pool).await?;

    let mut tx = app.pool.begin().await?;
    let Some(presented) = lock(&mut tx, session, &hash).await? else {
        return Err(expired().clear_cookie(&app.sessions));
    };
    match decide(&presented, app.sessions.reuse_grace) {
        Outcome::Rotate => {
            let token = RefreshToken::generate();
            let grant = rotate(&app, &mut tx, &presented, &token, address).await?;
            tx.commit().await?;
            Ok(Data::new(mint(&app, session, grant)?).set_cookie(&app.sessions, &token))
        }
        Outcome::Grace => {
            let grant = sqlx::query_as!(
                Grant,
                "select id as account_id, role, token_epoch from accounts where id = $1",
                presented.account_id,
            );
            let grant = grant.fetch_one(&mut *tx).await?;
            Ok(Data::new(mint(&app, session, grant)?))
        }
        Outcome::Refuse(refusal) => {
            let error = refusal.error().clear_cookie(&app.sessions);
            if let Some(ending) = refusal.ends() {
                end(&mut tx, session, ending).await?;
                let unannounced = app.revocations.of_sessions(&mut tx, &[session]).await?;
                tx.commit().await?;
                app.revocations.announce(unannounced).await;
                if ending == Ending::Reused {
                    let account = presented.account_id;
                    tracing::warn!(target: "security", %account, %session, %address, "a refresh token was used twice");
                }
            }
            Err(error)
        }
    }
}

/// What is known about a presented token, in its session's locked row.
#[derive(Clone, Debug)]
struct Presented {
    token_id: Uuid,
    account_id: Uuid,
    rotated_at: Option<DateTime<Utc>>,
    expires_at: DateTime<Utc>,
    ended_reason: Option<String>,
    owner_may_log_in: bool,
    now: DateTime<Utc>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// A new access token and the next refresh token.
    Rotate,
    /// A new access token only: another tab was faster.
    Grace,
    Refuse(Refusal),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    EndedByReuse,
    OwnerGone { live: bool },
    Ended,
    Reused,
    Expired,
}

impl Refusal {
    fn error(self) -> ApiError {
        match self {
            Self::EndedByReuse | Self::Reused => ApiError::unauthorized(
                "TOKEN_REUSE_DETECTED",
                "Sesi dihentikan demi keamanan akun, silakan masuk kembali",
            ),
            Self::OwnerGone { .. } => ApiError::unauthorized("UNAUTHORIZED", "Silakan masuk terlebih dahulu"),
            Self::Ended => revoked(),
            Self::Expired => expired(),
        }
    }

    /// Why the session ends with this answer, if it does.
    fn ends(self) -> Option<Ending> {
        match self {
            Self::Reused => Some(Ending::Reused),
            Self::OwnerGone { live: true } => Some(Ending::OwnerGone),
            _ => None,
        }
    }
}

fn expired() -> ApiError {
    ApiError::unauthorized("TOKEN_EXPIRED", "Sesi telah kedaluwarsa, silakan masuk kembali")
}

/// The contract's table from its third row on; the first match wins.
fn decide(token: &Presented, grace: Duration) -> Outcome {
    let rotated = token.rotated_at.map(|at| (token.now - at).to_std().unwrap_or_default());
    let refusal = match (token.ended_reason.as_deref(), rotated) {
        (Some(reason), _) if reason == Ending::Reused.as_str() => Refusal::EndedByReuse,
        (ended, _) if !token.owner_may_log_in => Refusal::OwnerGone { live: ended.is_none() },
        (Some(_), _) => Refusal::Ended,
        (None, Some(ago)) if !grace.is_zero() && ago <= grace => return Outcome::Grace,
        (None, Some(_)) => Refusal::Reused,
        (None, None) if token.expires_at <= token.now => Refusal::Expired,
        (None, None) => return Outcome::Rotate,
    };
    Outcome::Refuse(refusal)
}

/// Locks the session, so that of many refreshes one decides after the other, and then reads what they decide on.
async fn lock(connection: &mut PgConnection, session: Uuid, hash: &[u8]) -> Result<Option<Presented>, sqlx::Error> {
    sqlx::query!("select id from sessions where id = $1 for update", session).fetch_optional(&mut *connection).await?;
    // A statement of its own, whose snapshot sees what the holder of the lock before us has committed.
    sqlx::query_as!(
        Presented,
        r#"
        select
            t.id as token_id,
            s.account_id,
            t.rotated_at,
            t.expires_at,
            s.ended_reason,
            a.is_active and a.deleted_at is null as "owner_may_log_in!",
            clock_timestamp() as "now!"
        from refresh_tokens t
        join sessions s on s.id = t.session_id
        join accounts a on a.id = s.account_id
        where t.hash = $1
        "#,
        hash,
    )
    .fetch_optional(connection)
    .await
}

/// What an access token is minted from.
struct Grant {
    account_id: Uuid,
    role: String,
    token_epoch: i64,
}

/// Stores the rotation, and reads role and epoch in the same statement.
async fn rotate(
    app: &AppState,
    connection: &mut PgConnection,
    presented: &Presented,
    successor: &RefreshToken,
    address: IpAddr,
) -> Result<Grant, sqlx::Error> {
    sqlx::query_as!(
        Grant,
        r#"
        with rotated as (
            update refresh_tokens
            set rotated_at = clock_timestamp()
            where id = $1 and rotated_at is null
            returning session_id
        ),
        session as (
            update sessions
            set
                last_used_at = clock_timestamp(),
                ip_address = coalesce($2, ip_address),
                expires_at = clock_timestamp() + make_interval(secs => $3)
            from rotated
            where sessions.id = rotated.session_id
            returning sessions.id, sessions.account_id, sessions.expires_at
        ),
        successor as (
            insert into refresh_tokens (id, session_id, hash, expires_at)
            select $4, id, $5, expires_at
            from session
        )
        select a.id as account_id, a.role, a.token_epoch
        from session
        join accounts a on a.id = session.account_id
        "#,
        presented.token_id,
        known(address),
        app.sessions.lifetime.as_secs_f64(),
        Uuid::now_v7(),
        successor.hash(&app.sessions.refresh_secret),
    )
    .fetch_one(connection)
    .await
}

fn mint(app: &AppState, session: Uuid, grant: Grant) -> ApiResult<TokenGrant> {
    let role = grant.role.parse().map_err(ApiError::internal)?;
    let token = app.keys.mint(grant.account_id, role, session, grant.token_epoch, Utc::now());
    Ok(TokenGrant::new(token.map_err(ApiError::internal)?, app.keys.lifetime()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(10);

    fn token(rotated_ago: Option<i64>, expires_in: i64, ended: Option<Ending>, owner_may_log_in: bool) -> Presented {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        Presented {
            token_id: Uuid::nil(),
            account_id: Uuid::nil(),
            rotated_at: rotated_ago.map(|milliseconds| now - chrono::Duration::milliseconds(milliseconds)),
            expires_at: now + chrono::Duration::seconds(expires_in),
            ended_reason: ended.map(|ending| ending.as_str().to_owned()),
            owner_may_log_in,
            now,
        }
    }

    #[test]
    fn outcomes_follow_the_contracts_table_and_the_first_match_wins() {
        use Outcome::{Grace, Refuse, Rotate};
        let gone = |live| Refuse(Refusal::OwnerGone { live });
        for (row, presented, outcome) in [
            ("ended by reuse", token(None, 60, Some(Ending::Reused), true), Refuse(Refusal::EndedByReuse)),
            ("… before the owner", token(None, 60, Some(Ending::Reused), false), Refuse(Refusal::EndedByReuse)),
            ("owner gone", token(None, 60, None, false), gone(true)),
            ("… before any other end", token(None, 60, Some(Ending::Logout), false), gone(false)),
            ("… before reuse", token(Some(60_000), 60, None, false), gone(true)),
            ("logout", token(None, 60, Some(Ending::Logout), true), Refuse(Refusal::Ended)),
            ("logout-all", token(None, 60, Some(Ending::LogoutAll), true), Refuse(Refusal::Ended)),
            ("session deletion", token(None, 60, Some(Ending::Removed), true), Refuse(Refusal::Ended)),
            ("replacement", token(None, 60, Some(Ending::Replaced), true), Refuse(Refusal::Ended)),
            ("ended, in the grace window", token(Some(1), 60, Some(Ending::Logout), true), Refuse(Refusal::Ended)),
            ("ended, rotated long ago", token(Some(60_000), 60, Some(Ending::Logout), true), Refuse(Refusal::Ended)),
            ("rotated just now", token(Some(0), 60, None, true), Grace),
            ("rotated 10 s ago", token(Some(10_000), 60, None, true), Grace),
            ("rotated longer ago", token(Some(10_001), 60, None, true), Refuse(Refusal::Reused)),
            ("… before expired", token(Some(60_000), -60, None, true), Refuse(Refusal::Reused)),
            ("expired", token(None, 0, None, true), Refuse(Refusal::Expired)),
            ("live", token(None, 1, None, true), Rotate),
        ] {
            assert_eq!(decide(&presented, GRACE), outcome, "{row}");
        }
    }

    #[test]
    fn a_grace_of_zero_switches_the_window_off() {
        let reused = Outcome::Refuse(Refusal::Reused);
        assert_eq!(decide(&token(Some(0), 60, None, true), Duration::ZERO), reused);
    }
}
