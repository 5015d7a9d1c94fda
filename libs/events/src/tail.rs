use std::time::Duration;

use anyhow::{Context as _, ensure};
use async_nats::jetstream::{
    self,
    consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull},
};
use chrono::{DateTime, Utc};
use futures_util::{StreamExt as _, future::BoxFuture};
use proto_events::{full_subject, stream_name};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use crate::{Bus, Message, backoff::Backoff, bus::created, headers::Envelope};

/// Messages on their way to this process.
const PREFETCH: usize = 256;
/// How often the server says that it is still there; two silences end the session.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How often it is checked that the stream is still the same.
const CHECK: Duration = Duration::from_secs(5);
/// The server forgets a consumer that nobody has asked for this long.
const INACTIVE: Duration = Duration::from_secs(30);

/// Reads a publisher's events as they come, on each replica all of them, in the order of the stream, from now on and
/// without a memory that outlives the process: for what happens on the screens of people who are connected here.
///
/// The consumer is an ephemeral one whose sequence numbers are checked. After a loss of the connection or of the
/// consumer it goes on behind the last event, so that nothing is missed.
#[derive(Clone, Debug)]
pub struct Tail {
    bus: Bus,
    publisher: String,
    filter: String,
}

/// What happens to a [`Tail`].
#[derive(Debug)]
pub enum Tailed {
    /// From now on every event is delivered. Not said before the server knows the consumer.
    Live,
    /// Nothing comes for now; what happens meanwhile is delivered later.
    Paused,
    /// An event. Comes twice if it was published twice.
    Event(Message),
    /// Events were missed and will not come: the stream was lost, has dropped them already, or they cannot be read.
    Missed,
}

/// Where the tail stands in which stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    birth: DateTime<Utc>,
    /// All that matched up to this sequence has been seen, or was there before the beginning.
    last: u64,
}

impl Tail {
    /// The events of `publisher` that match `filter`, a name or one with a wildcard such as `chat.*`.
    pub fn new(bus: &Bus, publisher: &str, filter: &str) -> Self {
        Self { bus: bus.clone(), publisher: publisher.to_owned(), filter: filter.to_owned() }
    }

    /// Works until `shutdown`, over any loss of NATS. `handler` is called for one thing after the other and holds up
    /// what follows.
    pub async fn run<H>(self, shutdown: CancellationToken, mut handler: H)
    where
        H: FnMut(Tailed) -> BoxFuture<'static, ()> + Send,
    {
        let mut backoff = Backoff::new();
        let mut place = None;
        loop {
            backoff.started();
            let session = self.session(&mut place, &mut handler);
            let Some(Err(error)) = shutdown.run_until_cancelled(session).await else { return };
            handler(Tailed::Paused).await;
            let pause = backoff.failed();
            tracing::warn!(filter = self.filter, error = format!("{error:#}"), ?pause, "the tail starts over");
            if shutdown.run_until_cancelled(sleep(pause)).await.is_none() {
                return;
            }
        }
    }

    /// One connection's life, which ends by an error.
    async fn session<H>(&self, place: &mut Option<Place>, handler: &mut H) -> anyhow::Result<std::convert::Infallible>
    where
        H: FnMut(Tailed) -> BoxFuture<'static, ()> + Send,
    {
        self.bus.connected().await;
        let connects = self.bus.connects();
        self.bus.ensure_stream(&self.publisher).await?;
        let stream = self.bus.jetstream().get_stream(stream_name(self.bus.namespace(), &self.publisher)).await?;
        let info = stream.cached_info();
        let (now, first) = (Place { birth: created(info), last: info.state.last_sequence }, info.state.first_sequence);
        let mut from = match *place {
            None => now,
            Some(then) if then.birth == now.birth && then.last <= now.last && first <= then.last + 1 => then,
            Some(_) => {
                handler(Tailed::Missed).await;
                now
            }
        };
        *place = Some(from);
        let consumer = self.consumer(from.last + 1).await?;
        let mut messages = consumer
            .stream()
            .max_messages_per_batch(PREFETCH)
            .heartbeat(HEARTBEAT)
            .expires(Duration::from_secs(20))
            .messages()
            .await?;
        handler(Tailed::Live).await;

        let mut delivered = 0;
        let mut check = interval(CHECK);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                // What the connection had on its way may be lost with it.
                () = self.bus.reconnected(connects) => anyhow::bail!("the connection was lost"),
                _ = check.tick() => {
                    let info = stream.get_info().await?;
                    ensure!(created(&info) == from.birth, "the stream was lost");
                    // The server passes over in silence what the stream drops before it was sent. Between the events that
                    // match there are others, so that a gap says nothing; but behind the place up to which all that
                    // matched has come, nothing may be gone.
                    if info.state.first_sequence > from.last + 1 {
                        handler(Tailed::Missed).await;
                        from.last = info.state.first_sequence - 1;
                    }
                    let sent = consumer.get_info().await?;
                    if sent.num_pending == 0 && sent.delivered.consumer_sequence == delivered {
                        from.last = from.last.max(info.state.last_sequence);
                    }
                    *place = Some(from);
                }
                next = messages.next() => {
                    let message = next.context("the server ended the subscription")??;
                    let info = message.info().map_err(|error| anyhow::anyhow!("no place in the stream: {error}"))?;
                    delivered += 1;
                    ensure!(info.consumer_sequence == delivered, "an event was lost on its way");
                    let last = info.stream_sequence;
                    // What cannot be read is as good as lost.
                    handler(read(message).map_or(Tailed::Missed, Tailed::Event)).await;
                    from.last = from.last.max(last);
                    *place = Some(from);
                }
            }
        }
    }

    async fn consumer(&self, start_sequence: u64) -> anyhow::Result<PullConsumer> {
        let config = pull::Config {
            filter_subject: full_subject(self.bus.namespace(), &self.publisher, &self.filter),
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence },
            ack_policy: AckPolicy::None,
            inactive_threshold: INACTIVE,
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let stream = stream_name(self.bus.namespace(), &self.publisher);
        self.bus.jetstream().create_consumer_on_stream(config, stream).await.context("the tail cannot be set up")
    }
}

fn read(message: jetstream::Message) -> Option<Message> {
    let envelope = message.headers.as_ref().and_then(Envelope::from_headers);
    if envelope.is_none() {
        tracing::error!(subject = %message.subject, "a message without the headers of an event");
    }
    Some(Message::new(envelope?, message.message.payload))
}
