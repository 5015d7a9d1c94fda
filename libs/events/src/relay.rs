use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use chrono::{DateTime, Utc};
use sqlx::{
    PgExecutor, PgPool,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    Bus, BusError,
    backoff::Backoff,
    outbox::{BATCH, Row},
};

/// The safety net under the notifications.
const POLL: Duration = Duration::from_secs(1);
/// After an event the relay looks for others that came without a notification, this often and for this long: twice as long
/// as the outbox keeps quiet after one.
const AWAKE_POLL: Duration = Duration::from_millis(20);
const AWAKE: Duration = Duration::from_millis(500);
/// How often lag is measured and old rows are looked for.
const HOUSEKEEPING: Duration = Duration::from_secs(10);
/// A statement that takes longer counts as a lost connection.
const STATEMENT: Duration = Duration::from_secs(5);
/// What may take place after the shutdown was asked for.
const LAST_PASS: Duration = Duration::from_secs(2);

const LOST: &str = "the connection to PostgreSQL is lost";

/// Carries the outbox of one service to the stream of its publisher, in order, each event after the acknowledgement of
/// the one before. Every replica runs one; an advisory lock lets a single one work.
#[derive(Clone, Debug)]
pub struct Relay {
    bus: Bus,
    database: PgConnectOptions,
    publisher: String,
}

impl Relay {
    /// A relay for the outbox that `database` leads to. It opens a connection of its own, because the lock and the
    /// notifications belong to a connection; the options of a pool do: `(*pool.connect_options()).clone()`.
    pub fn new(bus: Bus, database: PgConnectOptions, publisher: &str) -> Self {
        // A peer that vanished without a word must not keep the lock for hours.
        let database = database.application_name(&format!("{publisher}-relay")).options([
            ("statement_timeout", "5s"),
            ("tcp_keepalives_idle", "10"),
            ("tcp_keepalives_interval", "5"),
            ("tcp_keepalives_count", "3"),
        ]);
        Self { bus, database, publisher: publisher.to_owned() }
    }

    /// Works until `shutdown`, over any loss of PostgreSQL or NATS. What was committed shortly before the shutdown is
    /// still published, within 2 s.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut backoff = Backoff::new();
        while !shutdown.is_cancelled() {
            backoff.started();
            let Err(error) = self.session(&shutdown).await else { return };
            let pause = backoff.failed();
            tracing::warn!(error = format!("{error:#}"), ?pause, "the relay starts over");
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = sleep(pause) => {}
            }
        }
    }

    /// One connection's life. The lock lives and dies with it.
    async fn session(&self, shutdown: &CancellationToken) -> anyhow::Result<()> {
        // A pool of one, never renewed: sqlx' listener takes its connection from a pool.
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .max_lifetime(None)
            .idle_timeout(None)
            .acquire_timeout(STATEMENT)
            .connect_with(self.database.clone())
            .await
            .context("PostgreSQL is unreachable")?;
        let result = async {
            self.connected(&pool, shutdown).await?;
            if shutdown.is_cancelled() { Ok(()) } else { self.locked(&pool, shutdown).await }
        };
        let result = result.await;
        // The server gives the lock to another replica as soon as the connection is closed.
        drop(timeout(STATEMENT, pool.close()).await);
        result
    }

    /// Waits for the bus, or the shutdown. What piles up meanwhile is reported by every replica.
    async fn connected(&self, pool: &PgPool, shutdown: &CancellationToken) -> anyhow::Result<()> {
        let mut measuring = interval(HOUSEKEEPING);
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                () = self.bus.connected() => return Ok(()),
                _ = measuring.tick() => report_lag(&measure_lag(pool).await?),
            }
        }
    }

    async fn locked(&self, pool: &PgPool, shutdown: &CancellationToken) -> anyhow::Result<()> {
        let mut listener = PgListener::connect_with(pool).await?;
        listener.ignore_pool_close_event(true);
        // A new connection would not hold the lock.
        listener.eager_reconnect(false);

        let schema: String = bounded(sqlx::query_scalar("select current_schema()").fetch_one(&mut listener)).await?;
        while !try_lock(&mut listener).await? {
            // The replica that holds the lock reports.
            report_lag(&Lag::default());
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = sleep(POLL) => {}
            }
        }
        bounded(listener.listen(&format!("outbox_{schema}"))).await?;
        let birth = self.bus.ensure_stream(&self.publisher).await?;
        recover(&mut listener, birth).await?;
        tracing::info!(publisher = self.publisher, "the relay is at work");

        let mut awake_until = Instant::now() + AWAKE;
        let mut housekeeping = interval(HOUSEKEEPING);
        housekeeping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let last = shutdown.is_cancelled();
            let late = async {
                shutdown.cancelled().await;
                sleep(LAST_PASS).await;
            };
            tokio::select! {
                result = self.publish_all(&mut listener) => if result? { awake_until = Instant::now() + AWAKE },
                () = late => bail!("no time for the last events before the shutdown"),
            }
            if last {
                return Ok(());
            }
            let pause = if Instant::now() < awake_until { AWAKE_POLL } else { POLL };
            tokio::select! {
                () = shutdown.cancelled() => {}
                _ = housekeeping.tick() => {
                    // An idle relay would not notice that the stream is gone, with events that nobody has read yet.
                    ensure!(self.bus.stream_created(&self.publisher).await? == birth, "the stream was lost");
                    clean_up(&mut listener).await?;
                    report_lag(&measure_lag(&mut listener).await?);
                }
                notification = listener.try_recv() => {
                    notification?.context(LOST)?;
                    while listener.next_buffered().is_some() {}
                }
                () = sleep(pause) => {}
            }
        }
    }

    /// Publishes until no row is left; says whether there was one.
    async fn publish_all(&self, listener: &mut PgListener) -> anyhow::Result<bool> {
        let mut any = false;
        loop {
            // Unpublished rows, never "positions above the last": positions are taken in another order than commits.
            // Planned each time: a plan that was kept from a small outbox would read all of a large one.
            let rows: Vec<Row> = bounded(
                sqlx::query_as(
                    "select position, id, subject, event_type, aggregate_id, aggregate_version, payload, traceparent,
                         created_at
                     from outbox
                     where published_at is null
                     order by position
                     limit $1",
                )
                .bind(BATCH)
                .persistent(false)
                .fetch_all(&mut *listener),
            )
            .await?;
            if rows.is_empty() {
                return Ok(any);
            }
            any = true;
            let mut acknowledged = Vec::with_capacity(rows.len());
            let result = self.publish_while_connected(listener, rows, &mut acknowledged).await;
            if !acknowledged.is_empty() {
                bounded(
                    sqlx::query("update outbox set published_at = now() where position = any($1)")
                        .bind(&acknowledged)
                        .persistent(false)
                        .execute(&mut *listener),
                )
                .await?;
            }
            result?;
        }
    }

    /// Publishes `rows` one after the other and stops at once when the connection, and with it the lock, is lost.
    async fn publish_while_connected(
        &self,
        listener: &mut PgListener,
        rows: Vec<Row>,
        acknowledged: &mut Vec<i64>,
    ) -> anyhow::Result<()> {
        let publishing = async {
            for row in rows {
                let position = row.position;
                let message_id = row.id.to_string();
                row.publish(&self.bus, &message_id).await?;
                acknowledged.push(position);
            }
            Ok::<(), BusError>(())
        };
        tokio::pin!(publishing);
        loop {
            tokio::select! {
                result = &mut publishing => return result.map_err(Into::into),
                notification = listener.try_recv() => { notification?.context(LOST)?; }
            }
        }
    }
}

