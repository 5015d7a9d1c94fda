//! Reactions to messages: one emoji of each participant.

use serde::{Deserialize, Serialize};
use sqlx::PgExecutor;
use utoipa::ToSchema;
use uuid::Uuid;

pub mod add;
mod emoji;
pub mod remove;

/// What a participant thinks of a message.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Reaction {
    pub user_id: Uuid,
    /// Empty for a deleted account.
    pub username: String,
    pub emoji: String,
}

/// A reaction that came or went, as sockets are told.
#[derive(Clone, Debug, Serialize)]
pub struct Change {
    pub conversation_id: Uuid,
    pub message_id: Uuid,
    pub reaction: Reaction,
    /// `add` or `remove`.
    pub action: &'static str,
}

/// The change that an event names; `None` when its message was deleted in the meantime.
pub async fn render(executor: impl PgExecutor<'_>, change: Uuid) -> Result<Option<Change>, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        select m.conversation_id, h.message_id, h.user_id, u.username as "username?", h.emoji, h.added
        from message_reaction_changes h
        join messages m on m.id = h.message_id and m.deleted_at is null
        left join users u on u.id = h.user_id and u.deleted_at is null
        where h.id = $1
        "#,
        change,
    )
    .fetch_optional(executor)
    .await?;
    Ok(row.map(|row| Change {
        conversation_id: row.conversation_id,
        message_id: row.message_id,
        reaction: Reaction { user_id: row.user_id, username: row.username.unwrap_or_default(), emoji: row.emoji },
        action: if row.added { "add" } else { "remove" },
    }))
}

/// Stores that reactions of `user` to `message` came or went, for the events that name these changes.
async fn note_changes(
    executor: impl PgExecutor<'_>,
    message: Uuid,
    user: Uuid,
    changes: &[(&str, bool)],
) -> Result<Vec<Uuid>, sqlx::Error> {
    let ids: Vec<Uuid> = changes.iter().map(|_| Uuid::now_v7()).collect();
    let emoji: Vec<String> = changes.iter().map(|(emoji, _)| (*emoji).to_owned()).collect();
    let added: Vec<bool> = changes.iter().map(|&(_, added)| added).collect();
    sqlx::query!(
        "
        insert into message_reaction_changes (id, message_id, user_id, emoji, added)
        select change.id, $1, $2, change.emoji, change.added
        from unnest($3::uuid[], $4::text[], $5::boolean[]) as change (id, emoji, added)
        ",
        message,
        user,
        &ids,
        &emoji,
        &added,
    )
    .execute(executor)
    .await?;
    Ok(ids)
}

/// Forgets changes that every replica has read long ago, for a periodic job.
pub async fn forget_changes(executor: impl PgExecutor<'_>) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from message_reaction_changes where at < now() - interval '1 day'")
        .execute(executor)
        .await
        .map(drop)
}
