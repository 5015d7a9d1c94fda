//! Uploads, variants, storage.
