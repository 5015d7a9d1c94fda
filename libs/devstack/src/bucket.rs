//! Buckets of the private store.

use std::path::Path;

/// Makes a bucket: for the store of this crate, which keeps each one as a folder.
///
/// # Errors
/// The folder cannot be made.
pub fn create(store: &Path, bucket: &str) -> anyhow::Result<()> {
    Ok(std::fs::create_dir_all(store.join("objects").join(bucket))?)
}
