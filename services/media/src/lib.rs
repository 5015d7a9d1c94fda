//! Uploads, variants, storage.
//!
//! The only service that talks to the object store. Bytes go from the browser straight into private staging; a
//! confirmation looks into them and publishes what may be seen under its final key.

mod app;
mod events;
mod images;
mod internal;
mod settings;
mod storage;
mod store;
mod sweeps;
mod uploads;

pub use app::{openapi, serve, sweep};
#[doc(hidden)]
pub use images::webps;
pub use settings::Settings;
pub use sweeps::Step;

/// The schema of this service.
pub fn migrator() -> sqlx::migrate::Migrator {
    sqlx::migrate!()
}
