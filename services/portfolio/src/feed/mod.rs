//! The feed: published work, newest first. `smart` needs likes and assessments and is not served yet.

use axum::extract::State;
use chrono::{DateTime, Utc};
use grafikarsa_http::{ApiError, ApiResult, Page, PageEnvelope, Paging, Query};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    AppState,
    capabilities::Viewer,
    portfolios::{
        card::{PortfolioUser, Row},
        page::{self, Filters, Order},
    },
    tags::TagRef,
};

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(feed))
}

#[derive(Debug, Serialize, ToSchema)]
struct FeedItem {
    id: Uuid,
    judul: String,
    slug: String,
    thumbnail_url: Option<String>,
    preview_text: Option<String>,
    published_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    user: PortfolioUser,
    tags: Vec<TagRef>,
    like_count: i64,
    view_count: i64,
    is_liked: bool,
    /// Only with `smart`.
    ranking_score: Option<f64>,
}

impl From<Row> for FeedItem {
    fn from(row: Row) -> Self {
        Self {
            user: row.owner(),
            id: row.id,
            judul: row.judul,
            slug: row.slug,
            thumbnail_url: row.thumbnail_url,
            preview_text: row.preview_text,
            published_at: row.published_at,
            created_at: row.created_at,
            tags: row.tags.0,
            like_count: row.like_count,
            view_count: row.view_count,
            is_liked: row.is_liked,
            ranking_score: None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Smart,
    Recent,
    Following,
}

impl Algorithm {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "smart" => Some(Self::Smart),
            "recent" => Some(Self::Recent),
            "following" => Some(Self::Following),
            _ => None,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
struct Choice {
    /// `smart`, `recent` or `following`; absent: the saved preference, for guests `recent`.
    algorithm: Option<String>,
}

/// Published work for the start page.
#[utoipa::path(
    get,
    path = "/api/v1/feed",
    tag = "feed",
    params(Choice, ("page" = Option<i64>, Query), ("limit" = Option<i64>, Query)),
    security((), ("bearer" = [])),
    responses((status = 200, body = PageEnvelope<FeedItem>)),
)]
async fn feed(
    State(app): State<AppState>,
    viewer: Viewer,
    Query(choice): Query<Choice>,
    paging: Paging,
) -> ApiResult<Page<FeedItem>> {
    let unknown = || ApiError::bad_request("INVALID_ALGORITHM", "Algoritma feed tidak dikenal");
    let algorithm = match choice.algorithm.as_deref().map(str::trim).filter(|text| !text.is_empty()) {
        Some(text) => Algorithm::parse(text).ok_or_else(unknown)?,
        None => match viewer.id() {
            Some(user) => preference(&app.db, user).await?,
            None => Algorithm::Recent,
        },
    };
    if algorithm != Algorithm::Recent && viewer.id().is_none() {
        return Err(ApiError::unauthorized("UNAUTHORIZED", "Silakan masuk terlebih dahulu"));
    }
    let filters = match algorithm {
        Algorithm::Recent => Filters { public: true, ..Filters::default() },
        Algorithm::Following => Filters { public: true, followed_by: viewer.id(), ..Filters::default() },
        // An empty or an unranked list would look like an answer.
        Algorithm::Smart => return Err(ApiError::unavailable()),
    };
    let window = paging.with(20, 100);
    let (rows, total) = page::fetch(&app.db, viewer.id(), &filters, Order::NewestPublished, window).await?;
    Ok(Page::new(rows.into_iter().map(FeedItem::from).collect(), window, total))
}

async fn preference(db: &PgPool, user: Uuid) -> ApiResult<Algorithm> {
    let saved = sqlx::query_scalar!("select algorithm from feed_preferences where user_id = $1", user);
    Ok(saved.fetch_optional(db).await?.as_deref().and_then(Algorithm::parse).unwrap_or(Algorithm::Recent))
}
