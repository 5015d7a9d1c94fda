//! Events over a real PostgreSQL and a real NATS server, which some tests kill.

mod consuming;
mod dead_letters;
mod loss;
mod publishing;
mod support;
mod waiting;
