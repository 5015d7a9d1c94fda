//! Counters that all replicas share: a row per bucket and key, raised in one statement.

use std::{net::IpAddr, str::FromStr};

use grafikarsa_config::Reader;
use grafikarsa_http::{ApiError, ApiResult};
use sqlx::PgPool;
use uuid::Uuid;

/// So many hits of one key per window; the window begins with its first hit. Written as `5/60` (seconds).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limit {
    hits: i32,
    seconds: u32,
}

impl Limit {
    const fn new(hits: i32, seconds: u32) -> Self {
        Self { hits, seconds }
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

/// The limits of this service.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    failed_identifier: Limit,
    failed_account: Limit,
    failed_address: Limit,
    login_requests: Limit,
    refresh_session: Limit,
    refresh_unknown: Limit,
}

impl Limits {
    /// Reads `LIMIT_FAILED_LOGINS_IDENTIFIER`, `…_ACCOUNT`, `…_ADDRESS`, `LIMIT_LOGINS_ADDRESS`,
    /// `LIMIT_REFRESHES_SESSION` and `LIMIT_REFRESHES_ADDRESS`.
    pub(crate) fn read(env: &mut Reader) -> Self {
        Self {
            failed_identifier: env.parse("LIMIT_FAILED_LOGINS_IDENTIFIER", Limit::new(5, 60)),
            failed_account: env.parse("LIMIT_FAILED_LOGINS_ACCOUNT", Limit::new(20, 15 * 60)),
            failed_address: env.parse("LIMIT_FAILED_LOGINS_ADDRESS", Limit::new(1000, 15 * 60)),
            login_requests: env.parse("LIMIT_LOGINS_ADDRESS", Limit::new(600, 60)),
            refresh_session: env.parse("LIMIT_REFRESHES_SESSION", Limit::new(20, 60)),
            refresh_unknown: env.parse("LIMIT_REFRESHES_ADDRESS", Limit::new(300, 60)),
        }
    }

    /// Failed logins of an identifier (in lower case) from an address.
    pub(crate) fn failed_identifier(&self, identifier: &str, address: IpAddr) -> Counter {
        Counter { bucket: "failed_identifier", limit: self.failed_identifier, key: format!("{identifier} {address}") }
    }

    /// Failed logins of an account from addresses it has not logged in from. Whoever is unknown is counted by the
    /// identifier, so that the answers do not tell who exists.
    pub(crate) fn failed_account(&self, account: Option<Uuid>, identifier: &str) -> Counter {
        let key = account.map_or_else(|| identifier.to_owned(), |id| id.to_string());
        Counter { bucket: "failed_account", limit: self.failed_account, key }
    }

    /// Failed logins from an address, behind which a whole school may sit.
    pub(crate) fn failed_address(&self, address: IpAddr) -> Counter {
        Counter { bucket: "failed_address", limit: self.failed_address, key: address.to_string() }
    }

    /// Login requests from an address.
    pub(crate) fn login_requests(&self, address: IpAddr) -> Counter {
        Counter { bucket: "login_requests", limit: self.login_requests, key: address.to_string() }
    }

    /// Refreshes of a session.
    pub(crate) fn refresh_session(&self, session: Uuid) -> Counter {
        Counter { bucket: "refresh_session", limit: self.refresh_session, key: session.to_string() }
    }

    /// Refreshes without a token that we know, from an address.
    pub(crate) fn refresh_unknown(&self, address: IpAddr) -> Counter {
        Counter { bucket: "refresh_unknown", limit: self.refresh_unknown, key: address.to_string() }
    }
}

/// One key of one bucket.
#[derive(Clone, Debug)]
pub(crate) struct Counter {
    bucket: &'static str,
    limit: Limit,
    key: String,
}

impl Counter {
    /// Counts a hit; over the limit 429, and nothing is counted. Of two at once only one gets the last place.
    pub(crate) async fn hit(&self, pool: &PgPool) -> ApiResult<()> {
        let counted = sqlx::query_scalar!(
            r#"
            insert into rate_limits as counter (bucket, key, hits, window_ends_at)
            values ($1, $2, 1, now() + make_interval(secs => $3))
            on conflict (bucket, key) do update set
                hits = case when counter.window_ends_at <= now() then 1 else counter.hits + 1 end,
                window_ends_at = case
                    when counter.window_ends_at <= now() then excluded.window_ends_at
                    else counter.window_ends_at
                end
            where counter.window_ends_at <= now() or counter.hits < $4
            returning hits
            "#,
            self.bucket,
            self.key,
            f64::from(self.limit.seconds),
            self.limit.hits,
        )
        .fetch_optional(pool)
        .await?;
        if counted.is_some() {
            return Ok(());
        }
        let wait = sqlx::query_scalar!(
            r#"
            select ceil(extract(epoch from window_ends_at - now()))::bigint as "seconds!"
            from rate_limits
            where bucket = $1 and key = $2
            "#,
            self.bucket,
            self.key,
        )
        .fetch_optional(pool)
        .await?;
        Err(ApiError::too_many(wait.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(1)))
    }

    /// Takes a hit back that turned out not to be one.
    pub(crate) async fn take_back(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        sqlx::query!(
            "update rate_limits set hits = greatest(hits - 1, 0) where bucket = $1 and key = $2",
            self.bucket,
            self.key,
        )
        .execute(pool)
        .await?;
        Ok(())
    }

    /// Begins anew.
    pub(crate) async fn clear(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        sqlx::query!("delete from rate_limits where bucket = $1 and key = $2", self.bucket, self.key)
            .execute(pool)
            .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_contracts() {
        let limits = Limits::read(&mut Reader::from_map([]));
        assert_eq!(limits.failed_identifier, Limit::new(5, 60));
        assert_eq!(limits.failed_account, Limit::new(20, 900));
        assert_eq!(limits.failed_address, Limit::new(1000, 900));
        assert_eq!(limits.login_requests, Limit::new(600, 60));
        assert_eq!(limits.refresh_session, Limit::new(20, 60));
        assert_eq!(limits.refresh_unknown, Limit::new(300, 60));
    }

    #[test]
    fn a_limit_is_written_as_hits_per_seconds() {
        assert_eq!("5/60".parse(), Ok(Limit::new(5, 60)));
        assert_eq!("5/60s".parse(), Ok(Limit::new(5, 60)));
        for bad in ["5", "0/60", "5/0", "-1/60", "5/1m", ""] {
            assert_eq!(bad.parse::<Limit>(), Err(()), "{bad}");
        }
    }
}
