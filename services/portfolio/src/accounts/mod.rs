//! Commands on accounts, which cross auth and portfolio: all or nothing for the caller.

pub mod change;
pub mod intents;
pub mod profile_change;
