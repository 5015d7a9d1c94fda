use axum::extract::State;
use grafikarsa_http::{ApiResult, Data, Envelope, Page, PageEnvelope, PageWindow, Paging};

use super::{
    not_found,
    view::{self, Audience, Changelog, ORDER, Row},
};
use crate::{AppState, window};

/// What is new, the newest first, in full.
#[utoipa::path(
    get,
    path = "/api/v1/changelogs",
    tag = "changelogs",
    params(("page" = Option<i64>, Query), ("limit" = Option<i64>, Query)),
    responses((status = 200, body = PageEnvelope<Changelog>)),
)]
pub async fn list(State(app): State<AppState>, paging: Paging) -> ApiResult<Page<Changelog>> {
    let window = paging.with(10, 50);
    let rows = fetch(&app, window).await?;
    let total = match rows.first() {
        Some(row) => row.total,
        // Beyond the end, or there are none.
        None => count(&app).await?,
    };
    Ok(Page::new(rows.into_iter().map(Changelog::from).collect(), window, total))
}

/// The newest release.
#[utoipa::path(
    get,
    path = "/api/v1/changelogs/latest",
    tag = "changelogs",
    responses((status = 200, body = Envelope<Changelog>)),
)]
pub async fn latest(State(app): State<AppState>) -> ApiResult<Data<Changelog>> {
    let rows = fetch(&app, PageWindow { page: 1, per_page: 1 }).await?;
    rows.into_iter().next().map(|row| Data::new(row.into())).ok_or_else(not_found)
}

async fn fetch(app: &AppState, window: PageWindow) -> Result<Vec<Row>, sqlx::Error> {
    let mut query = view::page(Audience::Public);
    query.push(ORDER);
    window::push(&mut query, window);
    view::select(&mut query, Audience::Public);
    query.build_query_as().fetch_all(&app.db).await
}

async fn count(app: &AppState) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(r#"select count(*) as "count!" from changelogs where is_published and deleted_at is null"#)
        .fetch_one(&app.db)
        .await
}
