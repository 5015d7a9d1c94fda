use axum::extract::State;
use chrono::{DateTime, Utc};
use grafikarsa_http::{ApiResult, Data, Envelope, Id, Page, PageEnvelope, Paging, Query, search_text};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::SeriesDetail;
use crate::{
    AppState,
    capabilities::{Caller, Capability},
};

#[derive(Debug, Deserialize, IntoParams)]
pub struct Filter {
    /// Part of the name.
    search: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct SeriesItem {
    id: Uuid,
    nama: String,
    deskripsi: Option<String>,
    is_active: bool,
    block_count: i64,
    portfolio_count: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// Templates by name, active or not.
#[utoipa::path(
    get,
    path = "/api/v1/admin/series",
    tag = "admin content",
    params(Filter, ("page" = Option<i64>, Query), ("limit" = Option<i64>, Query)),
    security(("bearer" = [])),
    responses((status = 200, body = PageEnvelope<SeriesItem>)),
)]
pub async fn list(
    State(app): State<AppState>,
    caller: Caller,
    Query(filter): Query<Filter>,
    paging: Paging,
) -> ApiResult<Page<SeriesItem>> {
    let search = search_text("search", filter.search.as_deref())?;
    caller.require_any(&[Capability::Series, Capability::Portfolios])?;
    let window = paging.with(1000, 1000);
    let total = sqlx::query_scalar!(
        r#"
        select count(*) as "total!"
        from series
        where deleted_at is null and ($1::text is null or nama ilike $1)
        "#,
        search,
    )
    .fetch_one(&app.db)
    .await?;
    let series = sqlx::query_as!(
        SeriesItem,
        r#"
        select
            s.id,
            s.nama,
            s.deskripsi,
            s.is_active,
            (select count(*) from series_blocks b where b.series_id = s.id) as "block_count!",
            coalesce(used.portfolios, 0) as "portfolio_count!",
            s.created_at,
            s.updated_at
        from series s
        left join (
            select p.series_id, count(*) as portfolios
            from portfolios p
            where p.deleted_at is null and p.series_id is not null
            group by p.series_id
        ) used on used.series_id = s.id
        where s.deleted_at is null and ($1::text is null or s.nama ilike $1)
        order by s.nama, s.id
        limit $2
        offset $3
        "#,
        search,
        window.limit(),
        window.offset(),
    )
    .fetch_all(&app.db)
    .await?;
    Ok(Page::new(series, window, total))
}

/// A template with its blocks.
#[utoipa::path(
    get,
    path = "/api/v1/admin/series/{id}",
    tag = "admin content",
    params(("id" = Uuid, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<SeriesDetail>)),
)]
pub async fn detail(State(app): State<AppState>, caller: Caller, Id(id): Id) -> ApiResult<Data<SeriesDetail>> {
    caller.require(Capability::Series)?;
    Ok(Data::new(super::load(&mut *app.db.acquire().await?, id).await?))
}
