use std::time::Duration;

use anyhow::Context as _;
use async_nats::jetstream::{
    self, AckKind,
    consumer::{AckPolicy, PullConsumer, pull},
};
use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture};
use grafikarsa_telemetry::propagation::join_trace;
use proto_events::{full_subject, stream_name};
use sqlx::{PgConnection, PgPool};
use tokio::time::{MissedTickBehavior, interval, interval_at, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span, field::Empty};

use crate::{
    Bus, Message,
    backoff::{Backoff, doubled},
    dead_letters,
    headers::Envelope,
    inbox::{self, Failure, Outcome},
    tries::Tries,
};

/// Messages that wait in this process. Few, because their time for an acknowledgement runs.
const PREFETCH: usize = 16;
/// How often the server says that it is still there; two silences end the session.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How often the lag is measured and replays are looked for.
const HOUSEKEEPING: Duration = Duration::from_secs(5);
/// The longest pause before an event is delivered again.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// How long the event that is being applied may take after the shutdown was asked for.
const DRAIN: Duration = Duration::from_secs(10);
/// When others may have what this process gives back.
const GIVEN_BACK: Duration = Duration::from_millis(200);

/// Applies the events of one subject to this service's database, each exactly once.
///
/// Events are taken one after the other, but no order is promised: a failed event comes back behind its successors, and
/// replicas share the work. Handlers therefore compare [`Message::version`] with what they have.
#[derive(Clone, Debug)]
pub struct Consumer {
    bus: Bus,
    pool: PgPool,
    durable: String,
    publisher: String,
    filter: String,
    tries: i64,
    pause: Duration,
    ack_wait: Duration,
    apply_again: bool,
}

impl Consumer {
    /// The consumer `<service>_<name>` of the stream of `publisher`. `filter` is an event name, or one with a wildcard
    /// such as `account.*`; one per consumer, because servers before 2.10 ignore a second one silently.
    pub fn new(bus: &Bus, pool: PgPool, service: &str, name: &str, publisher: &str, filter: &str) -> Self {
        Self {
            bus: bus.clone(),
            pool,
            durable: format!("{service}_{name}"),
            publisher: publisher.to_owned(),
            filter: filter.to_owned(),
            tries: 6,
            pause: Duration::from_secs(1),
            ack_wait: Duration::from_secs(30),
            apply_again: false,
        }
    }

    /// How often an event may fail before it goes to the dead letters, and the pause after the first failure, which
    /// doubles with each further one up to a minute. Default: 6 times, 1 s: half a minute in all. An outage of PostgreSQL
    /// or NATS is no failure of the event; conflicts with other transactions (deadlocks, locks that were not had in
    /// time) may come five times as often. Each replica counts for itself.
    #[must_use]
    pub fn retries(mut self, tries: u32, pause: Duration) -> Self {
        self.tries = i64::from(tries.max(1));
        self.pause = pause;
        self
    }

    /// How long the server waits for a sign of life before it delivers an event again. Default: 30 s.
    #[must_use]
    pub fn ack_wait(mut self, ack_wait: Duration) -> Self {
        self.ack_wait = ack_wait;
        self
    }

    /// Calls the handler for events that the inbox knows, too, with [`Message::again`] set. For events that carry the
    /// full state: the handler ignores lower versions and writes an equal one once more, which repairs a copy that was
    /// written by something else.
    #[must_use]
    pub fn apply_again(mut self) -> Self {
        self.apply_again = true;
        self
    }

