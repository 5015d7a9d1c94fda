//! Events over a real PostgreSQL and a real NATS server, which some tests kill.
#![allow(clippy::expect_used, reason = "a test may panic")]

mod consuming;
mod dead_letters;
mod loss;
mod publishing;
mod schema;
mod support;
mod tailing;
mod tracing;
mod waiting;
