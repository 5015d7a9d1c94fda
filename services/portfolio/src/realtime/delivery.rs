//! Brings what happened in conversations to the sockets of this replica, in the order of the stream.
//!
//! An event names what happened; its text is read here, for each recipient who has a socket on this replica, and a few
//! events at a time. What nobody here has yet to hear costs no query.

use std::{collections::HashSet, time::Duration};

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use futures_util::{StreamExt as _, stream};
use grafikarsa_events::{Message, Tailed};
use proto_events::{
    Event as _,
    portfolio::v1::{ChatMessageDeleted, ChatMessageSent, ChatReactionChanged, ChatRead},
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use tokio_tungstenite::tungstenite::Utf8Bytes;
use uuid::Uuid;

use super::{
    Realtime,
    frames::{self, Close, MessageDeleted, MessageNew, ReadReceipt},
};
use crate::chat::{messages, reactions};

/// Events that wait to be delivered.
pub const QUEUE: usize = 64;
/// Events whose text is read at once, each on a connection that is used for nothing else.
pub const CONNECTIONS: u32 = 4;
/// When the database has not answered for this long, the sockets that wait end.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(200);

/// Delivers what the tail has put into the queue, until its end.
pub async fn run(realtime: &Realtime, queue: mpsc::Receiver<Tailed>) {
    let arriving = stream::unfold(queue, async |mut queue| Some((queue.recv().await?, queue)));
    let mut ready = std::pin::pin!(arriving.map(|tailed| prepare(realtime, tailed)).buffered(CONNECTIONS as usize));
    while let Some(step) = ready.next().await {
        let hub = &realtime.hub;
        match step {
            Step::Live => hub.set_live(true),
            Step::Paused => hub.set_live(false),
            Step::Missed => {
                tracing::warn!("events were missed: all sockets end and their clients catch up");
                hub.missed();
            }
            Step::Deliver { at, frames } => {
                for (user, frame) in frames {
                    hub.tell(user, at, &frame);
                }
                let late = (Utc::now() - at).to_std().unwrap_or_default();
                metrics::histogram!("chat_delivery_seconds").record(late);
            }
            Step::Failed(users) => users.into_iter().for_each(|user| hub.close(user, Close::ServerError)),
        }
    }
}

enum Step {
    Live,
    Paused,
    Missed,
    /// What happened at `at`, to whom and in which words.
    Deliver {
        at: DateTime<Utc>,
        frames: Vec<(Uuid, Utf8Bytes)>,
    },
    /// It could not be read for these.
    Failed(HashSet<Uuid>),
}

async fn prepare(realtime: &Realtime, tailed: Tailed) -> Step {
    let message = match tailed {
        Tailed::Live => return Step::Live,
        Tailed::Paused => return Step::Paused,
        Tailed::Missed => return Step::Missed,
        Tailed::Event(message) => message,
    };
    let at = message.at;
    let nothing = Step::Deliver { at, frames: Vec::new() };
    let happened = match Happened::read(&message) {
        Ok(Some(happened)) => happened,
        // A newer release may say more.
        Ok(None) => return nothing,
        Err(error) => {
            // Nobody knows whom it concerned.
            tracing::error!(error = format!("{error:#}"), id = %message.id, "an event cannot be read");
            return Step::Missed;
        }
    };
    let here = realtime.hub.listening(happened.recipients, at);
    if here.is_empty() {
        return nothing;
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        match happened.what.frames(realtime, &here).await {
            Ok(frames) => return Step::Deliver { at, frames },
            Err(error) if Instant::now() < deadline => {
                tracing::debug!(error = format!("{error:#}"), "an event cannot be told yet");
                sleep(PAUSE).await;
            }
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "an event cannot be told: the sockets end");
                return Step::Failed(here);
            }
        }
    }
}

struct Happened {
    what: What,
    recipients: Vec<Uuid>,
}

enum What {
    Sent { conversation_id: Uuid, message: Uuid },
    Deleted(MessageDeleted),
    Reaction(Uuid),
    Read(ReadReceipt),
}

impl Happened {
    fn read(message: &Message) -> anyhow::Result<Option<Self>> {
        let (what, recipients) = match message.name.as_str() {
            ChatMessageSent::NAME => {
                let sent: ChatMessageSent = message.decode()?;
                let what =
                    What::Sent { conversation_id: sent.conversation_id.parse()?, message: sent.message_id.parse()? };
                (what, sent.recipients)
            }
            ChatMessageDeleted::NAME => {
                let deleted: ChatMessageDeleted = message.decode()?;
                let what = What::Deleted(MessageDeleted {
                    conversation_id: deleted.conversation_id.parse()?,
                    message_id: deleted.message_id.parse()?,
                });
                (what, deleted.recipients)
            }
            ChatReactionChanged::NAME => {
                let changed: ChatReactionChanged = message.decode()?;
                (What::Reaction(changed.change_id.parse()?), changed.recipients)
            }
            ChatRead::NAME => {
                let read: ChatRead = message.decode()?;
                let what = What::Read(ReadReceipt {
                    conversation_id: read.conversation_id.parse()?,
                    user_id: read.user_id.parse()?,
                    read_at: DateTime::from_timestamp_micros(read.read_at_micros).context("a time out of range")?,
                });
                (what, read.recipients)
            }
            _ => return Ok(None),
        };
        let recipients = recipients.iter().map(|user| user.parse()).collect::<Result<_, _>>()?;
        Ok(Some(Self { what, recipients }))
    }
}

impl What {
    /// A frame for each of the users in `here`; none when what happened is gone by now.
    async fn frames(&self, realtime: &Realtime, here: &HashSet<Uuid>) -> anyhow::Result<Vec<(Uuid, Utf8Bytes)>> {
        let frame = match self {
            &Self::Sent { conversation_id, message } => {
                return sent(realtime, here, conversation_id, message).await;
            }
            Self::Deleted(deleted) => frames::write("message.deleted", deleted)?,
            Self::Read(receipt) => frames::write("read.receipt", receipt)?,
            Self::Reaction(change) => match reactions::render(&realtime.delivery, *change).await? {
                Some(change) => frames::write("message.reaction", &change)?,
                None => return Ok(Vec::new()),
            },
        };
        Ok(here.iter().map(|&user| (user, frame.clone())).collect())
    }
}

/// Each recipient sees the sender with his own eyes, so there is a frame for each.
async fn sent(
    realtime: &Realtime,
    here: &HashSet<Uuid>,
    conversation_id: Uuid,
    message: Uuid,
) -> anyhow::Result<Vec<(Uuid, Utf8Bytes)>> {
    let mut connection = realtime.delivery.acquire().await?;
    let mut frames = Vec::with_capacity(here.len());
    for &viewer in here {
        for message in messages::render(&mut connection, &realtime.rules, viewer, &[message]).await? {
            frames.push((viewer, frames::write("message.new", &MessageNew { conversation_id, message })?));
        }
    }
    Ok(frames)
}
