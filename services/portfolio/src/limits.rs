//! What is counted, by whom and how often it may happen, besides the general limit.

use grafikarsa_config::Reader;
use grafikarsa_http::{Counter, Limit};
use uuid::Uuid;

/// The limits of this service.
#[derive(Clone, Debug)]
pub struct Limits {
    follows: Limit,
    comments: Limit,
}

impl Limits {
    /// Reads `LIMIT_FOLLOWS` and `LIMIT_COMMENTS`.
    pub fn read(env: &mut Reader) -> Self {
        Self {
            follows: Limit::read(env, "LIMIT_FOLLOWS", Limit::new(60, 60)),
            comments: Limit::read(env, "LIMIT_COMMENTS", Limit::new(10, 60)),
        }
    }

    /// Follows and unfollows of a user together.
    pub fn follows(&self, user: Uuid) -> Counter {
        Counter::new("follows", self.follows, user)
    }

    /// Comments of a user.
    pub fn comments(&self, user: Uuid) -> Counter {
        Counter::new("comments", self.comments, user)
    }
}