/// Sends again what the bus has forgotten: everything published before the stream was created. In a stream that was
/// never lost nothing is older than the stream itself. The minute allows for clocks that differ; what is sent twice
/// for it is dropped by the stream.
async fn recover(listener: &mut PgListener, birth: DateTime<Utc>) -> anyhow::Result<()> {
    let mut forgotten = 0;
    loop {
        // In steps, each of which ends well within the time that a statement may take.
        let query = sqlx::query(
            "update outbox set published_at = null where position in
                 (select position from outbox
                  where published_at < $1 + interval '1 minute' and published_at > now() - interval '7 days'
                  limit 5000)",
        );
        match bounded(query.bind(birth).execute(&mut *listener)).await?.rows_affected() {
            0 => break,
            rows => forgotten += rows,
        }
    }
    if forgotten > 0 {
        tracing::warn!(events = forgotten, "the stream is younger than these events: they are published again");
    }
    Ok(())
}

async fn try_lock(listener: &mut PgListener) -> anyhow::Result<bool> {
    // The schema is part of the key: the services share a database.
    let query = sqlx::query_scalar("select pg_try_advisory_lock(hashtextextended(current_schema() || '.outbox', 0))");
    bounded(query.fetch_one(&mut *listener)).await
}

/// Deletes what nobody asks for any more, in small steps.
async fn clean_up(listener: &mut PgListener) -> anyhow::Result<()> {
    let outbox = sqlx::query(
        "delete from outbox where position in
             (select position from outbox where published_at < now() - interval '7 days' limit 1000)",
    );
    bounded(outbox.execute(&mut *listener)).await?;
    // Twice the age of the streams, so that no event comes back that the inbox has forgotten.
    let inbox = sqlx::query(
        "delete from inbox where (consumer, event_id) in
             (select consumer, event_id from inbox where at < now() - interval '30 days' limit 1000)",
    );
    bounded(inbox.execute(&mut *listener)).await?;
    Ok(())
}

#[derive(Debug, Default, sqlx::FromRow)]
struct Lag {
    pending: i64,
    oldest_seconds: f64,
    dead_letters: i64,
}

async fn measure_lag(executor: impl PgExecutor<'_>) -> anyhow::Result<Lag> {
    let query = sqlx::query_as(
        "select count(*) as pending,
             coalesce(extract(epoch from now() - min(created_at)), 0)::float8 as oldest_seconds,
             (select count(*) from dead_letters where replayed_at is null) as dead_letters
         from outbox
         where published_at is null",
    );
    bounded(query.fetch_one(executor)).await
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
fn report_lag(lag: &Lag) {
    metrics::gauge!("events_outbox_pending").set(lag.pending as f64);
    metrics::gauge!("events_outbox_oldest_seconds").set(lag.oldest_seconds);
    metrics::gauge!("events_dead_letters").set(lag.dead_letters as f64);
}

async fn bounded<T>(query: impl Future<Output = Result<T, sqlx::Error>>) -> anyhow::Result<T> {
    timeout(STATEMENT, query).await.context("PostgreSQL does not answer")?.map_err(Into::into)
}
