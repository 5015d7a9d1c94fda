//! The feed: published work for the start page, by score, by age, or of those whom one follows.

use axum::extract::State;
use chrono::{DateTime, Utc};
use grafikarsa_http::{ApiError, ApiResult, Page, PageEnvelope, Paging, Query};
use serde::{Deserialize, Serialize};
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

mod algorithm;
mod score;
pub mod smart;

use algorithm::Algorithm;

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(feed)).routes(routes!(algorithm::preferences, algorithm::prefer))
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
    let algorithm = match (choice.algorithm.as_deref().map(str::trim).filter(|text| !text.is_empty()), viewer.id()) {
        (Some(text), _) => Algorithm::parse(text)?,
        (None, Some(user)) => algorithm::preferred(&app.db, user).await?,
        (None, None) => Algorithm::Recent,
    };
    let window = paging.with(20, 100);
    let filters = match (algorithm, viewer.id()) {
        (Algorithm::Smart, Some(user)) => {
            let (rows, total) = smart::page(&app, user, window).await?;
            let items = rows.into_iter().map(|(row, score)| FeedItem { ranking_score: Some(score), ..row.into() });
            return Ok(Page::new(items.collect(), window, total));
        }
        (Algorithm::Following, Some(user)) => Filters { public: true, followed_by: Some(user), ..Filters::default() },
        (Algorithm::Recent, _) => Filters { public: true, ..Filters::default() },
        (Algorithm::Smart | Algorithm::Following, None) => {
            return Err(ApiError::unauthorized("UNAUTHORIZED", "Silakan masuk terlebih dahulu"));
        }
    };
    let (rows, total) = page::fetch(&app, viewer.id(), &filters, Order::NewestPublished, window).await?;
    Ok(Page::new(rows.into_iter().map(FeedItem::from).collect(), window, total))
}
