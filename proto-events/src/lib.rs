//! Event schemas, subjects and generated types.
