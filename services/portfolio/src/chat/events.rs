//! What the sockets of participants are told. Each is written in the transaction of the change, while the conversation is
//! locked, so that the events of a conversation are told in the order in which they happened.

use chrono::{DateTime, Utc};
use grafikarsa_events::outbox;
use proto_events::portfolio::v1::{ChatMessageDeleted, ChatMessageSent, ChatReactionChanged, ChatRead};
use sqlx::PgConnection;
use uuid::Uuid;

fn names(users: &[Uuid]) -> Vec<String> {
    users.iter().map(Uuid::to_string).collect()
}

pub async fn message_sent(
    connection: &mut PgConnection,
    conversation: Uuid,
    message: Uuid,
    recipients: &[Uuid],
) -> Result<(), sqlx::Error> {
    let event = ChatMessageSent {
        conversation_id: conversation.to_string(),
        message_id: message.to_string(),
        recipients: names(recipients),
    };
    outbox::append(connection, &event, conversation, 0).await.map(drop)
}

pub async fn message_deleted(
    connection: &mut PgConnection,
    conversation: Uuid,
    message: Uuid,
    recipients: &[Uuid],
) -> Result<(), sqlx::Error> {
    let event = ChatMessageDeleted {
        conversation_id: conversation.to_string(),
        message_id: message.to_string(),
        recipients: names(recipients),
    };
    outbox::append(connection, &event, conversation, 0).await.map(drop)
}

/// One event for each of `changes`, in their order.
pub async fn reaction_changed(
    connection: &mut PgConnection,
    conversation: Uuid,
    message: Uuid,
    changes: &[Uuid],
    recipients: &[Uuid],
) -> Result<(), sqlx::Error> {
    let event = |change: &Uuid| ChatReactionChanged {
        conversation_id: conversation.to_string(),
        message_id: message.to_string(),
        change_id: change.to_string(),
        recipients: names(recipients),
    };
    let events: Vec<_> = changes.iter().map(|change| (event(change), conversation, 0)).collect();
    outbox::append_all(connection, &events).await
}

pub async fn read(
    connection: &mut PgConnection,
    conversation: Uuid,
    reader: Uuid,
    read_at: DateTime<Utc>,
    recipients: &[Uuid],
) -> Result<(), sqlx::Error> {
    let event = ChatRead {
        conversation_id: conversation.to_string(),
        user_id: reader.to_string(),
        read_at_micros: read_at.timestamp_micros(),
        recipients: names(recipients),
    };
    outbox::append(connection, &event, conversation, 0).await.map(drop)
}
