//! What travels beside the payload.

use async_nats::{HeaderMap, header::NATS_MESSAGE_ID};
use chrono::{DateTime, SecondsFormat, Utc};
use uuid::Uuid;

/// The event id. `Nats-Msg-Id` is the same at first, but differs when an event is sent again on purpose, because the
/// stream would take it for a duplicate.
pub(crate) const ID: &str = "Grafikarsa-Event-Id";
/// `<entity>.<what happened>`.
pub(crate) const TYPE: &str = "Grafikarsa-Event-Type";
/// When the transaction began that wrote the event, RFC 3339 with microseconds.
pub(crate) const TIME: &str = "Grafikarsa-Event-Time";
/// Which entity it is about.
pub(crate) const AGGREGATE: &str = "Grafikarsa-Aggregate";
/// Version of that entity after the change.
pub(crate) const VERSION: &str = "Grafikarsa-Version";

/// The facts of an event that are not in its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Envelope {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) aggregate: Uuid,
    pub(crate) version: i64,
    pub(crate) at: DateTime<Utc>,
    pub(crate) traceparent: Option<String>,
}

impl Envelope {
    /// Headers under the given `Nats-Msg-Id`.
    pub(crate) fn to_headers(&self, message_id: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(NATS_MESSAGE_ID, message_id);
        headers.insert(ID, self.id.to_string());
        headers.insert(TYPE, self.name.as_str());
        headers.insert(TIME, self.at.to_rfc3339_opts(SecondsFormat::Micros, true));
        headers.insert(AGGREGATE, self.aggregate.to_string());
        headers.insert(VERSION, self.version.to_string());
        if let Some(traceparent) = &self.traceparent {
            headers.insert(grafikarsa_telemetry::propagation::TRACEPARENT, traceparent.as_str());
        }
        headers
    }

    /// Reads them back; `None` for a message that no outbox has sent.
    pub(crate) fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let text = |name: &str| headers.get(name).map(async_nats::HeaderValue::as_str);
        Some(Self {
            id: text(ID)?.parse().ok()?,
            name: text(TYPE)?.to_owned(),
            aggregate: text(AGGREGATE)?.parse().ok()?,
            version: text(VERSION)?.parse().ok()?,
            at: text(TIME)?.parse().ok()?,
            traceparent: text(grafikarsa_telemetry::propagation::TRACEPARENT).map(str::to_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_they_were_written() {
        let envelope = Envelope {
            id: Uuid::from_u128(1),
            name: "account.changed".to_owned(),
            aggregate: Uuid::from_u128(2),
            version: 7,
            at: "2026-01-02T03:04:05.678901Z".parse().expect("a time"),
            traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        };
        assert_eq!(Envelope::from_headers(&envelope.to_headers("x")), Some(envelope));
    }

    #[test]
    fn a_foreign_message_is_no_event() {
        assert_eq!(Envelope::from_headers(&HeaderMap::new()), None);
    }
}
