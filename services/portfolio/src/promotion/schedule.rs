use std::time::Duration;

use sqlx::PgPool;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::run;

/// How often the calendar is looked at.
const EVERY: Duration = Duration::from_mins(5);
/// What failed, perhaps because others held its rows, is tried again after this.
const AGAIN: Duration = Duration::from_secs(30);

/// Promotes what is due at once and then every few minutes, until `shutdown`.
pub async fn schedule(db: PgPool, shutdown: CancellationToken) {
    let mut rounds = interval(EVERY);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = rounds.tick() => {}
        }
        if let Err(error) = run(&db, None).await {
            tracing::warn!(error = format!("{error:#}"), "the promotion will be tried again");
            rounds.reset_after(AGAIN);
        }
    }
}
