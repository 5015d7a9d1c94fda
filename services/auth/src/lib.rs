//! Accounts, sessions, tokens.
//!
//! The only service that sees stored passwords and the only one that mints access tokens. Others learn about accounts
//! from its events, and about ended sessions from the list of revocations.

mod accounts;
mod app;
pub mod cli;
mod events;
mod internal;
mod jobs;
mod limits;
mod me;
mod passwords;
mod revocations;
mod serve;
mod sessions;
mod settings;
