use bytes::Bytes;
use chrono::{DateTime, Utc};
use proto_events::Event;
use uuid::Uuid;

use crate::headers::Envelope;

/// An event as a consumer gets it.
#[derive(Clone, Debug)]
pub struct Message {
    /// The event id, the same at every redelivery.
    pub id: Uuid,
    /// `<entity>.<what happened>`, such as `account.changed`.
    pub name: String,
    /// Which entity it is about.
    pub aggregate: Uuid,
    /// Version of that entity after the change.
    pub version: i64,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// True when this consumer has applied the event before; only with [`crate::Consumer::apply_again`].
    pub again: bool,
    /// The protobuf message.
    pub payload: Bytes,
    pub(crate) traceparent: Option<String>,
}

/// The payload is not what its name says.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The message has another name than the type that was asked for.
    #[error("the event is {found}, not {expected}")]
    Name {
        /// What was asked for.
        expected: &'static str,
        /// What the message is.
        found: String,
    },
    /// The bytes are no such message.
    #[error("the payload of the event cannot be read")]
    Payload(#[from] prost::DecodeError),
}

impl Message {
    pub(crate) fn new(envelope: Envelope, payload: Bytes) -> Self {
        let Envelope { id, name, aggregate, version, at, traceparent } = envelope;
        Self { id, name, aggregate, version, at, again: false, payload, traceparent }
    }

    /// The payload as the message type `E`.
    ///
    /// # Errors
    /// [`DecodeError`] if the event is another one or the payload is damaged.
    pub fn decode<E: Event>(&self) -> Result<E, DecodeError> {
        if self.name != E::NAME {
            return Err(DecodeError::Name { expected: E::NAME, found: self.name.clone() });
        }
        Ok(E::decode(self.payload.clone())?)
    }
}
