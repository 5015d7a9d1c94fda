//! Envelope, errors, extractors, middleware, listeners.
