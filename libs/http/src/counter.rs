//! Counters that all replicas share: a row per bucket and key, raised in one statement.
//!
//! The table is in `rate_limits.sql`. Its queries are not checked at compile time, because it exists in three schemas;
//! the tests of the services run each of them.

use std::{fmt::Display, str::FromStr};

use grafikarsa_config::Reader;
use sqlx::{PgConnection, PgPool};

use crate::{ApiError, ApiResult};

/// So many hits of one key per window; the window begins with its first hit. Written as `5/60` (seconds).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    hits: i32,
    seconds: u32,
}

impl Limit {
    /// `hits` within `seconds`.
    pub const fn new(hits: i32, seconds: u32) -> Self {
        Self { hits, seconds }
    }

    /// Reads a setting such as `5/60`.
    pub fn read(env: &mut Reader, name: &str, default: Self) -> Self {
        env.parse(name, default)
    }
}

impl FromStr for Limit {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (hits, seconds) = text.split_once('/').ok_or(())?;
        let limit = Self::new(hits.parse().map_err(drop)?, seconds.trim_end_matches('s').parse().map_err(drop)?);
        if limit.hits > 0 && limit.seconds > 0 { Ok(limit) } else { Err(()) }
    }
}

/// One key of one bucket.
#[derive(Clone, Debug)]
pub struct Counter {
    bucket: &'static str,
    limit: Limit,
    key: String,
}

impl Counter {
    /// The counter of `key`, such as a user's id or an address.
    pub fn new(bucket: &'static str, limit: Limit, key: impl Display) -> Self {
        Self { bucket, limit, key: key.to_string() }
    }

    /// Counts a hit. Of two at once only one gets the last place.
    ///
    /// # Errors
    /// 429 with the seconds until the window ends, when the limit is reached; then nothing is counted.
    pub async fn hit(&self, pool: &PgPool) -> ApiResult<()> {
        self.hit_within(&mut *pool.acquire().await?).await
    }

    /// The same within a transaction: a rollback takes the hit back. Others who share the key wait for its end, so this is
    /// its last statement.
    ///
    /// # Errors
    /// Those of [`Counter::hit`].
    pub async fn hit_within(&self, connection: &mut PgConnection) -> ApiResult<()> {
        let counted = sqlx::query_scalar::<_, i32>(
            "insert into rate_limits as counter (bucket, key, hits, window_ends_at)
             values ($1, $2, 1, now() + make_interval(secs => $3))
             on conflict (bucket, key) do update set
                 hits = case when counter.window_ends_at <= now() then 1 else counter.hits + 1 end,
                 window_ends_at = case
                     when counter.window_ends_at <= now() then excluded.window_ends_at
                     else counter.window_ends_at
                 end
             where counter.window_ends_at <= now() or counter.hits < $4
             returning hits",
        )
        .bind(self.bucket)
        .bind(&self.key)
        .bind(f64::from(self.limit.seconds))
        .bind(self.limit.hits)
        .fetch_optional(&mut *connection)
        .await?;
        if counted.is_some() { Ok(()) } else { Err(self.refusal(connection).await?) }
    }

    /// Counts nothing.
    ///
    /// # Errors
    /// 429 as [`Counter::hit`], when the limit is reached.
    pub async fn check(&self, pool: &PgPool) -> ApiResult<()> {
        let reached: bool = sqlx::query_scalar(
            "select exists (
                 select from rate_limits where bucket = $1 and key = $2 and hits >= $3 and window_ends_at > now()
             )",
        )
        .bind(self.bucket)
        .bind(&self.key)
        .bind(self.limit.hits)
        .fetch_one(pool)
        .await?;
        if reached { Err(self.refusal(&mut *pool.acquire().await?).await?) } else { Ok(()) }
    }

    /// The 429 of a limit that is reached.
    async fn refusal(&self, connection: &mut PgConnection) -> Result<ApiError, sqlx::Error> {
        let wait: Option<i64> = sqlx::query_scalar(
            "select ceil(extract(epoch from window_ends_at - now()))::bigint
             from rate_limits
             where bucket = $1 and key = $2",
        )
        .bind(self.bucket)
        .bind(&self.key)
        .fetch_optional(connection)
        .await?;
        Ok(ApiError::too_many(wait.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(1)))
    }

    /// Takes a hit back that turned out not to be one.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn take_back(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        sqlx::query("update rate_limits set hits = greatest(hits - 1, 0) where bucket = $1 and key = $2")
            .bind(self.bucket)
            .bind(&self.key)
            .execute(pool)
            .await
            .map(drop)
    }

    /// Begins anew.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn clear(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        sqlx::query("delete from rate_limits where bucket = $1 and key = $2")
            .bind(self.bucket)
            .bind(&self.key)
            .execute(pool)
            .await
            .map(drop)
    }

    /// Deletes counters whose window has ended, for a periodic job.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn forget_ended(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        sqlx::query("delete from rate_limits where window_ends_at < now()").execute(connection).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_written_as_hits_per_seconds() {
        assert_eq!("5/60".parse(), Ok(Limit::new(5, 60)));
        assert_eq!("5/60s".parse(), Ok(Limit::new(5, 60)));
        for bad in ["5", "0/60", "5/0", "-1/60", "5/1m", ""] {
            assert_eq!(bad.parse::<Limit>(), Err(()), "{bad}");
        }
    }
}
