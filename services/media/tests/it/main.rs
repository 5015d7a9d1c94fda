//! The media service as its clients meet it: the real programs of all three services, over HTTP, on real servers.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic"
)]

mod addresses;
mod bad_files;
mod changelogs;
mod confirm;
mod delete;
mod documents;
mod failures;
mod files;
mod gifts;
mod hostile;
mod interruptions;
mod presign;
mod storage;
mod support;
mod sweeps;
mod widths;
