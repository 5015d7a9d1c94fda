//! Events that a consumer of this service failed to apply.

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
    /// How often it was delivered.
    pub tries: i64,
    /// When it was given up.
    pub failed_at: DateTime<Utc>,
    /// When it was sent again; the row goes away once the event is applied.
    pub replayed_at: Option<DateTime<Utc>>,
}

/// Why a dead letter was not sent again.
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

/// Sends the event of dead letter `id` again. Consumers that have applied it ignore it; the one that failed tries
/// again, and removes the dead letter when it succeeds.
///
/// # Errors
/// [`ReplayError::NotFound`], and failures of database and bus: nothing was sent then.
pub async fn replay(pool: &PgPool, bus: &Bus, id: i64) -> Result<(), ReplayError> {
    let row: Option<Content> = sqlx::query_as(
        "select event_id, subject, event_type, aggregate_id, aggregate_version, payload, traceparent, occurred_at
         from dead_letters
         where id = $1",
    )
    .bind(id)
    .fetch_optional(pool)
    .await?;
    let row = row.ok_or(ReplayError::NotFound(id))?;
    let envelope = Envelope {
        id: row.event_id,
        name: row.event_type,
        aggregate: row.aggregate_id,
        version: row.aggregate_version,
        at: row.occurred_at,
        traceparent: row.traceparent,
    };
    // Another message id each time, or the stream would drop the repetition.
    let message_id = format!("{}-{}", row.event_id, Uuid::now_v7());
    // Marked first: the consumer may be so quick that the row is gone before we come back.
    sqlx::query("update dead_letters set replayed_at = now() where id = $1").bind(id).execute(pool).await?;
    if let Err(error) = bus.publish(&row.subject, &envelope, &message_id, Bytes::from(row.payload)).await {
        sqlx::query("update dead_letters set replayed_at = null where id = $1").bind(id).execute(pool).await?;
        return Err(error.into());
    }
    Ok(())
}

#[derive(sqlx::FromRow)]
struct Content {
    event_id: Uuid,
    subject: String,
    event_type: String,
    aggregate_id: Uuid,
    aggregate_version: i64,
    payload: Vec<u8>,
    traceparent: Option<String>,
    occurred_at: DateTime<Utc>,
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
