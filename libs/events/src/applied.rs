use std::time::Duration;

use async_nats::Subscriber;
use futures_util::StreamExt as _;

/// What the waiting side sends to itself to see that its subscription stands.
pub(crate) const PROBE: &[u8] = b"?";

/// A subscription to the signal that an event was applied; made with [`crate::Bus::await_applied`].
#[derive(Debug)]
pub struct AppliedWait {
    /// Absent when the bus is down: the wait is then false at once.
    pub(crate) subscriber: Option<Subscriber>,
}

impl AppliedWait {
    /// True as soon as a consumer has applied the event; false after `limit`, or at once when the bus is down. Either
    /// way the event is durable and will be applied.
    pub async fn wait(self, limit: Duration) -> bool {
        let Some(mut subscriber) = self.subscriber else { return false };
        let signal = async {
            while let Some(message) = subscriber.next().await {
                if message.payload != PROBE {
                    return true;
                }
            }
            false
        };
        tokio::time::timeout(limit, signal).await.unwrap_or(false)
    }

    /// Waits until the subscription is known to the server.
    pub(crate) async fn established(&mut self) -> bool {
        match &mut self.subscriber {
            Some(subscriber) => subscriber.next().await.is_some(),
            None => false,
        }
    }
}
