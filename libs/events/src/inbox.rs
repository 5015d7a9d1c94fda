//! Applying one event exactly once.

use std::panic::AssertUnwindSafe;

use futures_util::{FutureExt as _, future::BoxFuture};
use sqlx::{PgConnection, PgPool};

use crate::Message;

/// Why an event was not applied.
#[derive(Debug)]
pub(crate) enum Failure {
    /// PostgreSQL cannot be reached: no event would fare better.
    Outage(anyhow::Error),
    /// Another transaction was in the way: the next try may succeed.
    Conflict(anyhow::Error),
    /// This event cannot be applied, or not now.
    Event(anyhow::Error),
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Applied,
    AlreadyApplied,
}

/// Runs `handler` and records the event in the inbox, in one transaction.
pub(crate) async fn apply<H>(
    pool: &PgPool,
    consumer: &str,
    message: &mut Message,
    apply_again: bool,
    handler: &H,
) -> Result<Outcome, Failure>
where
    H: for<'a> Fn(&'a mut PgConnection, &'a Message) -> BoxFuture<'a, anyhow::Result<()>>,
{
    let mut transaction = pool.begin().await.map_err(classify)?;
    // Two deliveries at once: the second waits here until the first has committed or failed.
    let new: bool = sqlx::query_scalar(
        "with new as (
             insert into inbox (consumer, event_id) values ($1, $2) on conflict do nothing returning 1
         ), healed as (
             delete from dead_letters where consumer = $1 and event_id = $2
         )
         select exists (select from new)",
    )
    .bind(consumer)
    .bind(message.id)
    .fetch_one(&mut *transaction)
    .await
    .map_err(classify)?;
    message.again = !new;
    if new || apply_again {
        // A panic is a failure of this event, not of the consumer.
        AssertUnwindSafe(handler(&mut transaction, message))
            .catch_unwind()
            .await
            .unwrap_or_else(|_| Err(anyhow::anyhow!("the handler panicked")))
            .map_err(classify)?;
    }
    transaction.commit().await.map_err(classify)?;
    Ok(if new { Outcome::Applied } else { Outcome::AlreadyApplied })
}

fn classify(error: impl Into<anyhow::Error>) -> Failure {
    let error = error.into();
    let database = error.chain().find_map(|cause| cause.downcast_ref::<sqlx::Error>());
    match database {
        Some(cause) if is_outage(cause) => Failure::Outage(error),
        Some(cause) if is_conflict(cause) => Failure::Conflict(error),
        _ => Failure::Event(error),
    }
}

/// Serialisation failure, deadlock, a lock or a statement that took too long.
fn is_conflict(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else { return false };
    error.code().is_some_and(|code| matches!(&*code, "40001" | "40P01" | "55P03" | "57014"))
}

fn is_outage(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        // Connection exceptions, shutdown and start-up of the server, too many connections, a read-only standby.
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            code.starts_with("08") || code.starts_with("57P") || matches!(&*code, "53300" | "25006")
        }),
        _ => false,
    }
}
