//! The house as a whole.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic, in its helpers too")]

mod barrier;
mod books;
mod ends;
mod house;
mod journey;
mod layering;
mod outages;
mod person;
mod rebuild;
mod refusals;
mod steps;
mod tokens;
mod whole_or_none;
