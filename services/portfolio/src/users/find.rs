//! Finding a user by the name in an address.

use std::convert::Infallible;

use axum::{extract::FromRequestParts, http::request::Parts};
use grafikarsa_http::{ApiError, ApiResult, Path};
use sqlx::PgPool;
use uuid::Uuid;

/// Longest name that is looked for. Older than today's rule of 30.
const LONGEST: usize = 255;

/// The user name of a path. What cannot be one is nobody's name, and not a broken request.
#[derive(Debug)]
pub struct UserName(pub String);

impl<S: Send + Sync> FromRequestParts<S> for UserName {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let name = Path::<String>::from_request_parts(parts, state).await.map(|Path(name)| name).unwrap_or_default();
        Ok(Self(if name.len() > LONGEST || name.contains('\0') { String::new() } else { name }))
    }
}

pub fn not_found() -> ApiError {
    ApiError::not_found("USER_NOT_FOUND", "Pengguna tidak ditemukan")
}

/// A user whom the caller may see.
#[derive(Debug)]
pub struct Found {
    pub id: Uuid,
    pub follower_count: i64,
    pub following_count: i64,
}

/// The user called `name`; a deactivated one only if `inactive_too`.
pub async fn by_name(db: &PgPool, name: &str, inactive_too: bool) -> ApiResult<Found> {
    // Two may be called alike for a moment, when names change hands and the events cross: the latest news wins.
    let found = sqlx::query_as!(
        Found,
        "
        select id, follower_count, following_count
        from users
        where lower(username) = lower($1) and deleted_at is null and (is_active or $2)
        order by account_version desc
        limit 1
        ",
        name,
        inactive_too,
    );
    found.fetch_optional(db).await?.ok_or_else(not_found)
}
