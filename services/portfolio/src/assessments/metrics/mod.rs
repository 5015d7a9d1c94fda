//! What portfolios are scored by.

use chrono::{DateTime, Utc};
use grafikarsa_http::{ApiError, ApiResult};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgExecutor};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::AppState;

mod create;
mod delete;
mod list;
mod reorder;
mod update;

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list::list, create::create))
        .routes(routes!(reorder::reorder))
        .routes(routes!(update::update, delete::delete))
}

/// A criterion.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct AssessmentMetric {
    id: Uuid,
    nama: String,
    deskripsi: Option<String>,
    /// Lists are sorted by it.
    urutan: i32,
    /// Whether new assessments may use it.
    is_active: bool,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

async fn load(executor: impl PgExecutor<'_>, id: Uuid) -> ApiResult<AssessmentMetric> {
    let found = sqlx::query_as!(
        AssessmentMetric,
        "
        select id, nama, deskripsi, urutan, is_active, created_at, updated_at
        from assessment_metrics
        where id = $1 and deleted_at is null
        ",
        id,
    )
    .fetch_optional(executor)
    .await?;
    found.ok_or_else(not_found)
}

/// Whoever gives metrics their places does so alone.
async fn serialise_places(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    /// Number of the advisory lock.
    const LOCK: i64 = 0x706f_7274_0010;
    sqlx::query!("select pg_advisory_xact_lock($1)", LOCK).execute(connection).await.map(drop)
}

fn not_found() -> ApiError {
    ApiError::not_found("NOT_FOUND", "Metrik tidak ditemukan")
}

/// Of the index `assessment_metrics_nama_key`.
fn duplicate() -> ApiError {
    ApiError::conflict("DUPLICATE_METRIC", "Nama metrik sudah digunakan")
}
