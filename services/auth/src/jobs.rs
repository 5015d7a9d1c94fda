//! Work that one replica at a time does. Who holds the advisory lock for the length of a transaction does the round;
//! a replica that dies loses it with its connection.

use std::time::Duration;

use anyhow::Context as _;
use grafikarsa_http::Counter;
use sqlx::{PgPool, Postgres, Transaction};
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
/// Steps of one clean-up; the next one goes on.
const STEPS: usize = 20;
/// What takes longer would lose its transaction.
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
        round(&pool, &revocations, &mut due).await;
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

/// What protects people comes first, and a failure of one piece keeps no other from being done.
async fn round(pool: &PgPool, revocations: &Revocations, due: &mut Due) {
    let now = Instant::now();
    report("spreading revocations", spread(pool, revocations, now >= due.restore).await);
    if now >= due.restore {
        due.restore = now + RESTORE;
    }
    if now >= due.expire {
        report("expiring accounts", expire(pool).await);
        due.expire = now + EXPIRE;
    }
    if now >= due.clean_up {
        report("cleaning up", clean_up(pool).await);
        due.clean_up = now + CLEAN_UP;
    }
}

fn report(work: &str, result: anyhow::Result<()>) {
    if let Err(error) = result {
        tracing::warn!(work, error = format!("{error:#}"), "background work will be tried again");
    }
}

async fn spread(pool: &PgPool, revocations: &Revocations, restore: bool) -> anyhow::Result<()> {
    let Some(mut tx) = lead(pool).await? else { return Ok(()) };
    let work = async {
        revocations.catch_up(&mut tx).await?;
        if restore { revocations.restore(&mut tx).await } else { Ok(()) }
    };
    timeout(PATIENCE, work).await.context("NATS does not answer in time")??;
    Ok(tx.commit().await?)
}

async fn expire(pool: &PgPool) -> anyhow::Result<()> {
    let Some(mut tx) = lead(pool).await? else { return Ok(()) };
    let cancelled = internal::expire(&mut tx).await?;
    tx.commit().await?;
    if cancelled > 0 {
        tracing::warn!(cancelled, "accounts that nobody confirmed are gone");
    }
    Ok(())
}

async fn lead(pool: &PgPool) -> Result<Option<Transaction<'static, Postgres>>, sqlx::Error> {
    let mut tx = pool.begin().await?;
    let leader =
        sqlx::query_scalar!(r#"select pg_try_advisory_xact_lock($1) as "leader!""#, LOCK).fetch_one(&mut *tx).await?;
    Ok(leader.then_some(tx))
}

/// Deletes what has no meaning any more, in steps that end well within the time of a statement. A token that expired
/// within the last day is kept, so that its reuse is still recognised for what it is.
async fn clean_up(pool: &PgPool) -> anyhow::Result<()> {
    for _ in 0..STEPS {
        let Some(mut tx) = lead(pool).await? else { return Ok(()) };
        let mut deleted = sqlx::query!(
            "delete from refresh_tokens where id in
                 (select id from refresh_tokens where expires_at < now() - interval '1 day' limit 2000)",
        )
        .execute(&mut *tx)
        .await?
        .rows_affected();
        deleted += sqlx::query!(
            "delete from sessions where id in
                 (select id from sessions where expires_at < now() - interval '1 day' limit 500)",
        )
        .execute(&mut *tx)
        .await?
        .rows_affected();
        deleted += sqlx::query!(
            "delete from revocations where id in (select id from revocations where expires_at < now() limit 2000)",
        )
        .execute(&mut *tx)
        .await?
        .rows_affected();
        deleted += sqlx::query!(
            "delete from login_addresses where (account_id, address) in
                 (select account_id, address from login_addresses
                  where logged_in_at < now() - interval '30 days' limit 2000)",
        )
        .execute(&mut *tx)
        .await?
        .rows_affected();
        deleted += sqlx::query!(
            "delete from commands where id in
                 (select id from commands
                  where state <> 'pending' and created_at < now() - interval '30 days' limit 2000)",
        )
        .execute(&mut *tx)
        .await?
        .rows_affected();
        Counter::forget_ended(&mut tx).await?;
        tx.commit().await?;
        if deleted == 0 {
            return Ok(());
        }
    }
    Ok(())
}