    /// Works until `shutdown`, over any loss of PostgreSQL or NATS; creates stream and consumer anew if NATS lost them.
    /// On shutdown the event at hand is finished, within 10 s, and what waits is given back.
    ///
    /// `handler` makes its changes on the connection it is given, whose transaction also records the event. An error
    /// or a panic rolls both back.
    pub async fn run<H>(self, shutdown: CancellationToken, handler: H)
    where
        H: for<'a> Fn(&'a mut PgConnection, &'a Message) -> BoxFuture<'a, anyhow::Result<()>> + Send + Sync,
    {
        let mut backoff = Backoff::new();
        let mut tries = Tries::default();
        while !shutdown.is_cancelled() {
            backoff.started();
            let Err(error) = self.session(&shutdown, &mut tries, &handler).await else { return };
            let pause = backoff.failed();
            tracing::warn!(consumer = self.durable, error = format!("{error:#}"), ?pause, "the consumer starts over");
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = sleep(pause) => {}
            }
        }
    }

    async fn session<H>(&self, shutdown: &CancellationToken, tries: &mut Tries, handler: &H) -> anyhow::Result<()>
    where
        H: for<'a> Fn(&'a mut PgConnection, &'a Message) -> BoxFuture<'a, anyhow::Result<()>> + Send + Sync,
    {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = self.bus.connected() => {}
        }
        let consumer = self.subscribe().await?;
        let mut messages = consumer
            .stream()
            .max_messages_per_batch(PREFETCH)
            .heartbeat(HEARTBEAT)
            .expires(Duration::from_secs(20))
            .messages()
            .await?;
        let mut housekeeping = interval(HOUSEKEEPING);
        housekeeping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let result = loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break Ok(()),
                _ = housekeeping.tick() => {
                    if let Err(error) = self.housekeeping(&consumer, handler).await {
                        break Err(error);
                    }
                }
                next = messages.next() => {
                    let message = match next {
                        Some(Ok(message)) => message,
                        Some(Err(error)) => break Err(error.into()),
                        None => break Err(anyhow::anyhow!("the server ended the subscription")),
                    };
                    let taking = self.take(&message, tries, handler);
                    let late = async { shutdown.cancelled().await; sleep(DRAIN).await; };
                    let taken = tokio::select! {
                        taken = taking => taken,
                        () = late => Err(anyhow::anyhow!("an event was not applied before the shutdown")),
                    };
                    if let Err(error) = taken {
                        break Err(error);
                    }
                }
            }
        };
        // Give back what waits, so that another replica need not sit out the wait for the acknowledgement. First the
        // subscription ends, and the server gets a moment to notice, or it would send them here once more (seen).
        let mut waiting = Vec::new();
        while let Some(Some(Ok(message))) = messages.next().now_or_never() {
            waiting.push(message);
        }
        drop(messages);
        for message in waiting {
            acknowledge(&message, AckKind::Nak(Some(GIVEN_BACK))).await;
        }
        result
    }

    async fn subscribe(&self) -> anyhow::Result<PullConsumer> {
        self.bus.ensure_stream(&self.publisher).await?;
        let config = pull::Config {
            durable_name: Some(self.durable.clone()),
            filter_subject: full_subject(self.bus.namespace(), &self.publisher, &self.filter),
            ack_policy: AckPolicy::Explicit,
            ack_wait: self.ack_wait,
            // We count ourselves: the server would only fall silent about an event.
            max_deliver: -1,
            max_ack_pending: 1000,
            ..pull::Config::default()
        };
        let stream = stream_name(self.bus.namespace(), &self.publisher);
        let consumer = self.bus.jetstream().create_consumer_on_stream(config, stream).await;
        consumer.with_context(|| format!("the consumer {} cannot be set up", self.durable))
    }

    async fn housekeeping<H>(&self, consumer: &PullConsumer, handler: &H) -> anyhow::Result<()>
    where
        H: for<'a> Fn(&'a mut PgConnection, &'a Message) -> BoxFuture<'a, anyhow::Result<()>> + Send + Sync,
    {
        self.replay(handler).await?;
        // Fails if NATS has lost the consumer.
        let info = consumer.get_info().await?;
        let pending = info.num_pending + u64::try_from(info.num_ack_pending).unwrap_or(0);
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
        metrics::gauge!("events_consumer_pending", "consumer" => self.durable.clone()).set(pending as f64);
        Ok(())
    }

    /// Tries the dead letters once more that somebody asked for. They come from the table and not over the bus, where
    /// a service may publish nobody's events but its own.
    async fn replay<H>(&self, handler: &H) -> anyhow::Result<()>
    where
        H: for<'a> Fn(&'a mut PgConnection, &'a Message) -> BoxFuture<'a, anyhow::Result<()>> + Send + Sync,
    {
        for letter in dead_letters::requested(&self.pool, &self.durable).await? {
            let (mut message, subject, tries) = letter.into_message();
            let span = self.span(&message);
            let applied =
                inbox::apply(&self.pool, &self.durable, &mut message, self.apply_again, handler).instrument(span).await;
            match applied {
                Ok(_) => {
                    self.bus.signal_applied(message.id, &self.durable).await;
                    self.count(&message.name, "replayed");
                }
                Err(Failure::Outage(error)) => return Err(error),
                Err(Failure::Conflict(error) | Failure::Event(error)) => {
                    tracing::error!(error = format!("{error:#}"), "a replayed event failed again");
                    dead_letters::store(&self.pool, &self.durable, &subject, &message, &error, tries + 1).await?;
                    self.count(&message.name, "dead");
                }
            }
        }
        Ok(())
    }

    fn span(&self, message: &Message) -> Span {
        let span = tracing::info_span!(
            "event",
            otel.kind = "consumer", consumer = self.durable, event = message.name, id = %message.id, trace_id = Empty
        );
        join_trace(&span, message.traceparent.as_deref());
        span
    }

    /// Applies one message and answers the server. An error ends the session: PostgreSQL is out of reach.
    async fn take<H>(&self, raw: &jetstream::Message, tries: &mut Tries, handler: &H) -> anyhow::Result<()>
    where
        H: for<'a> Fn(&'a mut PgConnection, &'a Message) -> BoxFuture<'a, anyhow::Result<()>> + Send + Sync,
    {
        let Some(envelope) = raw.headers.as_ref().and_then(Envelope::from_headers) else {
            tracing::error!(consumer = self.durable, subject = %raw.subject, "a message without the headers of an event");
            self.count("unknown", "foreign");
            acknowledge(raw, AckKind::Term).await;
            return Ok(());
        };
        let mut message = Message::new(envelope, raw.payload.clone());
        let span = self.span(&message);
        self.apply(raw, &mut message, tries, handler).instrument(span).await
    }

    async fn apply<H>(
        &self,
        raw: &jetstream::Message,
        message: &mut Message,
        tries: &mut Tries,
        handler: &H,
    ) -> anyhow::Result<()>
    where
        H: for<'a> Fn(&'a mut PgConnection, &'a Message) -> BoxFuture<'a, anyhow::Result<()>> + Send + Sync,
    {
        let applied = {
            let applying = inbox::apply(&self.pool, &self.durable, message, self.apply_again, handler);
            tokio::pin!(applying);
            let period = self.ack_wait / 3;
            let mut alive = interval_at(tokio::time::Instant::now() + period, period);
            loop {
                tokio::select! {
                    applied = &mut applying => break applied,
                    _ = alive.tick() => acknowledge(raw, AckKind::Progress).await,
                }
            }
        };
        match applied {
            Ok(outcome) => {
                tries.settled(message.id);
                self.bus.signal_applied(message.id, &self.durable).await;
                acknowledge(raw, AckKind::Ack).await;
                self.count(&message.name, if outcome == Outcome::Applied { "applied" } else { "known" });
                Ok(())
            }
            Err(Failure::Outage(error)) => {
                acknowledge(raw, AckKind::Nak(Some(self.pause))).await;
                Err(error)
            }
            Err(failure) => self.failed(raw, message, tries, failure).await,
        }
    }

    async fn failed(
        &self,
        raw: &jetstream::Message,
        message: &Message,
        tries: &mut Tries,
        failure: Failure,
    ) -> anyhow::Result<()> {
        let tried = tries.failed(message.id, &failure);
        let (Failure::Outage(error) | Failure::Conflict(error) | Failure::Event(error)) = failure;
        if !tried.reach(self.tries) {
            tracing::warn!(
                tries = tried.all(),
                error = format!("{error:#}"),
                "an event failed and will be tried again"
            );
            self.count(&message.name, "failed");
            let pause = doubled(self.pause, u32::try_from(tried.all() - 1).unwrap_or(0)).min(LONGEST_PAUSE);
            acknowledge(raw, AckKind::Nak(Some(pause))).await;
            return Ok(());
        }
        tracing::error!(tries = tried.all(), error = format!("{error:#}"), "an event goes to the dead letters");
        let namespace = format!("{}.", self.bus.namespace());
        let subject = raw.subject.strip_prefix(&*namespace).unwrap_or(&raw.subject);
        dead_letters::store(&self.pool, &self.durable, subject, message, &error, tried.all()).await?;
        tries.settled(message.id);
        self.count(&message.name, "dead");
        metrics::counter!("events_dead_letters_total", "consumer" => self.durable.clone(), "event" => message.name.clone())
            .increment(1);
        acknowledge(raw, AckKind::Ack).await;
        Ok(())
    }

    fn count(&self, event: &str, outcome: &'static str) {
        metrics::counter!(
            "events_consumed_total",
            "consumer" => self.durable.clone(), "event" => event.to_owned(), "outcome" => outcome,
        )
        .increment(1);
    }
}

/// A lost answer is no harm: the event comes again, and the inbox knows it.
async fn acknowledge(message: &jetstream::Message, kind: AckKind) {
    let sent = timeout(Duration::from_secs(1), message.ack_with(kind)).await;
    if !matches!(sent, Ok(Ok(()))) {
        tracing::debug!(subject = %message.subject, "an answer about an event was not sent");
    }
}
