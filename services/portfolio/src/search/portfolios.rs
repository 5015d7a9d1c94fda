use axum::extract::State;
use grafikarsa_http::{ApiResult, Page, PageEnvelope, Paging, Query, search_text};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    AppState,
    capabilities::Viewer,
    portfolios::{
        card::PortfolioCard,
        filters,
        page::{self, Filters, Order},
    },
};

#[derive(Debug, Deserialize, IntoParams)]
pub struct Filter {
    /// Part of the title or of the owner's name.
    q: Option<String>,
    /// Ids of tags, separated by commas: any of them.
    tag_ids: Option<String>,
    /// Major of the owner.
    jurusan_id: Option<String>,
    /// Class of the owner.
    kelas_id: Option<String>,
}

/// Published portfolios, the newest first.
#[utoipa::path(
    get,
    path = "/api/v1/search/portfolios",
    tag = "search",
    params(Filter, ("page" = Option<i64>, Query), ("limit" = Option<i64>, Query)),
    security((), ("bearer" = [])),
    responses((status = 200, body = PageEnvelope<PortfolioCard>)),
)]
pub async fn search(
    State(app): State<AppState>,
    viewer: Viewer,
    Query(filter): Query<Filter>,
    paging: Paging,
) -> ApiResult<Page<PortfolioCard>> {
    let filters = Filters {
        public: true,
        search: search_text("q", filter.q.as_deref())?,
        tags: filters::uuids("tag_ids", filter.tag_ids.as_deref(), 50)?,
        jurusan: filters::uuid("jurusan_id", filter.jurusan_id.as_deref())?,
        kelas: filters::uuid("kelas_id", filter.kelas_id.as_deref())?,
        ..Filters::default()
    };
    let window = paging.with(20, 100);
    let (rows, total) = page::fetch(&app, viewer.id(), &filters, Order::NewestPublished, window).await?;
    Ok(Page::new(rows.into_iter().map(|row| row.into_card(false)).collect(), window, total))
}
