//! Who has a live socket on any replica, and who is told.
//!
//! A socket is a row that counts for as long as the lease of its replica runs. `chat_presence` holds what partners were
//! told last, and its row decides every race: who opens the first socket, and whether the last one has been closed for
//! long enough.

mod registry;

use std::{collections::HashSet, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use tokio::{
    sync::{Notify, mpsc},
    time::{MissedTickBehavior, interval, sleep},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    RealtimeSettings,
    frames::{Close, IsOnline},
    hub::{Hub, Socket},
    live::Live,
};
use crate::chat::people;

/// Closed sockets that are written down in one transaction.
const BATCH: usize = 500;
/// How often it is looked for people who have closed their last socket long enough ago.
const LOOK: Duration = Duration::from_secs(1);
/// Before something that failed is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// Those of `users` who have a live socket. Whether somebody may know is for the caller to say.
pub async fn online(connection: &mut PgConnection, users: &[Uuid]) -> Result<HashSet<Uuid>, sqlx::Error> {
    registry::online(connection, users).await
}

/// This replica's part.
pub struct Presence {
    db: PgPool,
    replica: Uuid,
    settings: RealtimeSettings,
    live: Live,
    closed: mpsc::UnboundedSender<Closed>,
    /// Sockets were brought back, and partners have to be told.
    unannounced: Notify,
}

/// A socket that is gone.
#[derive(Clone, Copy, Debug)]
struct Closed {
    socket: Uuid,
    user: Uuid,
}

/// What a new socket has to know.
pub struct Opened {
    pub at: DateTime<Utc>,
    /// Partners who are online.
    pub partners: Vec<Uuid>,
}

/// Writes down which sockets were closed.
pub struct Recorder(mpsc::UnboundedReceiver<Closed>);

impl Presence {
    pub fn new(db: PgPool, settings: RealtimeSettings, live: Live) -> (Self, Recorder) {
        // Bounded by the sockets that were open.
        let (closed, queue) = mpsc::unbounded_channel();
        let unannounced = Notify::new();
        (Self { db, replica: Uuid::now_v7(), settings, live, closed, unannounced }, Recorder(queue))
    }

    /// Writes the socket down, tells partners if it is the first, and ends the user's oldest ones beyond ten.
    pub async fn open(&self, hub: &Hub, socket: &Socket) -> Result<Opened, sqlx::Error> {
        match self.write_down(socket).await {
            // Others have taken this replica for dead.
            Err(error) if registry::is_unknown_replica(&error) => {
                self.renew(hub).await?;
                self.unannounced.notify_one();
                self.write_down(socket).await
            }
            opened => opened,
        }
    }

    async fn write_down(&self, socket: &Socket) -> Result<Opened, sqlx::Error> {
        let mut tx = self.db.begin().await?;
        let registered = registry::open(&mut tx, self.replica, socket.id, socket.user).await?;
        // Nothing may fail between the note that partners were told and telling them.
        let partners = people::partners(&mut *tx, socket.user).await?;
        let online = online(&mut tx, &partners).await?;
        tx.commit().await?;
        for replaced in registered.replaced {
            self.live.replaced(socket.user, replaced).await;
        }
        if registered.first {
            self.live.presence(IsOnline { user_id: socket.user, is_online: true }, partners).await;
        }
        Ok(Opened { at: registered.opened_at, partners: online.into_iter().collect() })
    }

    /// Notes that a socket is gone, without waiting for anything.
    pub fn close(&self, socket: &Socket) {
        self.note(Closed { socket: socket.id, user: socket.user });
    }

    fn note(&self, closed: Closed) {
        if self.closed.send(closed).is_err() {
            tracing::debug!("the books are closed already: the socket goes with its replica");
        }
    }

    /// Tells each of the two that the other is offline, if the other was shown online: one has blocked the other.
    pub async fn hide(&self, one: Uuid, other: Uuid) -> Result<(), sqlx::Error> {
        for shown in registry::shown(&self.db, &[one, other]).await? {
            let to = if shown == one { other } else { one };
            self.live.presence(IsOnline { user_id: shown, is_online: false }, vec![to]).await;
        }
        Ok(())
    }

    /// Keeps the lease, takes down who has gone, and closes the books at the end, which is when `empty` is over.
    pub async fn run(self: Arc<Self>, hub: Arc<Hub>, recorder: Recorder, empty: CancellationToken) {
        let recorded = tokio::spawn(recorder.run(self.db.clone(), empty.clone()));
        empty.run_until_cancelled(async { tokio::join!(self.keep_lease(&hub), self.look()) }).await;
        drop(recorded.await);
        if let Err(error) = registry::leave(&self.db, self.replica).await {
            tracing::warn!(%error, "this replica's sockets count until its lease has run out");
        }
    }

    /// Makes the replica known; its first socket needs it.
    pub async fn enter(&self) {
        while let Err(error) = registry::enter(&self.db, self.replica, self.settings.lease).await {
            tracing::warn!(%error, "the replica cannot be made known and tries again");
            sleep(PAUSE).await;
        }
    }

    async fn keep_lease(&self, hub: &Hub) {
        let mut rounds = interval(self.settings.renewal());
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = rounds.tick() => {}
                () = self.unannounced.notified() => {}
            }
            if let Err(error) = self.round(hub).await {
                tracing::warn!(%error, "the lease was not renewed");
            }
        }
    }

    async fn round(&self, hub: &Hub) -> Result<(), sqlx::Error> {
        self.renew(hub).await?;
        for user in registry::unannounced(&self.db, self.replica).await? {
            self.settle(user, false).await;
        }
        // Told before, over a bus that promises nothing.
        for (socket, user) in registry::replaced(&self.db, self.replica).await? {
            for open in hub.of(user).iter().filter(|open| open.id == socket) {
                open.close(Close::Replaced);
            }
        }
        registry::take_down_the_dead(&self.db).await
    }

    /// Renews the lease. A replica that others have taken for dead brings its sockets back.
    async fn renew(&self, hub: &Hub) -> Result<(), sqlx::Error> {
        if registry::renew(&self.db, self.replica, self.settings.lease).await? {
            return Ok(());
        }
        tracing::warn!("the lease had run out: this replica's sockets are made known again");
        registry::enter(&self.db, self.replica, self.settings.lease).await?;
        let mut sockets = Vec::new();
        hub.for_each(|socket| sockets.push((socket.id, socket.user)));
        registry::reopen(&self.db, self.replica, &sockets).await?;
        // Whoever has gone meanwhile may have been taken off the books before he was brought back.
        let gone = |(socket, user): &(Uuid, Uuid)| !hub.of(*user).iter().any(|open| open.id == *socket);
        for (socket, user) in sockets.into_iter().filter(gone) {
            self.note(Closed { socket, user });
        }
        Ok(())
    }

    /// Tells of people who have closed their last socket long enough ago. Replicas share the work.
    async fn look(&self) {
        let mut rounds = interval(LOOK.min(self.settings.linger.max(Duration::from_millis(50))));
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            rounds.tick().await;
            match registry::gone(&self.db, self.settings.linger).await {
                Ok(gone) => {
                    for user in gone {
                        self.settle(user, true).await;
                    }
                }
                Err(error) => tracing::warn!(%error, "it is not known who has gone offline"),
            }
        }
    }

    /// Tells the partners of a user, if what they were told, that he is `shown` as online or not, does not hold any more.
    /// What fails is left for the next round and stops nobody else's.
    async fn settle(&self, user_id: Uuid, shown: bool) {
        let told = async {
            let mut tx = self.db.begin().await?;
            if let Some(is_online) = registry::settle(&mut tx, user_id, shown, self.settings.linger).await? {
                let partners = people::partners(&mut *tx, user_id).await?;
                // Under the lock of his row: whoever opens or closes a socket of his speaks afterwards.
                self.live.presence(IsOnline { user_id, is_online }, partners).await;
                self.live.flush().await;
            }
            tx.commit().await
        };
        if let Err(error) = told.await {
            tracing::warn!(%error, "partners are told later who came or went");
        }
    }
}

impl Recorder {
    /// Writes until `empty`, and what is left then.
    async fn run(mut self, db: PgPool, empty: CancellationToken) {
        let mut waiting = Vec::new();
        loop {
            let last = tokio::select! {
                received = self.0.recv_many(&mut waiting, BATCH) => received == 0,
                () = empty.cancelled() => true,
            };
            if last {
                self.0.close();
                while let Ok(closed) = self.0.try_recv() {
                    waiting.push(closed);
                }
            }
            for batch in waiting.chunks(BATCH) {
                while let Err(error) = registry::close(&db, batch).await {
                    tracing::warn!(%error, "closed sockets are not written down yet");
                    // What is not written down goes with the replica.
                    if last || empty.run_until_cancelled(sleep(PAUSE)).await.is_none() {
                        return;
                    }
                }
            }
            waiting.clear();
            if last {
                return;
            }
        }
    }
}
