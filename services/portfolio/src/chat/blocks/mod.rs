//! Whom a user has blocked from direct messages. Follows, comments and likes are no matter of this.

pub mod block;
pub mod list;
