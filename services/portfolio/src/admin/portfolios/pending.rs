use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use grafikarsa_http::{ApiError, ApiResult, Meta, Paging, Query, search_text};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    AppState,
    capabilities::{Caller, Capability},
    portfolios::{
        Status,
        card::{PortfolioSeries, PortfolioUser, Row},
        filters,
        page::{self, Filters, Order},
    },
    tags::TagRef,
};

#[derive(Debug, Deserialize, IntoParams)]
pub struct Filter {
    /// Part of the title, of the owner's name or user name.
    search: Option<String>,
    /// Major of the owner.
    jurusan_id: Option<String>,
    /// `-created_at` or `created_at`.
    sort: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct AdminPortfolioItem {
    id: Uuid,
    user_id: Uuid,
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

/// A page whose place is told twice: the portfolio page reads `pagination`, the moderation page `meta`.
#[derive(Debug, Serialize, ToSchema)]
pub struct AdminPage {
    success: bool,
    data: Vec<AdminPortfolioItem>,
    meta: Meta,
    pagination: Meta,
}

/// Portfolios that wait for a review.
#[utoipa::path(
    get,
    path = "/api/v1/admin/portfolios/pending",
    tag = "moderation",
    params(Filter, ("page" = Option<i64>, Query), ("limit" = Option<i64>, Query)),
    security(("bearer" = [])),
    responses((status = 200, body = AdminPage)),
)]
pub async fn pending(
    State(app): State<AppState>,
    caller: Caller,
    Query(filter): Query<Filter>,
    paging: Paging,
) -> ApiResult<Json<AdminPage>> {
    let order = match filter.sort.as_deref().map(str::trim) {
        None | Some("" | "-created_at") => Order::NewestCreated,
        Some("created_at") => Order::OldestCreated,
        Some(_) => return Err(ApiError::syntax("sort", "Urutan tidak dikenal")),
    };
    let filters = Filters {
        status: Some(Status::PendingReview),
        search: search_text("search", filter.search.as_deref())?,
        search_usernames: true,
        jurusan: filters::uuid("jurusan_id", filter.jurusan_id.as_deref())?,
        ..Filters::default()
    };
    caller.require(Capability::Moderation)?;
    let window = paging.with(20, 100);
    let (rows, total) = page::fetch(&app, Some(caller.id), &filters, order, window).await?;
    let meta = Meta::new(window, total);
    let data = rows.into_iter().map(AdminPortfolioItem::from).collect();
    Ok(Json(AdminPage { success: true, data, meta, pagination: meta }))
}
