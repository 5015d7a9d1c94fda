//! The portfolio service as its clients meet it: the real programs of auth and portfolio, over HTTP, on real servers.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic"
)]

mod academic;
mod account_events;
mod blocks;
mod comments;
mod create_user;
mod editing;
mod feed;
mod follows;
mod internal;
mod kills;
mod likes;
mod lists;
mod matrix;
mod me;
mod media_events;
mod moderation;
mod people;
mod portfolios;
mod rankings;
mod rights;
mod search;
mod series;
mod smart_feed;
mod social_links;
mod statements;
mod support;
mod system;
mod update_me;
mod views;
