use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::chat::people::{self, DmUser, UserRow};

/// A conversation as the caller has it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Conversation {
    id: Uuid,
    created_at: DateTime<Utc>,
    last_message_at: Option<DateTime<Utc>>,
    /// At most 100 characters of a text; a phrase for what is no text.
    last_message_preview: Option<String>,
    /// The caller and the other, in this order.
    participants: [Participant; 2],
    unread_count: i64,
    is_muted: bool,
    is_archived: bool,
    /// `null` for a deleted account.
    other_user: Option<DmUser>,
}

/// One of the two.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Participant {
    user_id: Uuid,
    joined_at: DateTime<Utc>,
    /// Of the other only if he shows it and there is no block.
    last_read_at: Option<DateTime<Utc>>,
    /// Of the other always 0.
    unread_count: i64,
    /// `null` for a deleted account.
    user: Option<DmUser>,
}

/// The conversations `ids`, in which `viewer` takes part, as he has them, in this order, in two statements.
pub async fn render(
    connection: &mut PgConnection,
    viewer: Uuid,
    ids: &[Uuid],
) -> Result<Vec<Conversation>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        select
            c.id,
            c.created_at,
            c.last_message_at,
            c.last_message_preview,
            me.joined_at,
            me.last_read_at,
            me.unread_count,
            me.is_muted,
            me.is_archived,
            mine.username,
            mine.nama,
            mine.avatar_url,
            mine.role,
            other.user_id as other_id,
            other.joined_at as other_joined_at,
            case when shown.receipts then other.last_read_at end as other_last_read_at,
            u.username as "other_username?",
            u.nama as "other_nama?",
            u.avatar_url as other_avatar_url,
            u.role as "other_role?",
            shown.presence as "presence!"
        from conversations c
        join conversation_participants me on me.conversation_id = c.id and me.user_id = $2
        join users mine on mine.id = me.user_id
        join conversation_participants other on other.conversation_id = c.id and other.user_id = me.other_id
        left join users u on u.id = other.user_id and u.deleted_at is null
        left join dm_settings s on s.user_id = other.user_id
        cross join lateral (
            select
                not exists (select from dm_blocks where blocker_id = me.user_id and blocked_id = other.user_id)
                and not exists (select from dm_blocks where blocker_id = other.user_id and blocked_id = me.user_id)
                    as open
        ) blocks
        cross join lateral (
            select
                blocks.open and coalesce(s.show_read_receipts, true) as receipts,
                blocks.open and c.last_sent_at is not null and coalesce(u.is_active, false) as presence
        ) shown
        where c.id = any($1)
        "#,
        ids,
        viewer,
    )
    .fetch_all(&mut *connection)
    .await?;
    let others = rows.iter().filter(|row| row.presence).map(|row| row.other_id);
    let online = people::online(connection, others.chain([viewer])).await?;
    let mut found: HashMap<Uuid, Conversation> = rows
        .into_iter()
        .map(|row| {
            let other = UserRow {
                username: row.other_username,
                nama: row.other_nama,
                avatar_url: row.other_avatar_url,
                role: row.other_role,
            };
            let me = UserRow {
                username: Some(row.username),
                nama: Some(row.nama),
                avatar_url: row.avatar_url,
                role: Some(row.role),
            };
            let other_user = other.user(row.other_id, &online);
            let mine = Participant {
                user_id: viewer,
                joined_at: row.joined_at,
                last_read_at: row.last_read_at,
                unread_count: row.unread_count,
                user: me.user(viewer, &online),
            };
            let theirs = Participant {
                user_id: row.other_id,
                joined_at: row.other_joined_at,
                last_read_at: row.other_last_read_at,
                unread_count: 0,
                user: other_user.clone(),
            };
            let conversation = Conversation {
                id: row.id,
                created_at: row.created_at,
                last_message_at: row.last_message_at,
                last_message_preview: row.last_message_preview,
                participants: [mine, theirs],
                unread_count: row.unread_count,
                is_muted: row.is_muted,
                is_archived: row.is_archived,
                other_user,
            };
            (row.id, conversation)
        })
        .collect();
    Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
}

/// The conversation `id`, in which `viewer` takes part.
pub async fn render_one(connection: &mut PgConnection, viewer: Uuid, id: Uuid) -> Result<Conversation, sqlx::Error> {
    render(connection, viewer, &[id]).await?.pop().ok_or(sqlx::Error::RowNotFound)
}
