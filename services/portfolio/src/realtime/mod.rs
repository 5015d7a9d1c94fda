//! Sockets: who is connected to which replica, and what reaches them.
//!
//! Events of conversations come over the stream to every replica ([`delivery`]); what may get lost comes as plain
//! messages ([`live`]). Nothing here is needed by another replica: presence is in the database ([`presence`]).

mod connect;
mod delivery;
mod frames;
mod hub;
mod live;
mod pace;
pub mod presence;
mod settings;
mod socket;
mod typing;
mod watch;

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use grafikarsa_events::{Bus, Tail};
use grafikarsa_jwt::Verifier;
use sqlx::PgPool;
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use self::{hub::Hub, live::Live, presence::Presence};
use crate::{AppState, settings::Rules};

pub use delivery::CONNECTIONS as DELIVERY_CONNECTIONS;
pub use settings::RealtimeSettings;

/// After SIGTERM all sockets are closed within this time: their clients are told, and answer or do not. A little longer
/// than the longest end of one.
const CLOSING: Duration = socket::LONGEST_END.saturating_add(Duration::from_secs(2));

/// Before what has panicked starts over.
const PAUSE: Duration = Duration::from_secs(1);

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(connect::connect))
}

/// The sockets of this replica and what they need. Cheap to clone.
#[derive(Clone)]
pub struct Realtime(Arc<Inner>);

/// What [`Realtime`] points to.
pub struct Inner {
    db: PgPool,
    /// What is told to sockets does not wait behind the requests that it is told of.
    delivery: PgPool,
    rules: Arc<Rules>,
    settings: RealtimeSettings,
    verifier: Verifier,
    origins: Vec<String>,
    bus: Bus,
    live: Live,
    hub: Arc<Hub>,
    presence: Arc<Presence>,
}

impl std::ops::Deref for Realtime {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Realtime {
    /// Nobody can connect before [`Running::run`].
    pub fn new(
        db: PgPool,
        delivery: PgPool,
        bus: Bus,
        rules: Arc<Rules>,
        settings: RealtimeSettings,
        verifier: Verifier,
        origins: Vec<String>,
    ) -> (Self, Running) {
        let live = Live::new(bus.clone());
        let (presence, recorder) = Presence::new(db.clone(), settings.clone(), live.clone());
        let hub = Arc::new(Hub::new(settings.max_sockets));
        let inner =
            Inner { db, delivery, rules, settings, verifier, origins, bus, live, hub, presence: Arc::new(presence) };
        let realtime = Self(Arc::new(inner));
        (realtime.clone(), Running { realtime, recorder })
    }

    /// Tells each of the two that the other is offline, if the other was shown online. For a block, after its commit.
    pub async fn hide(&self, one: Uuid, other: Uuid) {
        if let Err(error) = self.presence.hide(one, other).await {
            tracing::warn!(%error, "two people are shown to each other until they look again");
        }
    }

    /// Brings what is heard to the sockets, and looks after them.
    async fn hear(&self) {
        // First, so that it is heard before the tail says that all is.
        let subscriber = self.live.subscribe().await;
        let (tailed, queue) = mpsc::channel(delivery::QUEUE);
        let tail = Tail::new(&self.bus, "portfolio", "chat.*").run(CancellationToken::new(), move |next| {
            let tailed = tailed.clone();
            Box::pin(async move { drop(tailed.send(next).await) })
        });
        tokio::join!(tail, delivery::run(self, queue), self.live.run(subscriber, &self.hub), watch::run(self));
    }

    /// Waits until sockets can be opened for the first time, because what happens is heard.
    pub fn heard(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        let hub = self.hub.clone();
        async move { hub.heard_first().await }
    }

    fn allows(&self, origin: &[u8]) -> bool {
        self.origins.iter().any(|allowed| allowed.as_bytes() == origin)
    }
}

/// The background work.
pub struct Running {
    realtime: Realtime,
    recorder: presence::Recorder,
}

impl Running {
    /// Works until `shutdown`, then closes all sockets and takes them off the books.
    pub async fn run(self, shutdown: CancellationToken) {
        let Self { realtime, recorder } = self;
        let (hub, empty) = (realtime.hub.clone(), CancellationToken::new());
        if shutdown.run_until_cancelled(realtime.presence.enter()).await.is_none() {
            return;
        }
        let books = tokio::spawn(realtime.presence.clone().run(hub.clone(), recorder, empty.clone()));
        let hearing = async {
            // It never ends by itself. After a panic nothing would be heard any more, and nobody would know.
            while AssertUnwindSafe(realtime.hear()).catch_unwind().await.is_err() {
                tracing::error!("what brings events to the sockets has panicked: it starts over, and all sockets end");
                hub.set_live(false);
                hub.missed();
                sleep(PAUSE).await;
            }
        };
        shutdown.run_until_cancelled(hearing).await;
        hub.drain();
        if timeout(CLOSING, hub.empty()).await.is_err() {
            tracing::warn!(open = hub.count(), "some sockets did not close in time");
        }
        empty.cancel();
        drop(books.await);
    }
}
