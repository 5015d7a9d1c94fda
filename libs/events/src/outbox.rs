//! What a service has to tell the others, stored with the change itself.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use grafikarsa_telemetry::propagation::current_traceparent;
use proto_events::{Event, subject};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::{Bus, BusError, headers::Envelope};

/// Larger payloads would be refused by NATS (1 MiB with headers) and hold up everything behind them.
const MAX_PAYLOAD: usize = 512 * 1024;

/// Rows read at once.
pub(crate) const BATCH: i64 = 100;

/// Stores `event` in the outbox; the relay publishes it after the commit. Give it the connection of the transaction
/// that makes the change, after the row of `aggregate` is locked, so that events about one entity keep their order.
/// Continues the trace of the current span. Returns the event id.
///
/// # Errors
/// Those of the database, and [`sqlx::Error::Encode`] for a payload above 512 KiB.
pub async fn append<E: Event>(
    connection: &mut PgConnection,
    event: &E,
    aggregate: Uuid,
    version: i64,
) -> Result<Uuid, sqlx::Error> {
    let payload = encode(event)?;
    let id = Uuid::now_v7();
    // The notification is part of the transaction: it goes out at the commit, or never. Commits that notify wait for each
    // other, so that none of many at once says what another one has just said: the relay stays awake for a while.
    sqlx::query(
        "with event as (
             insert into outbox (id, subject, event_type, aggregate_id, aggregate_version, payload, traceparent)
             values ($1, $2, $3, $4, $5, $6, $7)
             returning 1
         )
         select pg_notify('outbox_' || current_schema(), '')
         from event
         where not exists (select from (select created_at from outbox order by position desc limit 1) last
                           where last.created_at > clock_timestamp() - interval '250 milliseconds')",
    )
    .bind(id)
    .bind(subject::<E>())
    .bind(E::NAME)
    .bind(aggregate)
    .bind(version)
    .bind(payload)
    .bind(current_traceparent())
    .execute(connection)
    .await?;
    Ok(id)
}

/// Does the same for many events, each with its aggregate and version, in one statement.
///
/// # Errors
/// Those of [`append`]; then none is stored.
pub async fn append_all<E: Event>(connection: &mut PgConnection, events: &[(E, Uuid, i64)]) -> Result<(), sqlx::Error> {
    let mut payloads = Vec::with_capacity(events.len());
    for (event, ..) in events {
        payloads.push(encode(event)?);
    }
    let ids: Vec<Uuid> = events.iter().map(|_| Uuid::now_v7()).collect();
    let (aggregates, versions): (Vec<Uuid>, Vec<i64>) =
        events.iter().map(|&(_, aggregate, version)| (aggregate, version)).unzip();
    sqlx::query(
        "with event as (
             insert into outbox (id, subject, event_type, aggregate_id, aggregate_version, payload, traceparent)
             select id, $1, $2, aggregate_id, aggregate_version, payload, $3
             from unnest($4::uuid[], $5::uuid[], $6::bigint[], $7::bytea[]) with ordinality
                 as told (id, aggregate_id, aggregate_version, payload, place)
             order by place
             returning 1
         )
         select pg_notify('outbox_' || current_schema(), '')
         where exists (select from event)
           and not exists (select from (select created_at from outbox order by position desc limit 1) last
                           where last.created_at > clock_timestamp() - interval '250 milliseconds')",
    )
    .bind(subject::<E>())
    .bind(E::NAME)
    .bind(current_traceparent())
    .bind(ids)
    .bind(aggregates)
    .bind(versions)
    .bind(payloads)
    .execute(connection)
    .await
    .map(drop)
}

fn encode<E: Event>(event: &E) -> Result<Vec<u8>, sqlx::Error> {
    let payload = event.encode_to_vec();
    if payload.len() > MAX_PAYLOAD {
        return Err(sqlx::Error::Encode(format!("{} has {} bytes", E::NAME, payload.len()).into()));
    }
    Ok(payload)
}

/// Publishes again, in order, what was published since `since`; returns how many events. For a consumer whose database
/// went back in time: what its inbox still knows changes nothing. Rows older than 7 days are gone.
///
/// # Errors
/// Those of the database and of the bus; what was sent until then stays sent.
pub async fn republish(pool: &PgPool, bus: &Bus, since: DateTime<Utc>) -> anyhow::Result<u64> {
    // Another message id each time, or the stream would drop the repetition.
    let run = Uuid::now_v7();
    let (mut position, mut sent) = (0, 0);
    loop {
        let rows: Vec<Row> = sqlx::query_as(
            "select position, id, subject, event_type, aggregate_id, aggregate_version, payload, traceparent, created_at
             from outbox
             where published_at >= $1 and position > $2
             order by position
             limit $3",
        )
        .bind(since)
        .bind(position)
        .bind(BATCH)
        .fetch_all(pool)
        .await?;
        let Some(last) = rows.last() else { return Ok(sent) };
        position = last.position;
        for row in rows {
            let message_id = format!("{}-{run}", row.id);
            row.publish(bus, &message_id).await?;
            sent += 1;
        }
    }
}

/// A row on its way to the bus.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct Row {
    pub(crate) position: i64,
    pub(crate) id: Uuid,
    subject: String,
    event_type: String,
    aggregate_id: Uuid,
    aggregate_version: i64,
    payload: Vec<u8>,
    traceparent: Option<String>,
    created_at: DateTime<Utc>,
}

impl Row {
    pub(crate) async fn publish(self, bus: &Bus, message_id: &str) -> Result<(), BusError> {
        let envelope = Envelope {
            id: self.id,
            name: self.event_type,
            aggregate: self.aggregate_id,
            version: self.aggregate_version,
            at: self.created_at,
            traceparent: self.traceparent,
        };
        bus.publish(&self.subject, &envelope, message_id, Bytes::from(self.payload)).await?;
        metrics::counter!("events_published_total", "event" => envelope.name).increment(1);
        Ok(())
    }
}
