//! What is said over a socket: text frames, one JSON object each.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use uuid::Uuid;

/// Largest text a client may send, in bytes.
pub const MAX_INCOMING: usize = 8 * 1024;

/// Why the server closes a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    Unsupported,
    Malformed,
    TooLarge,
    ServerError,
    Restart,
    TooSlow,
    TokenEnded,
    SessionEnded,
    Silent,
    Replaced,
    Flooding,
    /// Breaks the protocol itself.
    Protocol,
}

impl Close {
    pub fn code(self) -> u16 {
        match self {
            Self::Protocol => 1002,
            Self::Unsupported => 1003,
            Self::Malformed => 1007,
            Self::TooLarge => 1009,
            Self::ServerError => 1011,
            Self::Restart => 1012,
            Self::TooSlow => 1013,
            Self::TokenEnded => 4401,
            Self::SessionEnded => 4403,
            Self::Silent => 4408,
            Self::Replaced => 4409,
            Self::Flooding => 4429,
        }
    }

    /// Whether the client still gets what waits to be written: not when it has no right to it any more, and not when it
    /// takes nothing.
    pub fn leaves_time(self) -> bool {
        !matches!(self, Self::TokenEnded | Self::SessionEnded | Self::TooSlow)
    }
}

/// What a client says.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming {
    Ping,
    Typing(Typing),
    Auth(Auth),
    /// Of a later version of the client: ignored.
    Unknown,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
pub struct Typing {
    pub conversation_id: Uuid,
    pub is_typing: bool,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
pub struct Auth {
    pub token: String,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(default)]
    payload: Value,
}

/// Reads a frame.
///
/// # Errors
/// It is no JSON object with a type, or the payload is not the type's.
pub fn read(text: &str) -> Result<Incoming, serde_json::Error> {
    let Envelope { kind, payload } = serde_json::from_str(text)?;
    match &*kind {
        "ping" => Ok(Incoming::Ping),
        "typing" => serde_json::from_value(payload).map(Incoming::Typing),
        "auth" => serde_json::from_value(payload).map(Incoming::Auth),
        _ => Ok(Incoming::Unknown),
    }
}

/// A text frame, ready to be written to any number of sockets.
///
/// # Errors
/// The payload is nothing that JSON can say, which no payload here is.
pub fn write(kind: &'static str, payload: &impl Serialize) -> Result<Utf8Bytes, serde_json::Error> {
    #[derive(Serialize)]
    struct Envelope<'a, T> {
        #[serde(rename = "type")]
        kind: &'static str,
        payload: &'a T,
    }
    serde_json::to_string(&Envelope { kind, payload }).map(Utf8Bytes::from)
}

pub const PONG: Utf8Bytes = Utf8Bytes::from_static(r#"{"type":"pong","payload":null}"#);

#[derive(Serialize)]
pub struct Ready {
    pub user_id: Uuid,
    pub heartbeat_seconds: u64,
    pub expires_at: DateTime<Utc>,
}

/// Of `auth.ok` and `auth.expiring`.
#[derive(Serialize)]
pub struct Expiry {
    pub expires_at: DateTime<Utc>,
}

#[derive(Serialize)]
pub struct MessageNew<M> {
    pub conversation_id: Uuid,
    pub message: M,
}

#[derive(Serialize)]
pub struct MessageDeleted {
    pub conversation_id: Uuid,
    pub message_id: Uuid,
}

#[derive(Serialize)]
pub struct ReadReceipt {
    pub conversation_id: Uuid,
    pub user_id: Uuid,
    pub read_at: DateTime<Utc>,
}

/// Also travels between replicas.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IsTyping {
    pub conversation_id: Uuid,
    pub user_id: Uuid,
    pub username: String,
    pub is_typing: bool,
}

/// Also travels between replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IsOnline {
    pub user_id: Uuid,
    pub is_online: bool,
}

/// What was wrong with a frame that leaves the socket open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Malformed,
    NotParticipant,
    TooMany,
}

impl Fault {
    pub fn frame(self) -> Utf8Bytes {
        Utf8Bytes::from_static(match self {
            Self::Malformed => {
                r#"{"type":"error","payload":{"code":"VALIDATION_ERROR","message":"Pesan tidak dapat dibaca"}}"#
            }
            Self::NotParticipant => {
                r#"{"type":"error","payload":{"code":"NOT_PARTICIPANT","message":"Anda bukan peserta percakapan ini"}}"#
            }
            Self::TooMany => {
                r#"{"type":"error","payload":{"code":"TOO_MANY_REQUESTS","message":"Terlalu banyak pesan, silakan pelan-pelan"}}"#
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn known_frames_are_read_and_unknown_ones_and_unknown_fields_ignored() {
        let id = Uuid::from_u128(7);
        let typing = Incoming::Typing(Typing { conversation_id: id, is_typing: true });
        for (text, read_as) in [
            (json!({ "type": "ping" }), Incoming::Ping),
            (json!({ "type": "ping", "payload": null }), Incoming::Ping),
            (json!({ "type": "typing", "payload": { "conversation_id": id, "is_typing": true } }), typing),
            (
                json!({ "type": "auth", "payload": { "token": "a.b.c", "later": 1 }, "later": 2 }),
                Incoming::Auth(Auth { token: "a.b.c".to_owned() }),
            ),
            (json!({ "type": "sing", "payload": [1, 2] }), Incoming::Unknown),
        ] {
            assert_eq!(read(&text.to_string()).unwrap(), read_as, "{text}");
        }
        assert_eq!(read(r#"{"type":"\u0070ing"}"#).unwrap(), Incoming::Ping);
    }

    #[test]
    fn what_is_no_object_with_a_type_and_its_payload_is_malformed() {
        for text in [
            "",
            "ping",
            "null",
            "[]",
            "\"ping\"",
            "{}",
            r#"{"type":1}"#,
            r#"{"type":"typing"}"#,
            r#"{"type":"typing","payload":{"conversation_id":"x","is_typing":true}}"#,
            r#"{"type":"typing","payload":{"conversation_id":"00000000-0000-4000-8000-000000000000","is_typing":1}}"#,
            r#"{"type":"auth","payload":{"token":7}}"#,
            r#"{"type":"auth"}"#,
            r#"{"type":"ping"} {"type":"ping"}"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        assert!(read(&"[".repeat(MAX_INCOMING)).is_err());
    }

    #[test]
    fn frames_that_are_written_once_for_all_are_json() {
        for (frame, kind) in [(PONG, "pong"), (Fault::Malformed.frame(), "error"), (Fault::TooMany.frame(), "error")] {
            assert_eq!(serde_json::from_str::<Value>(&frame).unwrap()["type"], kind);
        }
        let text = write("presence", &IsOnline { user_id: Uuid::nil(), is_online: true }).unwrap();
        let expected = json!({ "type": "presence", "payload": { "user_id": Uuid::nil(), "is_online": true } });
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
    }
}
