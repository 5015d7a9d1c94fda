//! Whom direct messages show, and what two people may see of each other.

use std::collections::HashSet;

use serde::Serialize;
use sqlx::{PgConnection, PgExecutor};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::realtime::presence;

/// So many partners of a user are told of his presence: those with whom he has written most recently.
const MOST_PARTNERS: i64 = 2_000;

/// A user as direct messages show him.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DmUser {
    pub id: Uuid,
    pub username: String,
    pub nama: String,
    pub avatar_url: Option<String>,
    /// `student`, `alumni` or `admin`.
    pub role: String,
    /// Whether there is a live socket, as far as the viewer may know.
    pub is_online: bool,
}

/// Columns of a user in a query. Of a deleted account there is no row, and all are null.
#[derive(Clone, Debug, Default)]
pub struct UserRow {
    pub username: Option<String>,
    pub nama: Option<String>,
    pub avatar_url: Option<String>,
    pub role: Option<String>,
}

impl UserRow {
    /// The user `id`; `None` for a deleted account.
    pub fn user(self, id: Uuid, online: &HashSet<Uuid>) -> Option<DmUser> {
        let Self { username: Some(username), nama: Some(nama), avatar_url, role: Some(role) } = self else {
            return None;
        };
        Some(DmUser { id, username, nama, avatar_url, role, is_online: online.contains(&id) })
    }
}

/// Those of `users` who are online; asks nothing when there are none. Whose presence the viewer may see is for the caller
/// to say.
pub async fn online(
    connection: &mut PgConnection,
    users: impl IntoIterator<Item = Uuid>,
) -> Result<HashSet<Uuid>, sqlx::Error> {
    let users: HashSet<Uuid> = users.into_iter().collect();
    if users.is_empty() {
        return Ok(users);
    }
    presence::online(connection, &users.into_iter().collect::<Vec<_>>()).await
}

/// Whether one of the two has blocked the other.
pub async fn is_blocked(executor: impl PgExecutor<'_>, one: Uuid, other: Uuid) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        select exists (select from dm_blocks where blocker_id = $1 and blocked_id = $2)
            or exists (select from dm_blocks where blocker_id = $2 and blocked_id = $1) as "blocked!"
        "#,
        one,
        other,
    )
    .fetch_one(executor)
    .await
}

/// Those who may see whether `user` is online: a message was ever sent between them, and neither has blocked the other.
pub async fn partners(executor: impl PgExecutor<'_>, user: Uuid) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "
        select p.other_id
        from conversation_participants p
        join conversations c on c.id = p.conversation_id and c.last_sent_at is not null
        where p.user_id = $1
          and p.is_listed
          and not exists (select from dm_blocks where blocker_id = $1 and blocked_id = p.other_id)
          and not exists (select from dm_blocks where blocker_id = p.other_id and blocked_id = $1)
        order by p.sort_at desc, p.conversation_id
        limit $2
        ",
        user,
        MOST_PARTNERS,
    )
    .fetch_all(executor)
    .await
}

/// A participant who types.
#[derive(Debug)]
pub struct Typist {
    pub username: String,
    /// The one who may see it.
    pub other: Uuid,
    /// He shows it, there is no block, and something was said: before that only who has opened a conversation sees it.
    pub is_shown: bool,
}

/// The participant `user` of `conversation`; `None` when he is none, or there is no such conversation.
pub async fn typist(
    executor: impl PgExecutor<'_>,
    conversation: Uuid,
    user: Uuid,
) -> Result<Option<Typist>, sqlx::Error> {
    sqlx::query_as!(
        Typist,
        r#"
        select
            u.username,
            p.other_id as other,
            coalesce(s.show_typing_indicator, true)
                and c.last_sent_at is not null
                and not exists (select from dm_blocks where blocker_id = p.user_id and blocked_id = p.other_id)
                and not exists (select from dm_blocks where blocker_id = p.other_id and blocked_id = p.user_id)
                as "is_shown!"
        from conversation_participants p
        join conversations c on c.id = p.conversation_id
        join users u on u.id = p.user_id
        left join dm_settings s on s.user_id = p.user_id
        where p.conversation_id = $1 and p.user_id = $2
        "#,
        conversation,
        user,
    )
    .fetch_optional(executor)
    .await
}
