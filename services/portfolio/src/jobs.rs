//! Work that one replica at a time does. Each job is a transaction of its own, so that one that fails keeps no other from
//! its work; who gets its advisory lock for the length of the transaction does it.

use std::time::Duration;

use grafikarsa_http::Counter;
use sqlx::PgPool;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::{chat::reactions, feedback::recent, notifications::retention};

/// First half of the advisory locks; the second is the job.
const LOCK: i32 = 0x706f_7274;

#[derive(Clone, Copy, Debug)]
enum Job {
    RecentFeedback = 1,
    Counters,
    Reactions,
    OldNotifications,
    OrphanedNotifications,
}

/// Hashes that tell guests apart are kept for 24 hours, in both places, and this much longer at the most.
const MINUTELY: (Duration, &[Job]) = (Duration::from_mins(1), &[Job::RecentFeedback, Job::Counters]);
const SELDOM: (Duration, &[Job]) =
    (Duration::from_mins(10), &[Job::Reactions, Job::OldNotifications, Job::OrphanedNotifications]);

/// Works until `shutdown`.
pub async fn run(db: PgPool, shutdown: CancellationToken) {
    let work = async { tokio::join!(repeat(&db, MINUTELY), repeat(&db, SELDOM)) };
    shutdown.run_until_cancelled(work).await;
}

async fn repeat(db: &PgPool, (every, jobs): (Duration, &[Job])) {
    let mut rounds = interval(every);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        for job in jobs {
            if let Err(error) = job.finish(db).await {
                tracing::warn!(?job, %error, "background work will be tried again");
            }
        }
    }
}

impl Job {
    /// Works batch by batch until nothing is left, or while another replica does.
    async fn finish(self, db: &PgPool) -> Result<(), sqlx::Error> {
        while self.step(db).await? {}
        Ok(())
    }

    /// True when there may be more.
    async fn step(self, db: &PgPool) -> Result<bool, sqlx::Error> {
        let mut tx = db.begin().await?;
        let leader = sqlx::query_scalar!(
            r#"select pg_try_advisory_xact_lock($1::integer, $2::integer) as "leader!""#,
            LOCK,
            self as i32,
        );
        if !leader.fetch_one(&mut *tx).await? {
            return Ok(false);
        }
        let more = match self {
            Self::RecentFeedback => recent::forget_old(&mut tx).await.map(|()| false),
            Self::Counters => Counter::forget_ended(&mut tx).await.map(|()| false),
            Self::Reactions => reactions::forget_changes(&mut *tx).await.map(|()| false),
            Self::OldNotifications => retention::forget_old(&mut tx).await,
            Self::OrphanedNotifications => retention::forget_orphans(&mut tx).await.map(|()| false),
        }?;
        tx.commit().await?;
        Ok(more)
    }
}
