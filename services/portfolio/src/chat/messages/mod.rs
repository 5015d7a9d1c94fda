//! Messages of a conversation: texts, pictures and portfolios that are shared.

use chrono::{DateTime, Utc};
use grafikarsa_http::{ApiError, ApiResult};
use serde::Serialize;
use sqlx::PgExecutor;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{conversations, people::DmUser, reactions::Reaction};

mod content;
pub mod delete;
pub mod list;
mod render;
pub mod send;

pub use content::Draft;
pub use delete::is_shown;
pub use render::{render, render_one};
pub use send::{deliver, earlier};

/// What a message holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, sqlx::Type, ToSchema)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum MessageType {
    Text,
    Image,
    Portfolio,
}

/// A message as its participants see it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Message {
    pub id: Uuid,
    pub conversation_id: Uuid,
    pub sender_id: Uuid,
    /// `null` for a deleted account.
    pub sender: Option<DmUser>,
    pub message_type: MessageType,
    pub content: MessageContent,
    /// The message that it answers, without reactions and without what that one answers; `null` when it was deleted.
    #[schema(no_recursion)]
    pub reply_to: Option<Box<Message>>,
    /// Oldest first.
    pub reactions: Vec<Reaction>,
    pub created_at: DateTime<Utc>,
    /// Always false: deleted messages are not shown.
    pub is_deleted: bool,
    /// As the sender chose it.
    pub client_message_id: Option<Uuid>,
}

/// By `message_type`.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum MessageContent {
    Text {
        /// Plain text, to be escaped where it is shown.
        text: String,
    },
    Image {
        object_key: String,
        url: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<String>,
    },
    Portfolio {
        portfolio_id: Uuid,
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        /// `null` while it is not public.
        portfolio: Option<SharedPortfolio>,
    },
}

/// A portfolio that a message shows, as it is now.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SharedPortfolio {
    pub id: Uuid,
    pub judul: String,
    pub slug: String,
    pub thumbnail_url: Option<String>,
    pub owner: SharedPortfolioOwner,
}

/// The owner of a shared portfolio.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SharedPortfolioOwner {
    pub id: Uuid,
    pub username: String,
    pub nama: String,
    pub avatar_url: Option<String>,
}

/// A message that is not deleted, of a conversation in which the caller takes part.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    pub conversation_id: Uuid,
    pub sender_id: Uuid,
}

pub fn not_found() -> ApiError {
    ApiError::not_found("NOT_FOUND", "Pesan tidak ditemukan")
}

/// The message `id`, for the checks that come before the body is read.
pub async fn find(executor: impl PgExecutor<'_>, id: Uuid, caller: Uuid) -> ApiResult<Found> {
    let row = sqlx::query!(
        r#"
        select m.conversation_id, m.sender_id, $2 in (c.user_a, c.user_b) as "takes_part!"
        from messages m
        join conversations c on c.id = m.conversation_id
        where m.id = $1 and m.deleted_at is null
        "#,
        id,
        caller,
    )
    .fetch_optional(executor)
    .await?
    .ok_or_else(not_found)?;
    if !row.takes_part {
        return Err(conversations::not_participant());
    }
    Ok(Found { conversation_id: row.conversation_id, sender_id: row.sender_id })
}
