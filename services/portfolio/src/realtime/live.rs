//! What replicas tell each other and no stream keeps: who types, who is online, which socket is replaced. At most once.

use std::sync::Arc;

use async_nats::Subscriber;
use futures_util::StreamExt as _;
use grafikarsa_events::Bus;
use serde::{Deserialize, Serialize};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::{
    frames::{self, Close, IsOnline, IsTyping},
    hub::Hub,
    typing::Recently,
};

/// Before a subscription that failed is tried again.
const PAUSE: std::time::Duration = std::time::Duration::from_secs(1);
/// Recipients named in one message, which stays far below what NATS takes.
const RECIPIENTS: usize = 5000;

/// Tells other replicas, and this one like any other.
#[derive(Clone)]
pub struct Live {
    bus: Bus,
    subjects: Arc<str>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Told {
    Typing { to: Uuid, typing: IsTyping },
    Presence { to: Vec<Uuid>, presence: IsOnline },
    Replaced { user: Uuid, socket: Uuid },
}

impl Live {
    pub fn new(bus: Bus) -> Self {
        let subjects = format!("{}.portfolio.live", bus.namespace()).into();
        Self { bus, subjects }
    }

    pub async fn typing(&self, to: Uuid, typing: IsTyping) {
        self.tell("typing", &Told::Typing { to, typing }).await;
    }

    pub async fn presence(&self, presence: IsOnline, to: Vec<Uuid>) {
        for to in to.chunks(RECIPIENTS) {
            self.tell("presence", &Told::Presence { to: to.to_vec(), presence }).await;
        }
    }

    /// A socket that has to end because the user has newer ones.
    pub async fn replaced(&self, user: Uuid, socket: Uuid) {
        self.tell("replaced", &Told::Replaced { user, socket }).await;
    }

    /// Waits until what was told is on its way, or cannot be soon.
    pub async fn flush(&self) {
        if self.bus.is_connected() && !matches!(timeout(PAUSE, self.bus.client().flush()).await, Ok(Ok(()))) {
            tracing::debug!("what replicas were told may come late");
        }
    }

    async fn tell(&self, kind: &str, told: &Told) {
        // The client would keep it until there is a connection, and then make the caller wait.
        if !self.bus.is_connected() {
            return;
        }
        let sent = match serde_json::to_vec(told) {
            Ok(payload) => self
                .bus
                .client()
                .publish(format!("{}.{kind}", self.subjects), payload.into())
                .await
                .map_err(anyhow::Error::new),
            Err(error) => Err(error.into()),
        };
        if let Err(error) = sent {
            tracing::debug!(%error, kind, "replicas were not told");
        }
    }

    /// Hears from now on; what comes is held for [`Live::run`]. The client subscribes anew after a reconnect by itself.
    pub async fn subscribe(&self) -> Subscriber {
        loop {
            match self.bus.client().subscribe(format!("{}.>", self.subjects)).await {
                Ok(subscriber) => return subscriber,
                Err(error) => tracing::warn!(%error, "replicas are not heard"),
            }
            sleep(PAUSE).await;
        }
    }

    /// Brings what is heard to the sockets of `hub`.
    pub async fn run(&self, mut subscriber: Subscriber, hub: &Hub) {
        let mut recently = Recently::default();
        loop {
            while let Some(message) = subscriber.next().await {
                match serde_json::from_slice(&message.payload) {
                    Ok(told) => deliver(told, hub, &mut recently),
                    // A newer release may say more.
                    Err(error) => tracing::debug!(%error, subject = %message.subject, "not understood"),
                }
            }
            subscriber = self.subscribe().await;
        }
    }
}

fn deliver(told: Told, hub: &Hub, recently: &mut Recently) {
    let written = match &told {
        Told::Typing { typing, .. } => frames::write("typing", typing),
        Told::Presence { presence, .. } => frames::write("presence", presence),
        Told::Replaced { user, socket } => {
            for open in hub.of(*user).iter().filter(|open| open.id == *socket) {
                open.close(Close::Replaced);
            }
            return;
        }
    };
    match (told, written) {
        (Told::Typing { to, typing }, Ok(frame)) => {
            // The same person may type on two devices.
            if !typing.is_typing || recently.is_first(typing.conversation_id, typing.user_id) {
                hub.send(to, &frame);
            }
        }
        (Told::Presence { to, .. }, Ok(frame)) => to.iter().for_each(|&user| hub.send(user, &frame)),
        (_, Err(error)) => tracing::error!(%error, "a frame cannot be written"),
        (Told::Replaced { .. }, Ok(_)) => {}
    }
}
