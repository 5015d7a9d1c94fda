//! Comments on published portfolios, in threads of five levels at the most.

use chrono::{DateTime, Utc};
use grafikarsa_http::ApiError;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::AppState;

mod create;
mod delete;
mod list;

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list::list, create::create)).routes(routes!(delete::delete))
}

/// Whoever wrote a comment.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CommentUser {
    id: Uuid,
    username: String,
    nama: String,
    avatar_url: Option<String>,
    role: String,
}

/// A comment with the replies to it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Comment {
    id: Uuid,
    portfolio_id: Uuid,
    /// `null` at the beginning of a thread.
    parent_id: Option<Uuid>,
    /// Plain text, to be escaped where it is shown.
    content: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    /// `null` when the account is deleted or deactivated.
    user: Option<CommentUser>,
    /// Oldest first.
    #[schema(no_recursion)]
    children: Vec<Comment>,
}

/// A comment as it is stored.
#[derive(Clone, Debug)]
struct Row {
    id: Uuid,
    portfolio_id: Uuid,
    parent_id: Option<Uuid>,
    content: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    user_id: Option<Uuid>,
    username: Option<String>,
    nama: Option<String>,
    avatar_url: Option<String>,
    role: Option<String>,
}

impl From<Row> for Comment {
    fn from(row: Row) -> Self {
        let user = match (row.user_id, row.username, row.nama, row.role) {
            (Some(id), Some(username), Some(nama), Some(role)) => {
                Some(CommentUser { id, username, nama, avatar_url: row.avatar_url, role })
            }
            _ => None,
        };
        Self {
            id: row.id,
            portfolio_id: row.portfolio_id,
            parent_id: row.parent_id,
            content: row.content,
            created_at: row.created_at,
            updated_at: row.updated_at,
            user,
            children: Vec::new(),
        }
    }
}

fn not_found() -> ApiError {
    ApiError::not_found("COMMENT_NOT_FOUND", "Komentar tidak ditemukan")
}
