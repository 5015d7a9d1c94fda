//! Templates of portfolios.

use chrono::{DateTime, Utc};
use grafikarsa_http::{ApiError, ApiResult};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, types::Json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::taken;
use crate::AppState;

mod delete;
mod export;
mod list;
mod write;

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list::list, write::create))
        .routes(routes!(list::detail, write::update, delete::delete))
        .routes(routes!(export::preview))
        .routes(routes!(export::export))
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct SeriesBlock {
    id: Uuid,
    block_type: String,
    block_order: i32,
    instruksi: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct SeriesDetail {
    id: Uuid,
    nama: String,
    deskripsi: Option<String>,
    is_active: bool,
    block_count: i64,
    portfolio_count: i64,
    #[schema(value_type = Vec<SeriesBlock>)]
    blocks: Json<Vec<SeriesBlock>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

async fn load(connection: &mut PgConnection, id: Uuid) -> ApiResult<SeriesDetail> {
    let found = sqlx::query_as!(
        SeriesDetail,
        r#"
        select
            s.id,
            s.nama,
            s.deskripsi,
            s.is_active,
            (select count(*) from series_blocks b where b.series_id = s.id) as "block_count!",
            (
                select count(*) from portfolios p where p.series_id = s.id and p.deleted_at is null
            ) as "portfolio_count!",
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
            ) as "blocks!: Json<Vec<SeriesBlock>>",
            s.created_at,
            s.updated_at
        from series s
        where s.id = $1 and s.deleted_at is null
        "#,
        id,
    )
    .fetch_optional(connection)
    .await?;
    found.ok_or_else(not_found)
}

fn not_found() -> ApiError {
    ApiError::not_found("SERIES_NOT_FOUND", "Series tidak ditemukan")
}

fn duplicate(error: sqlx::Error) -> ApiError {
    taken(error, "series_nama_key", "DUPLICATE_ERROR", "Nama series sudah digunakan")
}
