//! A portfolio as the back office shows it.

use chrono::{DateTime, Utc};
use grafikarsa_http::Meta;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    portfolios::{
        Status,
        card::{PortfolioCard, PortfolioSeries, PortfolioUser, Row},
    },
    tags::TagRef,
};

#[derive(Debug, Serialize, ToSchema)]
pub struct AdminPortfolioItem {
    pub id: Uuid,
    pub user_id: Uuid,
    judul: String,
    slug: String,
    thumbnail_url: Option<String>,
    status: Status,
    admin_review_note: Option<String>,
    published_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    like_count: i64,
    user: PortfolioUser,
    tags: Vec<TagRef>,
    series: Option<PortfolioSeries>,
}

impl From<Row> for AdminPortfolioItem {
    fn from(row: Row) -> Self {
        Self {
            user: row.owner(),
            id: row.id,
            user_id: row.user_id,
            judul: row.judul,
            slug: row.slug,
            thumbnail_url: row.thumbnail_url,
            status: row.status,
            admin_review_note: row.admin_review_note,
            published_at: row.published_at,
            created_at: row.created_at,
            updated_at: row.updated_at,
            like_count: row.like_count,
            tags: row.tags.0,
            series: row.series_id.zip(row.series_nama).map(|(id, nama)| PortfolioSeries { id, nama }),
        }
    }
}

impl AdminPortfolioItem {
    pub fn of_card(user_id: Uuid, card: PortfolioCard) -> Self {
        Self {
            id: card.id,
            user_id,
            judul: card.judul,
            slug: card.slug,
            thumbnail_url: card.thumbnail_url,
            status: card.status,
            admin_review_note: card.admin_review_note,
            published_at: card.published_at,
            created_at: card.created_at,
            updated_at: card.updated_at,
            like_count: card.like_count,
            user: card.user,
            tags: card.tags,
            series: card.series,
        }
    }
}

/// A page whose place is told twice: the portfolio page reads `pagination`, the moderation page `meta`.
#[derive(Debug, Serialize, ToSchema)]
pub struct AdminPage {
    success: bool,
    data: Vec<AdminPortfolioItem>,
    meta: Meta,
    pagination: Meta,
}

impl AdminPage {
    pub fn new(data: Vec<AdminPortfolioItem>, meta: Meta) -> Self {
        Self { success: true, data, meta, pagination: meta }
    }
}
