use axum::{Json, extract::State};
use grafikarsa_http::{ApiError, ApiResult, Meta, Paging, Query, search_text};
use serde::Deserialize;
use utoipa::IntoParams;

use super::item::{AdminPage, AdminPortfolioItem};
use crate::{
    AppState,
    capabilities::{Caller, Capability},
    portfolios::{
        Status, filters,
        page::{self, Filters, Order},
    },
};

#[derive(Debug, Deserialize, IntoParams)]
pub struct ListFilter {
    /// Part of the title, of the owner's name or user name.
    search: Option<String>,
    /// One of the five.
    status: Option<String>,
    /// The owner.
    user_id: Option<String>,
    /// Major of the owner.
    jurusan_id: Option<String>,
    /// `-created_at` or `created_at`.
    sort: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
pub struct PendingFilter {
    /// Part of the title, of the owner's name or user name.
    search: Option<String>,
    /// Major of the owner.
    jurusan_id: Option<String>,
    /// `-created_at` or `created_at`.
    sort: Option<String>,
}

/// Portfolios in any status. Whoever only moderates sees those that wait, and must ask for these.
#[utoipa::path(
    get,
    path = "/api/v1/admin/portfolios",
    tag = "admin portfolios",
    params(ListFilter, ("page" = Option<i64>, Query), ("limit" = Option<i64>, Query)),
    security(("bearer" = [])),
    responses((status = 200, body = AdminPage)),
)]
pub async fn list(
    State(app): State<AppState>,
    caller: Caller,
    Query(filter): Query<ListFilter>,
    paging: Paging,
) -> ApiResult<Json<AdminPage>> {
    let status = match filter.status.as_deref().map(str::trim) {
        None | Some("") => None,
        Some(text) => Some(Status::parse(text).ok_or_else(|| ApiError::syntax("status", "Status tidak dikenal"))?),
    };
    let filters = Filters {
        status,
        owner: filters::uuid("user_id", filter.user_id.as_deref())?,
        ..common(filter.search.as_deref(), filter.jurusan_id.as_deref())?
    };
    let order = order(filter.sort.as_deref())?;
    if !(status == Some(Status::PendingReview) && caller.has(Capability::Moderation)) {
        caller.require(Capability::Portfolios)?;
    }
    fetch(&app, &caller, &filters, order, paging).await
}

/// Portfolios that wait for a review.
#[utoipa::path(
    get,
    path = "/api/v1/admin/portfolios/pending",
    tag = "moderation",
    params(PendingFilter, ("page" = Option<i64>, Query), ("limit" = Option<i64>, Query)),
    security(("bearer" = [])),
    responses((status = 200, body = AdminPage)),
)]
pub async fn pending(
    State(app): State<AppState>,
    caller: Caller,
    Query(filter): Query<PendingFilter>,
    paging: Paging,
) -> ApiResult<Json<AdminPage>> {
    let filters = Filters {
        status: Some(Status::PendingReview),
        ..common(filter.search.as_deref(), filter.jurusan_id.as_deref())?
    };
    let order = order(filter.sort.as_deref())?;
    caller.require(Capability::Moderation)?;
    fetch(&app, &caller, &filters, order, paging).await
}

fn common(search: Option<&str>, jurusan: Option<&str>) -> ApiResult<Filters> {
    Ok(Filters {
        search: search_text("search", search)?,
        search_usernames: true,
        jurusan: filters::uuid("jurusan_id", jurusan)?,
        ..Filters::default()
    })
}

fn order(sort: Option<&str>) -> ApiResult<Order> {
    match sort.map(str::trim) {
        None | Some("" | "-created_at") => Ok(Order::NewestCreated),
        Some("created_at") => Ok(Order::OldestCreated),
        Some(_) => Err(ApiError::syntax("sort", "Urutan tidak dikenal")),
    }
}

async fn fetch(
    app: &AppState,
    caller: &Caller,
    filters: &Filters,
    order: Order,
    paging: Paging,
) -> ApiResult<Json<AdminPage>> {
    let window = paging.with(20, 100);
    let (rows, total) = page::fetch(app, Some(caller.id), filters, order, window).await?;
    let data = rows.into_iter().map(AdminPortfolioItem::from).collect();
    Ok(Json(AdminPage::new(data, Meta::new(window, total))))
}
