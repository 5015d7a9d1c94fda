//! The sockets of this replica, by their users.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, OnceLock, PoisonError, RwLock,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_tungstenite::tungstenite::Utf8Bytes;
use uuid::Uuid;

use super::frames::Close;

/// Frames that wait for one socket; one more ends it.
pub const QUEUE: usize = 256;
/// Locks over which the users are spread.
const SHARDS: usize = 16;
/// A transaction that told of a change may have begun this long before the change could be seen.
const LONGEST_TRANSACTION: chrono::Duration = chrono::Duration::seconds(30);

/// Something to write.
#[derive(Clone, Debug)]
pub enum Frame {
    Text(Utf8Bytes),
    /// The protocol's own question for a sign of life.
    Ping,
}

/// An access token, as far as its end goes.
#[derive(Clone, Copy, Debug)]
pub struct Token {
    pub session: Uuid,
    pub epoch: i64,
    pub expires_at: DateTime<Utc>,
    /// The client was told that it is about to expire.
    pub told: bool,
}

/// An open socket, as everybody but its task sees it.
pub struct Socket {
    pub id: Uuid,
    pub user: Uuid,
    queue: mpsc::Sender<Frame>,
    end: OnceLock<Close>,
    ended: Notify,
    token: Mutex<Token>,
    /// When it was opened, in microseconds by the database's clock; 0 until the database knows of it.
    opened: AtomicI64,
    /// Milliseconds of the hub's clock.
    heard: AtomicU64,
    pinged: AtomicU64,
    _slot: OwnedSemaphorePermit,
}

impl Socket {
    /// Puts a frame into the queue. A full queue ends the socket: nothing is lost silently.
    pub fn send(&self, frame: Frame) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.queue.try_send(frame) {
            self.close(Close::TooSlow);
        }
    }

    /// Asks whether it is still there, unless so much waits to be written that it will be noticed anyway.
    fn ping(&self) {
        drop(self.queue.try_send(Frame::Ping));
    }

    /// Ends it. The first reason counts.
    pub fn close(&self, reason: Close) {
        if self.end.set(reason).is_ok() {
            self.ended.notify_one();
        }
    }

    /// Waits until somebody ends it. Only its task may.
    pub async fn ended(&self) -> Close {
        loop {
            if let Some(reason) = self.end.get() {
                return *reason;
            }
            self.ended.notified().await;
        }
    }

    pub fn token(&self) -> Token {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn renew(&self, token: Token) {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = token;
    }

    /// True once for each token. One that has been renewed meanwhile is for the next time.
    pub fn tell_of_expiry(&self, expires_at: DateTime<Utc>) -> bool {
        let mut token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        token.expires_at == expires_at && !std::mem::replace(&mut token.told, true)
    }

    pub fn opened_at(&self, at: DateTime<Utc>) {
        self.opened.store(at.timestamp_micros(), Ordering::Release);
    }

    /// Whether something that happened at `at` is news: what was there before the socket is read over HTTP. Events that
    /// are published once more, perhaps a week of them, would fill every queue.
    fn has_yet_to_hear(&self, at: DateTime<Utc>) -> bool {
        (at + LONGEST_TRANSACTION).timestamp_micros() >= self.opened.load(Ordering::Acquire)
    }
}

/// Why there is no place for a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Events are not heard at the moment, or the replica is about to stop.
    Deaf,
    Full,
}

/// A place for one socket, given in a time in which events were heard without a gap.
pub struct Place {
    slot: OwnedSemaphorePermit,
    time: u64,
}

#[derive(Debug, Default)]
struct State {
    live: bool,
    draining: bool,
    /// Grows whenever events were missed.
    time: u64,
}

/// See the module.
pub struct Hub {
    shards: [RwLock<HashMap<Uuid, Vec<Arc<Socket>>>>; SHARDS],
    state: RwLock<State>,
    slots: Arc<Semaphore>,
    size: u32,
    started: Instant,
    first: watch::Sender<bool>,
}

impl Hub {
    /// A hub for so many sockets, deaf at first.
    pub fn new(max_sockets: usize) -> Self {
        Self {
            shards: Default::default(),
            state: RwLock::default(),
            slots: Arc::new(Semaphore::new(max_sockets)),
            size: u32::try_from(max_sockets).unwrap_or(u32::MAX),
            started: Instant::now(),
            first: watch::Sender::default(),
        }
    }

    /// Events are heard from now on, or not for now.
    pub fn set_live(&self, live: bool) {
        self.state.write().unwrap_or_else(PoisonError::into_inner).live = live;
        self.first.send_if_modified(|heard| live && !std::mem::replace(heard, true));
    }

    /// Events were missed: all sockets end, so that their clients catch up.
    pub fn missed(&self) {
        self.state.write().unwrap_or_else(PoisonError::into_inner).time += 1;
        self.for_each(|socket| socket.close(Close::Restart));
    }

