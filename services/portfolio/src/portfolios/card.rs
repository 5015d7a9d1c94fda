//! Portfolios in lists: what is shown of each, and the one query that fetches a page of them.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{Postgres, QueryBuilder, types::Json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::Status;
use crate::tags::TagRef;

/// The owner of a portfolio.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PortfolioUser {
    pub id: Uuid,
    pub username: String,
    pub nama: String,
    pub avatar_url: Option<String>,
    pub role: String,
    pub kelas_nama: Option<String>,
    pub jurusan_nama: Option<String>,
}

/// The template a portfolio was made with.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PortfolioSeries {
    pub id: Uuid,
    pub nama: String,
}

/// A portfolio in a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PortfolioCard {
    pub id: Uuid,
    pub judul: String,
    pub slug: String,
    pub thumbnail_url: Option<String>,
    pub status: Status,
    pub published_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub like_count: i64,
    pub is_liked: bool,
    pub user: PortfolioUser,
    pub tags: Vec<TagRef>,
    pub series: Option<PortfolioSeries>,
    pub admin_review_note: Option<String>,
    pub reviewed_at: Option<DateTime<Utc>>,
}

/// What [`select`] selects.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Row {
    pub id: Uuid,
    pub user_id: Uuid,
    pub judul: String,
    pub slug: String,
    pub thumbnail_url: Option<String>,
    pub preview_text: Option<String>,
    pub status: Status,
    pub published_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub like_count: i64,
    pub view_count: i64,
    pub admin_review_note: Option<String>,
    pub reviewed_at: Option<DateTime<Utc>>,
    pub owner_hidden: bool,
    pub series_id: Option<Uuid>,
    pub series_nama: Option<String>,
    pub username: String,
    pub nama: String,
    pub avatar_url: Option<String>,
    pub role: String,
    pub kelas_nama: Option<String>,
    pub jurusan_nama: Option<String>,
    pub tags: Json<Vec<TagRef>>,
    pub is_liked: bool,
}

impl Row {
    /// The owner as others see him.
    pub fn owner(&self) -> PortfolioUser {
        PortfolioUser {
            id: self.user_id,
            username: self.username.clone(),
            nama: self.nama.clone(),
            avatar_url: self.avatar_url.clone(),
            role: self.role.clone(),
            kelas_nama: self.kelas_nama.clone(),
            jurusan_nama: self.jurusan_nama.clone(),
        }
    }

    /// A card; the review is shown to the owner and to reviewers only.
    pub fn into_card(self, with_review: bool) -> PortfolioCard {
        PortfolioCard {
            user: self.owner(),
            id: self.id,
            judul: self.judul,
            slug: self.slug,
            thumbnail_url: self.thumbnail_url,
            status: self.status,
            published_at: self.published_at,
            created_at: self.created_at,
            updated_at: self.updated_at,
            like_count: self.like_count,
            is_liked: self.is_liked,
            tags: self.tags.0,
            series: self.series_id.zip(self.series_nama).map(|(id, nama)| PortfolioSeries { id, nama }),
            admin_review_note: self.admin_review_note.filter(|_| with_review),
            reviewed_at: self.reviewed_at.filter(|_| with_review),
        }
    }
}

/// Everything a card shows and the columns `also`, of the portfolios `p` that `source` gives.
pub fn select(query: &mut QueryBuilder<Postgres>, also: &str, source: &str, viewer: Option<Uuid>) {
    query.push(" select ").push(also);
    query.push(
        "
            p.id,
            p.user_id,
            p.judul,
            p.slug,
            p.thumbnail_url,
            p.preview_text,
            p.status,
            p.published_at,
            p.created_at,
            p.updated_at,
            p.like_count,
            p.view_count,
            p.admin_review_note,
            p.reviewed_at,
            p.owner_hidden,
            s.id as series_id,
            s.nama as series_nama,
            u.username,
            u.nama,
            u.avatar_url,
            u.role,
            k.nama as kelas_nama,
            j.nama as jurusan_nama,
            coalesce(
                (
                    select json_agg(json_build_object('id', t.id, 'nama', t.nama) order by t.nama, t.id)
                    from portfolio_tags pt
                    join tags t on t.id = pt.tag_id and t.deleted_at is null
                    where pt.portfolio_id = p.id
                ),
                '[]'
            ) as tags,",
    );
    match viewer {
        Some(viewer) => {
            query.push(" exists (select 1 from portfolio_likes l where l.portfolio_id = p.id and l.user_id = ");
            query.push_bind(viewer).push(")");
        }
        // A parameter that is null in some requests would have PostgreSQL plan each of them anew.
        None => {
            query.push(" false");
        }
    }
    query.push(" as is_liked from ");
    query.push(source);
    query.push(
        "
        join users u on u.id = p.user_id and u.deleted_at is null
        left join (kelas k join jurusan j on j.id = k.jurusan_id and j.deleted_at is null)
            on k.id = u.kelas_id and k.deleted_at is null
        left join series s on s.id = p.series_id and s.deleted_at is null
        ",
    );
}
