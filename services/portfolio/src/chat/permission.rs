//! Who may write to whom.

use grafikarsa_http::{ApiError, ApiResult};
use sqlx::PgConnection;
use uuid::Uuid;

use super::settings::DmPrivacy;
use crate::users::find;

/// How a sender stands to a recipient. Load it while their conversation, or the pair, is locked: a block that comes at the
/// same time locks both, so that it is seen here or comes after what this allows.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Standing {
    /// The recipient's account is neither deactivated nor deleted.
    is_active: bool,
    /// By one of them.
    is_blocked: bool,
    privacy: DmPrivacy,
    /// The sender follows the recipient.
    follows: bool,
    /// The recipient follows the sender.
    is_followed: bool,
    /// The recipient has ever written to the sender.
    has_answered: bool,
}

impl Standing {
    /// `None` when there is no such recipient.
    pub async fn load(
        connection: &mut PgConnection,
        sender: Uuid,
        recipient: Uuid,
    ) -> Result<Option<Self>, sqlx::Error> {
        sqlx::query_as!(
            Self,
            r#"
            select
                u.is_active and u.deleted_at is null as "is_active!",
                exists (select from dm_blocks where blocker_id = $1 and blocked_id = $2)
                    or exists (select from dm_blocks where blocker_id = $2 and blocked_id = $1) as "is_blocked!",
                coalesce(s.dm_privacy, 'followers') as "privacy!: DmPrivacy",
                exists (select from follows where follower_id = $1 and followed_id = $2) as "follows!",
                exists (select from follows where follower_id = $2 and followed_id = $1) as "is_followed!",
                exists (
                    select from conversation_participants where user_id = $2 and other_id = $1 and has_sent
                ) as "has_answered!"
            from users u
            left join dm_settings s on s.user_id = u.id
            where u.id = $2
            "#,
            sender,
            recipient,
        )
        .fetch_optional(connection)
        .await
    }

    /// Whether the sender may open a conversation.
    pub fn may_open(self) -> ApiResult<()> {
        self.may_find()?;
        self.may_reach()?;
        if self.privacy_permits() { Ok(()) } else { Err(restricted()) }
    }

    /// Whether the recipient is somebody with whom a conversation can be opened, or found again, by his id.
    pub fn may_find(self) -> ApiResult<()> {
        if self.is_active { Ok(()) } else { Err(find::not_found()) }
    }

    /// Whether the sender may write in the conversation that they have.
    pub fn may_send(self) -> ApiResult<()> {
        self.may_reach()?;
        if !self.is_active {
            return Err(ApiError::forbidden_with("RECIPIENT_UNAVAILABLE", "Penerima tidak dapat dihubungi"));
        }
        // Who was written to may always answer, unless the other wants no messages at all.
        let may_answer = self.privacy != DmPrivacy::Closed && self.has_answered;
        if self.privacy_permits() || may_answer { Ok(()) } else { Err(restricted()) }
    }

    fn may_reach(self) -> ApiResult<()> {
        if self.is_blocked { Err(blocked()) } else { Ok(()) }
    }

    fn privacy_permits(self) -> bool {
        match self.privacy {
            DmPrivacy::Open => true,
            DmPrivacy::Followers => self.follows,
            DmPrivacy::Mutual => self.follows && self.is_followed,
            DmPrivacy::Closed => false,
        }
    }
}

/// The same whoever has blocked whom.
pub fn blocked() -> ApiError {
    ApiError::forbidden_with("USER_BLOCKED", "Anda tidak dapat berinteraksi dengan pengguna ini")
}

fn restricted() -> ApiError {
    ApiError::forbidden_with("PRIVACY_RESTRICTED", "Pengguna ini membatasi siapa yang dapat mengirim pesan")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(privacy: DmPrivacy, follows: bool, is_followed: bool, has_answered: bool) -> Standing {
        Standing { is_active: true, is_blocked: false, privacy, follows, is_followed, has_answered }
    }

    fn code(result: ApiResult<()>) -> String {
        result.map_or_else(|error| error.code().to_owned(), |()| String::new())
    }

    #[test]
    fn privacy_decides_who_may_open() {
        use DmPrivacy::{Closed, Followers, Mutual, Open};
        // privacy, follows, is followed: permitted
        for (privacy, follows, is_followed, permitted) in [
            (Open, false, false, true),
            (Followers, false, true, false),
            (Followers, true, false, true),
            (Mutual, true, false, false),
            (Mutual, false, true, false),
            (Mutual, true, true, true),
            (Closed, true, true, false),
        ] {
            let expected = if permitted { "" } else { "PRIVACY_RESTRICTED" };
            for answered in [false, true] {
                let standing = standing(privacy, follows, is_followed, answered);
                assert_eq!(code(standing.may_open()), expected, "{standing:?}");
            }
            assert_eq!(code(standing(privacy, follows, is_followed, false).may_send()), expected);
        }
    }

    #[test]
    fn who_was_written_to_may_answer_unless_closed() {
        use DmPrivacy::{Closed, Followers, Mutual, Open};
        for (privacy, expected) in [(Open, ""), (Followers, ""), (Mutual, ""), (Closed, "PRIVACY_RESTRICTED")] {
            assert_eq!(code(standing(privacy, false, false, true).may_send()), expected, "{privacy:?}");
        }
    }

    #[test]
    fn the_causes_have_an_order() {
        let worst = Standing { is_active: false, is_blocked: true, ..standing(DmPrivacy::Closed, false, false, false) };
        assert_eq!(code(worst.may_open()), "USER_NOT_FOUND");
        assert_eq!(code(worst.may_send()), "USER_BLOCKED");
        let gone = Standing { is_blocked: false, ..worst };
        assert_eq!(code(gone.may_send()), "RECIPIENT_UNAVAILABLE");
        let blocked = Standing { is_active: true, ..worst };
        assert_eq!(code(blocked.may_open()), "USER_BLOCKED");
    }
}
