//! The auth service as its clients meet it: the real program, over HTTP, on real servers.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic"
)]

mod batches;
mod changes;
mod check_username;
mod commands;
mod ends;
mod events;
mod first_admin;
mod graduations;
mod limits;
mod login;
mod logout;
mod password;
mod refresh;
mod security_log;
mod sessions;
mod start;
mod support;
