//! Who types to whom.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use sqlx::PgPool;
use uuid::Uuid;

use super::{
    frames::{Fault, IsTyping, Typing},
    live::Live,
};
use crate::chat::people;

/// That somebody types in a conversation is told once in this time.
const ONCE_IN: Duration = Duration::from_secs(2);
/// Entries after which old ones are looked for.
const MANY: usize = 256;

/// What was told within the last seconds, by conversation and user.
#[derive(Debug, Default)]
pub struct Recently(HashMap<(Uuid, Uuid), Instant>);

impl Recently {
    /// True for the first time in a while, which begins now.
    pub fn is_first(&mut self, conversation: Uuid, user: Uuid) -> bool {
        let now = Instant::now();
        if self.0.len() >= MANY {
            self.0.retain(|_, told| now.duration_since(*told) < ONCE_IN);
            self.0.shrink_to(MANY);
        }
        let first = self.was_not(conversation, user, now);
        if first {
            self.0.insert((conversation, user), now);
        }
        first
    }

    fn was_not(&self, conversation: Uuid, user: Uuid, now: Instant) -> bool {
        self.0.get(&(conversation, user)).is_none_or(|told| now.duration_since(*told) >= ONCE_IN)
    }
}

/// The last conversation that a socket was told to type in: enough to spare the database most of the questions.
pub type LastTold = Option<(Uuid, Instant)>;

/// Tells the other participant.
///
/// # Errors
/// The conversation is none of the user's.
pub async fn tell(db: &PgPool, live: &Live, user: Uuid, typing: &Typing, last: &mut LastTold) -> Result<(), Fault> {
    let now = Instant::now();
    let Typing { conversation_id, is_typing } = *typing;
    let told = last.is_some_and(|(conversation, told)| conversation == conversation_id && now - told < ONCE_IN);
    if is_typing && told {
        return Ok(());
    }
    match people::typist(db, conversation_id, user).await {
        Ok(None) => Err(Fault::NotParticipant),
        Ok(Some(typist)) => {
            if typist.is_shown {
                // What nobody was told is asked again: a setting or a block may be gone the next moment.
                if is_typing {
                    *last = Some((conversation_id, now));
                }
                let typing = IsTyping { conversation_id, user_id: user, username: typist.username, is_typing };
                live.typing(typist.other, typing).await;
            }
            Ok(())
        }
        Err(error) => {
            tracing::debug!(%error, "nobody was told that somebody types");
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_is_told_once_in_two_seconds_for_each_conversation_and_user() {
        let mut recently = Recently::default();
        let (here, there, user) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
        assert!(recently.is_first(here, user));
        assert!(!recently.is_first(here, user));
        assert!(recently.is_first(there, user));
        assert!(recently.is_first(here, Uuid::from_u128(4)));
        assert!(recently.was_not(here, user, Instant::now() + ONCE_IN));
    }
}
