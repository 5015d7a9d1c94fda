//! Outbox, relay, consumers with inbox, dead letters.
