use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use async_nats::{
    Client, ConnectOptions, Event as ClientEvent, ServerAddr,
    jetstream::{
        self, ErrorCode,
        context::{GetStreamError, GetStreamErrorKind, PublishError},
        stream::{Config, Info, StorageType},
    },
};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use proto_events::{applied_subject, stream_name, stream_subjects};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use uuid::Uuid;

use crate::{
    EventsSettings,
    applied::{AppliedWait, PROBE},
    backoff::Backoff,
    headers::Envelope,
};

/// How long the streams keep events. Inboxes keep their rows longer.
pub(crate) const MAX_AGE: Duration = Duration::from_hours(14 * 24);
/// Within this time the stream itself drops what a relay sends twice. A convenience: the inbox decides.
const DUPLICATE_WINDOW: Duration = Duration::from_mins(10);
/// How long one request to JetStream may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a subscription may take to be known to the server, before the caller goes on without it.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_millis(500);

/// The connection to NATS that all of a service's relays, consumers and waits share. Cheap to clone; reconnects by
/// itself for as long as it lives.
#[derive(Clone)]
pub struct Bus {
    client: Client,
    jetstream: jetstream::Context,
    settings: Arc<EventsSettings>,
    connected: watch::Receiver<bool>,
}

/// What can go wrong between a service and NATS.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// The address in the settings cannot be read.
    #[error("NATS_URL is no address of a NATS server")]
    Address,
    /// Nobody answered in time.
    #[error("NATS is unreachable at {address}: {source}")]
    Unreachable {
        /// Host and port, without the password.
        address: String,
        /// The last failure.
        source: async_nats::ConnectError,
    },
    /// A stream could not be created or brought up to date.
    #[error("the stream {stream} cannot be set up: {source}")]
    Stream {
        /// Its name.
        stream: String,
        /// What the server or the connection said.
        source: async_nats::Error,
    },
    /// An event was not acknowledged.
    #[error("an event was not acknowledged: {0}")]
    Publish(#[from] PublishError),
    /// There is no connection at the moment.
    #[error("NATS is not connected")]
    Disconnected,
    /// The client was closed: the process is shutting down.
    #[error("the connection to NATS is closed")]
    Closed,
}

impl Bus {
    /// Connects under the name `service`. Tries again until [`EventsSettings::connect_timeout`] has passed; once
    /// connected, the client reconnects by itself.
    ///
    /// # Errors
    /// [`BusError::Address`] and [`BusError::Unreachable`], each in one line that can be shown to an operator.
    pub async fn connect(settings: &EventsSettings, service: &str) -> Result<Self, BusError> {
        let address: ServerAddr = settings.url.expose().parse().map_err(|_| BusError::Address)?;
        let deadline = Instant::now() + settings.connect_timeout;
        let (state, connected) = watch::channel(true);
        let state = Arc::new(state);
        let mut backoff = Backoff::new();
        loop {
            match options(service, &address, state.clone()).connect(address.clone()).await {
                Ok(client) => {
                    let mut jetstream = jetstream::new(client.clone());
                    jetstream.set_timeout(REQUEST_TIMEOUT);
                    return Ok(Self { client, jetstream, settings: Arc::new(settings.clone()), connected });
                }
                Err(source) => {
                    let pause = backoff.failed();
                    if Instant::now() + pause >= deadline {
                        let address = format!("{}:{}", address.host(), address.port());
                        return Err(BusError::Unreachable { address, source });
                    }
                    sleep(pause).await;
                }
            }
        }
    }

    /// The NATS client, for what is no event: buckets, core subjects.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The JetStream context, with a time limit of 5 s on each request.
    pub fn jetstream(&self) -> &jetstream::Context {
        &self.jetstream
    }

    /// [`EventsSettings::namespace`].
    pub fn namespace(&self) -> &str {
        &self.settings.namespace
    }

    /// True while the connection stands, for readiness.
    pub fn is_connected(&self) -> bool {
        *self.connected.borrow()
    }

    /// Waits until the connection stands.
    pub async fn connected(&self) {
        self.until(true).await;
    }

    /// How often the client has connected.
    pub(crate) fn connects(&self) -> u64 {
        self.client.statistics().connects.load(Ordering::Relaxed)
    }

    /// Waits until the connection is another one than the one of `connects`, or none.
    pub(crate) async fn reconnected(&self, connects: u64) {
        let mut connected = self.connected.clone();
        drop(connected.wait_for(|connected| !connected || self.connects() != connects).await);
    }

    async fn until(&self, wanted: bool) {
        let mut connected = self.connected.clone();
        // An error means that the client is gone with its callback; the next request will say so.
        drop(connected.wait_for(|connected| *connected == wanted).await);
    }

    /// Creates the stream of `publisher` or brings its limits up to date: file storage, 14 days, subjects
    /// `<namespace>.<publisher>.v1.>`. Returns when the stream was created; a later time than before means that the
    /// bus lost its storage.
    ///
    /// # Errors
    /// [`BusError::Stream`].
    pub async fn ensure_stream(&self, publisher: &str) -> Result<DateTime<Utc>, BusError> {
        let name = stream_name(self.namespace(), publisher);
        let config = Config {
            name: name.clone(),
            subjects: vec![stream_subjects(self.namespace(), publisher)],
            storage: StorageType::File,
            max_age: MAX_AGE,
            max_bytes: self.settings.max_bytes.unwrap_or(-1),
            num_replicas: self.settings.replicas,
            duplicate_window: DUPLICATE_WINDOW,
            ..Config::default()
        };
        let result = self.create_or_update(config).await;
        result.map_err(|source| BusError::Stream { stream: name, source })
    }

