use axum::extract::State;
use grafikarsa_http::{ApiError, ApiResult, Page, PageEnvelope, Paging, Query, search_text};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    card::PortfolioCard,
    filters,
    page::{self, Filters, Order, Series},
};
use crate::{AppState, capabilities::Viewer};

#[derive(Debug, Deserialize, IntoParams)]
pub struct Filter {
    /// Part of the title or of the owner's name.
    search: Option<String>,
    /// Ids of tags, separated by commas: any of them.
    tag_ids: Option<String>,
    /// Major of the owner.
    jurusan_id: Option<String>,
    /// Class of the owner.
    kelas_id: Option<String>,
    /// The owner.
    user_id: Option<String>,
    /// A series, or `none`.
    series_id: Option<String>,
    /// `-published_at`, `-like_count` or `judul`.
    sort: Option<String>,
}

/// Published portfolios.
#[utoipa::path(
    get,
    path = "/api/v1/portfolios",
    tag = "portfolios",
    params(Filter, ("page" = Option<i64>, Query), ("limit" = Option<i64>, Query)),
    security((), ("bearer" = [])),
    responses((status = 200, body = PageEnvelope<PortfolioCard>)),
)]
pub async fn list(
    State(app): State<AppState>,
    viewer: Viewer,
    Query(filter): Query<Filter>,
    paging: Paging,
) -> ApiResult<Page<PortfolioCard>> {
    let series = match filter.series_id.as_deref().map(str::trim) {
        Some("none") => Some(Series::None),
        id => filters::uuid("series_id", id)?.map(Series::Is),
    };
    let order = match filter.sort.as_deref().map(str::trim) {
        None | Some("" | "-published_at") => Order::NewestPublished,
        Some("-like_count") => Order::MostLiked,
        Some("judul") => Order::Judul,
        Some(_) => return Err(ApiError::syntax("sort", "Urutan tidak dikenal")),
    };
    let filters = Filters {
        public: true,
        owner: filters::uuid("user_id", filter.user_id.as_deref())?,
        search: search_text("search", filter.search.as_deref())?,
        tags: filters::uuids("tag_ids", filter.tag_ids.as_deref(), 50)?,
        jurusan: filters::uuid("jurusan_id", filter.jurusan_id.as_deref())?,
        kelas: filters::uuid("kelas_id", filter.kelas_id.as_deref())?,
        series,
        ..Filters::default()
    };
    let window = paging.with(20, 100);
    let (rows, total) = page::fetch(&app, viewer.id(), &filters, order, window).await?;
    Ok(Page::new(rows.into_iter().map(|row| row.into_card(false)).collect(), window, total))
}
