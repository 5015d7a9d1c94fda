use axum::extract::State;
use grafikarsa_http::{ApiError, ApiResult, Page, PageEnvelope, Paging, Query};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    Status,
    card::PortfolioCard,
    page::{self, Filters, Order},
};
use crate::{AppState, capabilities::Caller};

#[derive(Debug, Deserialize, IntoParams)]
pub struct Filter {
    /// One of the five statuses.
    status: Option<String>,
}

/// The caller's portfolios in every status, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/me/portfolios",
    tag = "portfolios",
    params(Filter, ("page" = Option<i64>, Query), ("limit" = Option<i64>, Query)),
    security(("bearer" = [])),
    responses((status = 200, body = PageEnvelope<PortfolioCard>)),
)]
pub async fn mine(
    State(app): State<AppState>,
    caller: Caller,
    Query(filter): Query<Filter>,
    paging: Paging,
) -> ApiResult<Page<PortfolioCard>> {
    let filters =
        Filters { owner: Some(caller.id), status: status_filter(filter.status.as_deref())?, ..Filters::default() };
    let window = paging.with(20, 100);
    let (rows, total) = page::fetch(&app, Some(caller.id), &filters, Order::NewestCreated, window).await?;
    Ok(Page::new(rows.into_iter().map(|row| row.into_card(true)).collect(), window, total))
}

/// A status in a query: empty is none, unknown is 400.
pub fn status_filter(value: Option<&str>) -> ApiResult<Option<Status>> {
    match value.map(str::trim) {
        None | Some("") => Ok(None),
        Some(text) => Status::parse(text).map(Some).ok_or_else(|| ApiError::syntax("status", "Status tidak dikenal")),
    }
}
