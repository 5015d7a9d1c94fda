use std::{sync::atomic::Ordering, time::Duration};

use anyhow::Context as _;
use async_nats::{
    Client, Subscriber,
    jetstream::{self, kv::Operation},
};
use chrono::Utc;
use futures_util::StreamExt as _;
use tokio::time::{Instant, MissedTickBehavior};

use super::{RevocationList, bucket, subject};

/// How often a watcher looks whether it still watches the bucket that exists.
const CHECK: Duration = Duration::from_secs(1);
/// The first pause before a watcher looks again for a bucket that is not there. The next ones grow slowly up to [`CHECK`]:
/// at the very first start auth is about to make it, and nobody is served before it was read.
const RETRY: Duration = Duration::from_millis(50);
/// A first read that brings nothing for this long has brought everything.
const SILENCE: Duration = Duration::from_secs(2);

/// Feeds a list from auth's messages and bucket.
pub(super) struct Watcher {
    list: RevocationList,
    client: Client,
    namespace: String,
}

impl Watcher {
    pub(super) fn new(list: RevocationList, client: Client, namespace: &str) -> Self {
        Self { list, client, namespace: namespace.to_owned() }
    }

    /// Works for ever.
    pub(super) async fn run(self) {
        // The messages are subscribed to before the bucket is read: what falls between would be in neither. They are
        // heard also while there is no bucket, and the client subscribes anew after a reconnect by itself.
        let messages = self.subscribe().await;
        tokio::join!(self.hear(messages), self.follow_all(), self.forget());
    }

    async fn subscribe(&self) -> Subscriber {
        loop {
            match self.client.subscribe(subject(&self.namespace)).await {
                Ok(messages) => return messages,
                Err(error) => tracing::debug!(%error, "revocations are not heard"),
            }
            tokio::time::sleep(CHECK).await;
        }
    }

    /// Applies what auth tells all replicas at once.
    async fn hear(&self, mut messages: Subscriber) {
        loop {
            while let Some(message) = messages.next().await {
                self.list.apply_text(&String::from_utf8_lossy(&message.payload));
            }
            messages = self.subscribe().await;
        }
    }

    async fn forget(&self) {
        let mut rounds = tokio::time::interval(CHECK);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            rounds.tick().await;
            self.list.forget_expired(Utc::now());
        }
    }

    /// Follows one bucket after the other.
    async fn follow_all(&self) {
        let mut pause = RETRY;
        loop {
            match self.follow(&mut pause).await {
                Ok(()) => {}
                Err(error) => tracing::debug!(error = format!("{error:#}"), "the revocation list is not followed"),
            }
            tokio::time::sleep(pause).await;
            pause = pause.mul_f64(1.25).min(CHECK);
        }
    }

    /// Follows one bucket until it is lost or the connection was.
    async fn follow(&self, pause: &mut Duration) -> anyhow::Result<()> {
        let connects = self.connects();
        let context = jetstream::new(self.client.clone());
        let store = context.get_key_value(bucket(&self.namespace)).await?;
        let created = store.stream.cached_info().created;
        let waiting = store.status().await?.values();
        let mut entries = store.watch_with_history(">").await?;
        let mut first_read = FirstRead::of(waiting, Instant::now());
        *pause = RETRY;
        let mut check = tokio::time::interval(CHECK);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if first_read.is_complete(Instant::now()) {
                self.list.0.ready.send_if_modified(|ready| !std::mem::replace(ready, true));
            }
            tokio::select! {
                entry = entries.next() => {
                    let entry = entry.context("the watch ended")??;
                    if entry.operation == Operation::Put {
                        self.list.apply_text(&entry.key);
                    }
                    first_read.entry(entry.delta, Instant::now());
                }
                _ = check.tick() => {
                    if self.connects() != connects {
                        return Ok(());
                    }
                    let now = context.get_stream(format!("KV_{}", bucket(&self.namespace))).await?;
                    anyhow::ensure!(now.cached_info().created == created, "the bucket was made anew");
                }
            }
        }
    }

    fn connects(&self) -> u64 {
        self.client.statistics().connects.load(Ordering::Relaxed)
    }
}

/// Whether all entries have come that were there before the watch.
struct FirstRead {
    waiting: u64,
    last: Instant,
}

impl FirstRead {
    /// `waiting` entries are in the bucket; some may expire before they are read.
    fn of(waiting: u64, now: Instant) -> Self {
        Self { waiting, last: now }
    }

    /// An entry came, and the server had `left` more to send at that moment.
    fn entry(&mut self, left: u64, now: Instant) {
        self.waiting = if left == 0 { 0 } else { self.waiting.saturating_sub(1) };
        self.last = now;
    }

    fn is_complete(&self, now: Instant) -> bool {
        self.waiting == 0 || now.duration_since(self.last) > SILENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_read_is_over_when_all_has_come_or_after_two_seconds_of_silence() {
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        assert!(FirstRead::of(0, start).is_complete(start));

        let mut slow = FirstRead::of(4, start);
        for (left, milliseconds) in [(3, 1900), (2, 3800), (1, 5700)] {
            assert!(!slow.is_complete(at(milliseconds)), "it goes on after {milliseconds} ms");
            slow.entry(left, at(milliseconds));
        }
        assert!(!slow.is_complete(at(7700)));
        assert!(slow.is_complete(at(7701)), "the last one has expired");
        slow.entry(0, at(7800));
        assert!(slow.is_complete(at(7800)));

        let mut counted = FirstRead::of(2, start);
        counted.entry(0, at(1));
        assert!(counted.is_complete(at(1)), "the server says that nothing is left");
    }
}
