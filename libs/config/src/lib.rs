//! Typed settings from the environment.
//!
//! A service reads all its settings once, at the start, through a [`Reader`]. The reader collects every mistake and
//! [`Reader::finish`] reports them together, in one line that names the settings: whoever installs the service mends
//! them in one go. Values of secrets never appear in that line, nor in `Debug` output.

mod reader;
mod secret;

pub use reader::{ConfigError, Environment, Reader};
pub use secret::Secret;
