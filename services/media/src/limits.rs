//! A counter that all replicas share: a row per bucket and key, raised in one statement.

use grafikarsa_http::{ApiError, ApiResult};
use sqlx::PgPool;

/// Counts a hit of `key`; more than `limit` within `seconds` are 429 and not counted.
pub(crate) async fn hit(db: &PgPool, bucket: &str, key: &str, limit: i32, seconds: f64) -> ApiResult<()> {
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
        bucket,
        key,
        seconds,
        limit,
    )
    .fetch_optional(db)
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
        bucket,
        key,
    )
    .fetch_optional(db)
    .await?;
    Err(ApiError::too_many(wait.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(1)))
}