    /// The client's own `create_or_update_stream` always updates. That is not harmless: two updates at once can crash a
    /// server before 2.10.
    async fn create_or_update(&self, config: Config) -> Result<DateTime<Utc>, async_nats::Error> {
        let stream = match self.jetstream.get_stream(&config.name).await {
            Ok(stream) => stream,
            Err(error) if is_missing(&error) => {
                return Ok(created(self.jetstream.create_stream(config).await?.cached_info()));
            }
            Err(error) => return Err(error.into()),
        };
        let current = &stream.cached_info().config;
        let wanted = Config {
            subjects: config.subjects,
            max_age: config.max_age,
            max_bytes: config.max_bytes,
            num_replicas: config.num_replicas,
            duplicate_window: config.duplicate_window,
            ..current.clone()
        };
        if wanted != *current {
            self.jetstream.update_stream(wanted).await?;
        }
        Ok(created(stream.cached_info()))
    }

    /// When the stream of `publisher` was created; an error if there is none.
    pub(crate) async fn stream_created(&self, publisher: &str) -> Result<DateTime<Utc>, GetStreamError> {
        let stream = self.jetstream.get_stream(stream_name(self.namespace(), publisher)).await?;
        Ok(created(stream.cached_info()))
    }

    /// Publishes to a stream and waits for its acknowledgement.
    pub(crate) async fn publish(
        &self,
        subject: &str,
        envelope: &Envelope,
        message_id: &str,
        payload: Bytes,
    ) -> Result<(), BusError> {
        // Without a connection the client would queue the event and send it late, behind its own repetition.
        if !self.is_connected() {
            return Err(BusError::Disconnected);
        }
        let subject = format!("{}.{subject}", self.namespace());
        let headers = envelope.to_headers(message_id);
        let acknowledged = async { self.jetstream.publish_with_headers(subject, headers, payload).await?.await };
        tokio::select! {
            result = acknowledged => { result?; Ok(()) }
            // The acknowledgement would never come, and only the time limit would end the wait.
            () = self.until(false) => Err(BusError::Disconnected),
        }
    }

    /// Prepares to wait until a consumer has applied the event `id`. Call it **before** the commit that makes the event
    /// visible, so that the signal cannot come too early; then commit, then [`AppliedWait::wait`].
    ///
    /// A bus that is down is no error: the wait will be false, and the event is delivered later.
    ///
    /// # Errors
    /// [`BusError::Closed`] when the process is shutting down.
    pub async fn await_applied(&self, id: Uuid) -> Result<AppliedWait, BusError> {
        if !self.is_connected() {
            return Ok(AppliedWait { subscriber: None });
        }
        let subject = applied_subject(self.namespace(), id);
        let subscriber = self.client.subscribe(subject.clone()).await.map_err(|_| BusError::Closed)?;
        let mut wait = AppliedWait { subscriber: Some(subscriber) };
        // A flush only writes to the socket. Our own message coming back proves that the server knows the subscription.
        self.client.publish(subject, Bytes::from_static(PROBE)).await.map_err(|_| BusError::Closed)?;
        match timeout(SUBSCRIBE_TIMEOUT, wait.established()).await {
            Ok(true) => Ok(wait),
            Ok(false) => Err(BusError::Closed),
            Err(_) => Ok(AppliedWait { subscriber: None }),
        }
    }

    /// Tells whoever waits that `consumer` has applied the event `id`.
    pub(crate) async fn signal_applied(&self, id: Uuid, consumer: &str) {
        let subject = applied_subject(self.namespace(), id);
        if let Err(error) = self.client.publish(subject, Bytes::copy_from_slice(consumer.as_bytes())).await {
            tracing::debug!(%error, event = %id, "nobody was told that an event is applied");
        }
    }
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bus")
            .field("settings", &self.settings)
            .field("connected", &self.is_connected())
            .finish_non_exhaustive()
    }
}

fn is_missing(error: &GetStreamError) -> bool {
    matches!(error.kind(), GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

pub(crate) fn created(info: &Info) -> DateTime<Utc> {
    DateTime::from_timestamp(info.created.unix_timestamp(), info.created.nanosecond()).unwrap_or_default()
}

fn options(service: &str, address: &ServerAddr, state: Arc<watch::Sender<bool>>) -> ConnectOptions {
    // The client itself reads only the host and the port of an address.
    let options = match (address.username(), address.password()) {
        (Some(user), Some(password)) => ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned()),
        _ => ConnectOptions::new(),
    };
    options
        .name(service)
        .connection_timeout(Duration::from_secs(2))
        .ping_interval(Duration::from_secs(10))
        .reconnect_delay_callback(|attempts| match attempts {
            0 | 1 => Duration::ZERO,
            n => Duration::from_millis(50)
                .saturating_mul(u32::try_from(n).unwrap_or(u32::MAX))
                .min(Duration::from_secs(1)),
        })
        .event_callback(move |event| {
            let state = state.clone();
            async move {
                match event {
                    ClientEvent::Connected => {
                        tracing::info!("connected to NATS");
                        state.send_replace(true);
                    }
                    ClientEvent::Disconnected | ClientEvent::Closed => {
                        tracing::warn!("the connection to NATS is lost");
                        state.send_replace(false);
                    }
                    event => tracing::debug!(%event, "NATS"),
                }
            }
        })
}
