//! Access tokens and the replicated revocation list.
