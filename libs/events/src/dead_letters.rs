//! Events that a consumer of this service failed to apply.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use crate::{Bus, BusError, Message, headers::Envelope};

/// An event that was given up, and why.
#[derive(Clone, Debug, serde::Serialize, sqlx::FromRow)]
pub struct DeadLetter {
    /// What [`replay`] asks for.
    pub id: i64,
    /// Durable name of the consumer, such as `portfolio_accounts`.
    pub consumer: String,
    /// The event.
    pub event_id: Uuid,
    /// `<entity>.<what happened>`.
    pub event_type: String,
    /// Which entity it is about.
    pub aggregate_id: Uuid,
    /// Version of that entity after the change.
    pub aggregate_version: i64,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// The last failure, with its causes.
    pub error: String,
    /// How often it failed.
    pub tries: i64,
    /// When it was given up.
    pub failed_at: DateTime<Utc>,
    /// When a replay was asked for that has not happened yet; the row goes away once the event is applied.
    pub replayed_at: Option<DateTime<Utc>>,
}

/// Why a dead letter cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// There is none with this id, or it was applied in the meantime.
    #[error("there is no dead letter {0}")]
    NotFound(i64),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// The bus failed.
    #[error(transparent)]
    Bus(#[from] BusError),
}

/// All dead letters of this service, oldest first.
///
/// # Errors
/// Those of the database.
pub async fn list(pool: &PgPool) -> Result<Vec<DeadLetter>, sqlx::Error> {
    sqlx::query_as(
        "select id, consumer, event_id, event_type, aggregate_id, aggregate_version, occurred_at, error, tries,
             failed_at, replayed_at
         from dead_letters
         order by id",
    )
    .fetch_all(pool)
    .await
}

/// Asks the consumer that failed to try dead letter `id` once more; a running one does within seconds, another when it
/// starts. True if the event was applied within 10 s: the dead letter is gone then. False if it failed again or is still
/// waiting, which [`list`] tells.
///
/// # Errors
/// [`ReplayError::NotFound`], and failures of database and bus.
pub async fn replay(pool: &PgPool, bus: &Bus, id: i64) -> Result<bool, ReplayError> {
    let event: Option<Uuid> =
        sqlx::query_scalar("select event_id from dead_letters where id = $1").bind(id).fetch_optional(pool).await?;
    let wait = bus.await_applied(event.ok_or(ReplayError::NotFound(id))?).await?;
    sqlx::query("update dead_letters set replayed_at = now() where id = $1").bind(id).execute(pool).await?;
    Ok(wait.wait(REPLAY).await)
}

/// How long [`replay`] waits for the consumer.
const REPLAY: Duration = Duration::from_secs(10);

/// A dead letter that somebody wants to be tried again.
#[derive(sqlx::FromRow)]
pub(crate) struct Requested {
    event_id: Uuid,
    subject: String,
    event_type: String,
    aggregate_id: Uuid,
    aggregate_version: i64,
    payload: Vec<u8>,
    traceparent: Option<String>,
    occurred_at: DateTime<Utc>,
    tries: i64,
}

impl Requested {
    /// The event, its subject without the namespace, and how often it was tried.
    pub(crate) fn into_message(self) -> (Message, String, i64) {
        let envelope = Envelope {
            id: self.event_id,
            name: self.event_type,
            aggregate: self.aggregate_id,
            version: self.aggregate_version,
            at: self.occurred_at,
            traceparent: self.traceparent,
        };
        (Message::new(envelope, Bytes::from(self.payload)), self.subject, self.tries)
    }
}

/// What `consumer` is asked to try again, oldest first.
pub(crate) async fn requested(pool: &PgPool, consumer: &str) -> Result<Vec<Requested>, sqlx::Error> {
    sqlx::query_as(
        "select event_id, subject, event_type, aggregate_id, aggregate_version, payload, traceparent, occurred_at, tries
         from dead_letters
         where consumer = $1 and replayed_at is not null
         order by id
         limit 100",
    )
    .bind(consumer)
    .fetch_all(pool)
    .await
}

/// Keeps an event that `consumer` gives up; `subject` without the namespace.
pub(crate) async fn store(
    pool: &PgPool,
    consumer: &str,
    subject: &str,
    message: &Message,
    error: &anyhow::Error,
    tries: i64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into dead_letters
             (consumer, event_id, subject, event_type, aggregate_id, aggregate_version, payload, traceparent,
              occurred_at, error, tries)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         on conflict on constraint dead_letters_consumer_event_key do update
         set error = excluded.error, tries = excluded.tries, failed_at = now(), replayed_at = null",
    )
    .bind(consumer)
    .bind(message.id)
    .bind(subject)
    .bind(&message.name)
    .bind(message.aggregate)
    .bind(message.version)
    .bind(&*message.payload)
    .bind(&message.traceparent)
    .bind(message.at)
    .bind(format!("{error:#}"))
    .bind(tries)
    .execute(pool)
    .await?;
    Ok(())
}
