//! Work that one replica at a time does. Who holds the advisory lock for the length of a transaction does the round;
//! a replica that dies loses it with its connection.

use std::time::Duration;

use anyhow::Context as _;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::{internal, revocations::Revocations};

/// Number of the advisory lock.
const LOCK: i64 = 0x6175_7468_0002;
/// Revocations that did not reach NATS are tried again this often.
const ROUND: Duration = Duration::from_secs(1);
/// The bucket of revocations is compared with the table this often.
const RESTORE: Duration = Duration::from_secs(10);
const EXPIRE: Duration = Duration::from_mins(1);
const CLEAN_UP: Duration = Duration::from_hours(1);
/// A round that takes longer would lose its transaction.
const PATIENCE: Duration = Duration::from_secs(8);

/// Works until `shutdown`, over any loss of PostgreSQL or NATS.
pub(crate) async fn run(pool: PgPool, revocations: Revocations, shutdown: CancellationToken) {
    let mut rounds = interval(ROUND);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut due = Due::now();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = rounds.tick() => {}
        }
        let round = timeout(PATIENCE, round(&pool, &revocations, &mut due)).await;
        if let Err(error) = round.context("a round took too long").flatten() {
            tracing::warn!(error = format!("{error:#}"), "background work will be tried again");
        }
    }
}

/// When each piece of work is to be done again.
struct Due {
    restore: Instant,
    expire: Instant,
    clean_up: Instant,
}

impl Due {
    fn now() -> Self {
        let now = Instant::now();
        Self { restore: now, expire: now, clean_up: now }
    }
}

async fn round(pool: &PgPool, revocations: &Revocations, due: &mut Due) -> anyhow::Result<()> {
    let Some(mut tx) = lead(pool).await? else { return Ok(()) };
    let now = Instant::now();
    if now >= due.expire {
        let cancelled = internal::expire(&mut tx).await?;
        if cancelled > 0 {
            tracing::warn!(cancelled, "accounts that nobody confirmed are gone");
        }
        due.expire = now + EXPIRE;
    }
    if now >= due.clean_up {
        clean_up(&mut tx).await?;
        due.clean_up = now + CLEAN_UP;
    }
    // What is done stays done, whatever NATS says.
    tx.commit().await?;

    let Some(mut tx) = lead(pool).await? else { return Ok(()) };
    revocations.catch_up(&mut tx).await?;
    if now >= due.restore {
        revocations.restore(&mut tx).await?;
        due.restore = now + RESTORE;
    }
    Ok(tx.commit().await?)
}

async fn lead(pool: &PgPool) -> Result<Option<Transaction<'static, Postgres>>, sqlx::Error> {
    let mut tx = pool.begin().await?;
    let leader =
        sqlx::query_scalar!(r#"select pg_try_advisory_xact_lock($1) as "leader!""#, LOCK).fetch_one(&mut *tx).await?;
    Ok(leader.then_some(tx))
}

/// Deletes what has no meaning any more. A token that expired within the last day is kept, so that its reuse is still
/// recognised for what it is.
async fn clean_up(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from sessions where expires_at < now() - interval '1 day'").execute(&mut *connection).await?;
    sqlx::query!("delete from refresh_tokens where expires_at < now() - interval '1 day'")
        .execute(&mut *connection)
        .await?;
    sqlx::query!("delete from revocations where expires_at < now()").execute(&mut *connection).await?;
    sqlx::query!("delete from rate_limits where window_ends_at < now()").execute(&mut *connection).await?;
    sqlx::query!("delete from login_addresses where logged_in_at < now() - interval '30 days'")
        .execute(&mut *connection)
        .await?;
    sqlx::query!("delete from commands where state <> 'pending' and created_at < now() - interval '30 days'")
        .execute(connection)
        .await?;
    Ok(())
}