    /// Lets nobody in any more and ends all sockets.
    pub fn drain(&self) {
        self.state.write().unwrap_or_else(PoisonError::into_inner).draining = true;
        self.for_each(|socket| socket.close(Close::Restart));
    }

    /// Waits until the last socket is gone.
    pub async fn empty(&self) {
        // Fails only when closed, which it never is.
        drop(self.slots.acquire_many(self.size).await);
    }

    /// Waits until events are heard for the first time.
    pub async fn heard_first(&self) {
        // Fails only without a hub, and there is one.
        drop(self.first.subscribe().wait_for(|heard| *heard).await);
    }

    /// A place for one more socket.
    pub fn admit(&self) -> Result<Place, Refused> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        if !state.live || state.draining {
            return Err(Refused::Deaf);
        }
        let slot = self.slots.clone().try_acquire_owned().map_err(|_| Refused::Full)?;
        Ok(Place { slot, time: state.time })
    }

    /// Makes a socket known, and gives its queue. `None` when events were missed since it was let in.
    pub fn register(&self, place: Place, user: Uuid, token: Token) -> Option<(Arc<Socket>, mpsc::Receiver<Frame>)> {
        let (queue, frames) = mpsc::channel(QUEUE);
        let now = self.now();
        let socket = Arc::new(Socket {
            id: Uuid::now_v7(),
            user,
            queue,
            end: OnceLock::new(),
            ended: Notify::new(),
            token: Mutex::new(token),
            opened: AtomicI64::new(0),
            heard: AtomicU64::new(now),
            pinged: AtomicU64::new(now),
            _slot: place.slot,
        });
        self.shard(user).write().unwrap_or_else(PoisonError::into_inner).entry(user).or_default().push(socket.clone());
        // Looked at after it was made known: whoever ends all sockets has changed the state before.
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        if state.draining || state.time != place.time {
            drop(state);
            self.remove(&socket);
            return None;
        }
        Some((socket, frames))
    }

    pub fn remove(&self, socket: &Socket) {
        let mut users = self.shard(socket.user).write().unwrap_or_else(PoisonError::into_inner);
        if let Some(sockets) = users.get_mut(&socket.user) {
            sockets.retain(|other| other.id != socket.id);
            if sockets.is_empty() {
                users.remove(&socket.user);
            }
        }
    }

    /// Notes a sign of life.
    pub fn heard(&self, socket: &Socket) {
        socket.heard.store(self.now(), Ordering::Relaxed);
    }

    /// Ends sockets that are silent, and asks the others for a sign of life when it is time.
    pub fn check_heartbeat(&self, socket: &Socket, ping_interval: Duration, silence_limit: Duration) {
        let now = self.now();
        let passed = |since: &AtomicU64| Duration::from_millis(now.saturating_sub(since.load(Ordering::Relaxed)));
        if passed(&socket.heard) >= silence_limit {
            socket.close(Close::Silent);
        } else if passed(&socket.pinged) >= ping_interval {
            socket.pinged.store(now, Ordering::Relaxed);
            socket.ping();
        }
    }

    /// The sockets of `user`.
    pub fn of(&self, user: Uuid) -> Vec<Arc<Socket>> {
        let users = self.shard(user).read().unwrap_or_else(PoisonError::into_inner);
        users.get(&user).cloned().unwrap_or_default()
    }

    /// Those of `users` who have a socket here that has yet to hear of what happened at `at`.
    pub fn listening(&self, users: impl IntoIterator<Item = Uuid>, at: DateTime<Utc>) -> HashSet<Uuid> {
        users.into_iter().filter(|&user| self.of(user).iter().any(|socket| socket.has_yet_to_hear(at))).collect()
    }

    /// Sends to all sockets of `user`.
    pub fn send(&self, user: Uuid, frame: &Utf8Bytes) {
        for socket in self.of(user) {
            socket.send(Frame::Text(frame.clone()));
        }
    }

    /// Sends to those sockets of `user` that have yet to hear of what happened at `at`.
    pub fn tell(&self, user: Uuid, at: DateTime<Utc>, frame: &Utf8Bytes) {
        for socket in self.of(user).iter().filter(|socket| socket.has_yet_to_hear(at)) {
            socket.send(Frame::Text(frame.clone()));
        }
    }

    pub fn close(&self, user: Uuid, reason: Close) {
        for socket in self.of(user) {
            socket.close(reason);
        }
    }

    pub fn for_each(&self, mut work: impl FnMut(&Arc<Socket>)) {
        for shard in &self.shards {
            // Not under the lock: what is done to a socket may take another one.
            let sockets: Vec<_> =
                shard.read().unwrap_or_else(PoisonError::into_inner).values().flatten().cloned().collect();
            sockets.iter().for_each(&mut work);
        }
    }

    pub fn count(&self) -> usize {
        let sockets = |shard: &RwLock<HashMap<Uuid, Vec<Arc<Socket>>>>| {
            shard.read().unwrap_or_else(PoisonError::into_inner).values().map(Vec::len).sum::<usize>()
        };
        self.shards.iter().map(sockets).sum()
    }

    fn shard(&self, user: Uuid) -> &RwLock<HashMap<Uuid, Vec<Arc<Socket>>>> {
        // The last byte of an id is random.
        &self.shards[usize::from(user.as_bytes()[15]) % SHARDS]
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> Token {
        Token { session: Uuid::nil(), epoch: 0, expires_at: Utc::now(), told: false }
    }

    fn hub(size: usize) -> Hub {
        let hub = Hub::new(size);
        hub.set_live(true);
        hub
    }

    fn text(text: &'static str) -> Frame {
        Frame::Text(Utf8Bytes::from_static(text))
    }

    #[tokio::test]
    async fn the_frame_after_a_full_queue_ends_the_socket_and_no_other() {
        assert_eq!(QUEUE, 256);
        let hub = hub(2);
        let user = Uuid::now_v7();
        let (slow, _queue) = hub.register(hub.admit().unwrap(), user, token()).unwrap();
        let (quick, mut queue) = hub.register(hub.admit().unwrap(), user, token()).unwrap();
        for _ in 0..QUEUE {
            hub.send(user, &Utf8Bytes::from_static("{}"));
            queue.recv().await.unwrap();
        }
        assert!(slow.end.get().is_none());
        slow.send(text("one more"));
        assert_eq!(slow.ended().await, Close::TooSlow);
        assert!(quick.end.get().is_none());
    }

    #[test]
    fn there_is_no_place_beyond_the_limit_and_none_while_events_are_not_heard() {
        let deaf = Hub::new(1);
        assert_eq!(deaf.admit().err(), Some(Refused::Deaf));
        deaf.set_live(true);
        let place = deaf.admit().unwrap();
        assert_eq!(deaf.admit().err(), Some(Refused::Full));
        drop(place);
        assert!(deaf.admit().is_ok());
        deaf.drain();
        assert_eq!(deaf.admit().err(), Some(Refused::Deaf));
    }

    #[test]
    fn a_socket_that_was_let_in_before_events_were_missed_does_not_open() {
        let hub = hub(2);
        let place = hub.admit().unwrap();
        hub.missed();
        assert!(hub.register(place, Uuid::now_v7(), token()).is_none());
        assert_eq!(hub.count(), 0);
        assert!(hub.register(hub.admit().unwrap(), Uuid::now_v7(), token()).is_some());
    }

    #[test]
    fn a_socket_that_was_let_in_before_the_replica_began_to_stop_does_not_open() {
        let hub = hub(1);
        let place = hub.admit().unwrap();
        hub.drain();
        assert!(hub.register(place, Uuid::now_v7(), token()).is_none());
        assert_eq!(hub.count(), 0);
    }

    #[test]
    fn a_token_is_told_to_expire_once_and_not_in_place_of_another() {
        let hub = hub(1);
        let (socket, _queue) = hub.register(hub.admit().unwrap(), Uuid::now_v7(), token()).unwrap();
        let old = socket.token().expires_at;
        let new = old + chrono::Duration::seconds(1);
        socket.renew(Token { expires_at: new, ..token() });
        assert!(!socket.tell_of_expiry(old), "it was renewed meanwhile");
        assert!(socket.tell_of_expiry(new));
        assert!(!socket.tell_of_expiry(new));
    }

    #[tokio::test]
    async fn the_hub_is_empty_when_the_last_socket_is_gone() {
        let hub = hub(3);
        let (socket, _queue) = hub.register(hub.admit().unwrap(), Uuid::now_v7(), token()).unwrap();
        hub.drain();
        assert_eq!(socket.ended().await, Close::Restart);
        assert!(tokio::time::timeout(Duration::from_millis(20), hub.empty()).await.is_err());
        hub.remove(&socket);
        drop(socket);
        hub.empty().await;
    }

    #[test]
    fn what_happened_before_a_socket_was_opened_is_no_news_to_it() {
        let hub = hub(1);
        let user = Uuid::now_v7();
        let (socket, mut queue) = hub.register(hub.admit().unwrap(), user, token()).unwrap();
        let opened = Utc::now();
        socket.opened_at(opened);
        for (seconds, heard) in [(-31, false), (-29, true), (1, true)] {
            let at = opened + chrono::Duration::seconds(seconds);
            assert_eq!(!hub.listening([user], at).is_empty(), heard, "{seconds}");
            hub.tell(user, at, &Utf8Bytes::from_static("{}"));
            assert_eq!(queue.try_recv().is_ok(), heard, "{seconds}");
        }
    }
}
