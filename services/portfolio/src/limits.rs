//! What is counted, by whom and how often it may happen, besides the general limit.

use grafikarsa_config::Reader;
use grafikarsa_http::{Counter, Limit};
use uuid::Uuid;

/// The limits of this service.
#[derive(Clone, Debug)]
pub struct Limits {
    follows: Limit,
    comments: Limit,
    feedback_user: [Limit; 2],
    feedback_guest: [Limit; 2],
    messages: Limit,
    conversations: Limit,
    reactions: Limit,
    dm_changes: Limit,
    handshakes: Limit,
}

impl Limits {
    /// Reads `LIMIT_FOLLOWS`, `LIMIT_COMMENTS` and so on.
    pub fn read(env: &mut Reader) -> Self {
        Self {
            follows: Limit::read(env, "LIMIT_FOLLOWS", Limit::new(60, 60)),
            comments: Limit::read(env, "LIMIT_COMMENTS", Limit::new(10, 60)),
            feedback_user: [
                Limit::read(env, "LIMIT_FEEDBACK_USER_DAY", Limit::new(20, 86_400)),
                Limit::read(env, "LIMIT_FEEDBACK_USER", Limit::new(5, 600)),
            ],
            feedback_guest: [
                Limit::read(env, "LIMIT_FEEDBACK_GUEST_DAY", Limit::new(50, 86_400)),
                Limit::read(env, "LIMIT_FEEDBACK_GUEST", Limit::new(10, 3600)),
            ],
            messages: Limit::read(env, "LIMIT_MESSAGES", Limit::new(60, 60)),
            conversations: Limit::read(env, "LIMIT_CONVERSATIONS", Limit::new(30, 3600)),
            reactions: Limit::read(env, "LIMIT_REACTIONS", Limit::new(120, 60)),
            dm_changes: Limit::read(env, "LIMIT_DM_CHANGES", Limit::new(60, 60)),
            handshakes: Limit::read(env, "LIMIT_HANDSHAKES", Limit::new(30, 60)),
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

    /// Messages of a user to the school: those of a day, and those of a while.
    pub fn feedback_of_user(&self, user: Uuid) -> [Counter; 2] {
        let [day, short] = self.feedback_user;
        [Counter::new("feedback_user_day", day, user), Counter::new("feedback_user", short, user)]
    }

    /// The same of the guests behind an address, which `guest` names without telling it.
    pub fn feedback_of_guest(&self, guest: &str) -> [Counter; 2] {
        let [day, short] = self.feedback_guest;
        [Counter::new("feedback_guest_day", day, guest), Counter::new("feedback_guest", short, guest)]
    }

    /// Messages of a user, those that are refused as well.
    pub fn messages(&self, user: Uuid) -> Counter {
        Counter::new("messages", self.messages, user)
    }

    /// Conversations that a user opens.
    pub fn conversations(&self, user: Uuid) -> Counter {
        Counter::new("conversations", self.conversations, user)
    }

    /// Reactions that a user adds or takes back.
    pub fn reactions(&self, user: Uuid) -> Counter {
        Counter::new("reactions", self.reactions, user)
    }

    /// Blocks of a user and changes of his settings together.
    pub fn dm_changes(&self, user: Uuid) -> Counter {
        Counter::new("dm_changes", self.dm_changes, user)
    }

    /// WebSockets that a user opens.
    pub fn handshakes(&self, user: Uuid) -> Counter {
        Counter::new("handshakes", self.handshakes, user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_these_when_nothing_is_set() {
        let limits = Limits::read(&mut Reader::from_map([]));
        for (limit, hits, seconds) in [
            (limits.follows, 60, 60),
            (limits.comments, 10, 60),
            (limits.feedback_user[0], 20, 86_400),
            (limits.feedback_user[1], 5, 600),
            (limits.feedback_guest[0], 50, 86_400),
            (limits.feedback_guest[1], 10, 3600),
            (limits.messages, 60, 60),
            (limits.conversations, 30, 3600),
            (limits.reactions, 120, 60),
            (limits.dm_changes, 60, 60),
            (limits.handshakes, 30, 60),
        ] {
            assert_eq!(limit, Limit::new(hits, seconds), "{limits:?}");
        }
    }
}
