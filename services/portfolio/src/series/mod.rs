//! Templates of portfolios, for whoever begins one.

use axum::extract::State;
use chrono::{DateTime, Utc};
use grafikarsa_http::{ApiError, ApiResult, Data, Envelope, Id};
use serde::{Deserialize, Serialize};
use sqlx::{PgPool, types::Json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::AppState;

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(detail))
}

/// A block that a template asks for.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
struct TemplateBlock {
    id: Uuid,
    block_type: String,
    block_order: i32,
    instruksi: String,
}

/// A template with its blocks.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct SeriesTemplate {
    id: Uuid,
    nama: String,
    deskripsi: Option<String>,
    /// Always true here.
    is_active: bool,
    block_count: i64,
    created_at: DateTime<Utc>,
    #[schema(value_type = Vec<TemplateBlock>)]
    blocks: Json<Vec<TemplateBlock>>,
}

/// Active templates by name, at most 500.
#[utoipa::path(
    get,
    path = "/api/v1/series",
    tag = "series",
    responses((status = 200, body = Envelope<Vec<SeriesTemplate>>)),
)]
async fn list(State(app): State<AppState>) -> ApiResult<Data<Vec<SeriesTemplate>>> {
    Ok(Data::new(fetch(&app.db, None).await?))
}

/// An active template.
#[utoipa::path(
    get,
    path = "/api/v1/series/{id}",
    tag = "series",
    params(("id" = uuid::Uuid, Path)),
    responses((status = 200, body = Envelope<SeriesTemplate>)),
)]
async fn detail(State(app): State<AppState>, Id(id): Id) -> ApiResult<Data<SeriesTemplate>> {
    let found = fetch(&app.db, Some(id)).await?.pop();
    found.map(Data::new).ok_or_else(|| ApiError::not_found("SERIES_NOT_FOUND", "Series tidak ditemukan"))
}

/// All of them, or one.
async fn fetch(db: &PgPool, id: Option<Uuid>) -> Result<Vec<SeriesTemplate>, sqlx::Error> {
    sqlx::query_as!(
        SeriesTemplate,
        r#"
        select
            s.id,
            s.nama,
            s.deskripsi,
            s.is_active,
            s.created_at,
            (select count(*) from series_blocks b where b.series_id = s.id) as "block_count!",
            coalesce(
                (
                    select json_agg(
                        json_build_object(
                            'id', b.id,
                            'block_type', b.block_type,
                            'block_order', b.block_order,
                            'instruksi', b.instruksi
                        )
                        order by b.block_order
                    )
                    from series_blocks b
                    where b.series_id = s.id
                ),
                '[]'
            ) as "blocks!: Json<Vec<TemplateBlock>>"
        from series s
        where s.is_active and s.deleted_at is null and ($1::uuid is null or s.id = $1)
        order by s.nama, s.id
        limit 500
        "#,
        id,
    )
    .fetch_all(db)
    .await
}
