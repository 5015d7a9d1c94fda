//! Work that one replica at a time does. Who gets the advisory lock for the length of a transaction does the round.

use std::time::Duration;

use grafikarsa_http::Counter;
use sqlx::PgPool;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::{chat::reactions, feedback::recent, notifications::retention};

/// Number of the advisory lock.
const LOCK: i64 = 0x706f_7274_0001;
const EVERY: Duration = Duration::from_mins(10);

/// Works until `shutdown`.
pub async fn run(db: PgPool, shutdown: CancellationToken) {
    let mut rounds = interval(EVERY);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = rounds.tick() => {}
        }
        if let Err(error) = round(&db).await {
            tracing::warn!(%error, "background work will be tried again");
        }
    }
}

async fn round(db: &PgPool) -> Result<(), sqlx::Error> {
    let mut tx = db.begin().await?;
    let leader =
        sqlx::query_scalar!(r#"select pg_try_advisory_xact_lock($1) as "leader!""#, LOCK).fetch_one(&mut *tx).await?;
    if leader {
        Counter::forget_ended(&mut tx).await?;
        retention::forget_old(&mut tx).await?;
        recent::forget_old(&mut tx).await?;
        reactions::forget_changes(&mut *tx).await?;
    }
    tx.commit().await
}
