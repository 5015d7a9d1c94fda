use axum::extract::State;
use grafikarsa_http::{ApiError, ApiResult, Data, Envelope, Query, account_rules as rules};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{app::AppState, sessions::SessionUser};

/// Longer ones are not even looked for.
const CHARS: usize = 100;

#[derive(Debug, Deserialize, IntoParams)]
pub(crate) struct Wanted {
    #[param(required = true, min_length = 1, max_length = 100)]
    username: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Availability {
    /// As it was sent.
    username: String,
    available: bool,
}

/// Ask whether a user name is free
#[utoipa::path(
    get, path = "/api/v1/me/check-username", tag = "auth", security(("bearer" = [])),
    params(Wanted),
    responses((status = 200, body = Envelope<Availability>, description = "A hint; saving the profile decides")),
)]
pub(crate) async fn check_username(
    State(app): State<AppState>,
    SessionUser(user): SessionUser,
    wanted: Result<Query<Wanted>, ApiError>,
) -> ApiResult<Data<Availability>> {
    app.limits.check_username(user.id).hit(&app.pool).await?;
    let username = wanted?.0.check()?;
    let available = is_available(&app.pool, user.id, username.trim()).await?;
    Ok(Data::new(Availability { username, available }))
}

impl Wanted {
    fn check(self) -> ApiResult<String> {
        let username = self.username.unwrap_or_default();
        match username.trim().chars().count() {
            0 => Err(ApiError::syntax("username", "Username wajib diisi")),
            1..=CHARS => Ok(username),
            _ => Err(ApiError::syntax("username", "Username maksimal 100 karakter")),
        }
    }
}

/// One's own name is, whatever the rules say by now; one that a pending account has reserved is not.
async fn is_available(pool: &PgPool, account: Uuid, username: &str) -> Result<bool, sqlx::Error> {
    let own = sqlx::query_scalar!("select username from accounts where id = $1", account).fetch_one(pool).await?;
    if username == own || rules::username(username).is_err() {
        return Ok(username == own);
    }
    let taken = sqlx::query_scalar!(
        r#"
        select exists (
            select from accounts where lower(username) = lower($2) and deleted_at is null and id <> $1
        ) as "taken!"
        "#,
        account,
        username,
    );
    Ok(!taken.fetch_one(pool).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_empty_and_long_names_are_400_and_others_are_echoed_as_sent() {
        let check = |username: Option<&str>| Wanted { username: username.map(str::to_owned) }.check();
        let long = "é".repeat(101);
        for bad in [None, Some(""), Some("  "), Some(long.as_str())] {
            assert_eq!(check(bad).unwrap_err().status(), 400, "{bad:?}");
        }
        for good in [" Budi ", "é", &long[..200]] {
            assert_eq!(check(Some(good)).unwrap(), good);
        }
    }
}
