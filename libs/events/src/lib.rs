//! Events between the services: outbox, relay, consumers with inbox, dead letters.
//!
//! A publisher calls [`outbox::append`] in the transaction of the change; its [`Relay`] carries the row to the
//! JetStream stream of the publisher once it is committed. A [`Consumer`] applies each event in a transaction that also
//! records it in the inbox, so that a redelivery changes nothing. What fails again and again goes to the
//! [`dead_letters`]. A [`Tail`] shows every replica what happens, for screens that are open. Who must not answer before a
//! peer has applied an event uses [`Bus::await_applied`].
//!
//! The tables are in `schema.sql`. Their queries are not checked at compile time, because they exist in three schemas;
//! the tests of this crate run each of them.
//!
//! Metrics: `events_published_total`, `events_outbox_pending`, `events_outbox_oldest_seconds`,
//! `events_consumed_total`, `events_consumer_pending`, `events_dead_letters_total`, `events_dead_letters`.

mod applied;
mod backoff;
mod bus;
pub mod commands;
mod consumer;
pub mod dead_letters;
mod headers;
mod inbox;
mod message;
pub mod outbox;
mod relay;
mod settings;
mod tail;
mod tries;

pub use applied::AppliedWait;
pub use bus::{Bus, BusError};
pub use consumer::Consumer;
pub use message::{DecodeError, Message};
pub use outbox::republish;
pub use relay::Relay;
pub use settings::EventsSettings;
pub use tail::{Tail, Tailed};

/// The tables that [`outbox`], the consumers and [`dead_letters`] need, as SQL statements.
pub const SCHEMA: &str = include_str!("../schema.sql");
