//! What people tell the school about the product, and what staff makes of it.

use chrono::{DateTime, Utc};
use grafikarsa_http::{ApiError, ApiResult};
use serde::Serialize;
use sqlx::{PgConnection, Postgres, QueryBuilder};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{AppState, users::UserBrief};

mod delete;
mod list;
pub mod recent;
mod send;
mod stats;
mod update;

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(send::send))
        .routes(routes!(list::list))
        .routes(routes!(stats::stats))
        .routes(routes!(list::detail, update::update, delete::delete))
}

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, sqlx::Type, ToSchema)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum Kategori {
    Bug,
    Saran,
    Lainnya,
}

impl Kategori {
    fn as_str(self) -> &'static str {
        match self {
            Self::Bug => "bug",
            Self::Saran => "saran",
            Self::Lainnya => "lainnya",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Bug, Self::Saran, Self::Lainnya].into_iter().find(|kategori| kategori.as_str() == text)
    }
}

/// What staff has done with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, sqlx::Type, ToSchema)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum FeedbackStatus {
    Pending,
    Read,
    Resolved,
}

impl FeedbackStatus {
    fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Read => "read",
            Self::Resolved => "resolved",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Pending, Self::Read, Self::Resolved].into_iter().find(|status| status.as_str() == text)
    }
}

/// A message as staff sees it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Feedback {
    id: Uuid,
    /// `null` for guests.
    user_id: Option<Uuid>,
    /// `null` for guests and when the account is deleted.
    user: Option<UserBrief>,
    kategori: Kategori,
    pesan: String,
    status: FeedbackStatus,
    /// For staff only.
    admin_notes: Option<String>,
    resolved_by: Option<Uuid>,
    resolved_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

#[derive(Debug, sqlx::FromRow)]
struct Row {
    id: Uuid,
    user_id: Option<Uuid>,
    author_id: Option<Uuid>,
    username: Option<String>,
    nama: Option<String>,
    avatar_url: Option<String>,
    kategori: Kategori,
    pesan: String,
    status: FeedbackStatus,
    admin_notes: Option<String>,
    resolved_by: Option<Uuid>,
    resolved_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<Row> for Feedback {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            user_id: row.user_id,
            user: UserBrief::of(row.author_id, row.username, row.nama, row.avatar_url),
            kategori: row.kategori,
            pesan: row.pesan,
            status: row.status,
            admin_notes: row.admin_notes,
            resolved_by: row.resolved_by,
            resolved_at: row.resolved_at,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// Everything of a [`Row`]; what follows narrows it.
fn select() -> QueryBuilder<Postgres> {
    QueryBuilder::new(
        "
        select
            f.id,
            f.user_id,
            u.id as author_id,
            u.username,
            u.nama,
            u.avatar_url,
            f.kategori,
            f.pesan,
            f.status,
            f.admin_notes,
            f.resolved_by,
            f.resolved_at,
            f.created_at,
            f.updated_at
        from feedback f
        left join users u on u.id = f.user_id and u.deleted_at is null
        where true",
    )
}

async fn load(connection: &mut PgConnection, id: Uuid) -> ApiResult<Feedback> {
    let mut query = select();
    query.push(" and f.id = ").push_bind(id);
    let row: Option<Row> = query.build_query_as().fetch_optional(connection).await?;
    row.map(Feedback::from).ok_or_else(not_found)
}

fn not_found() -> ApiError {
    ApiError::not_found("NOT_FOUND", "Feedback tidak ditemukan")
}
