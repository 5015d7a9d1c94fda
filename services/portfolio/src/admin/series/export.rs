use axum::extract::State;
use chrono::{DateTime, Utc};
use grafikarsa_http::{ApiError, ApiResult, Data, Envelope, Id, Query};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{PgConnection, types::Json};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::SeriesDetail;
use crate::{
    AppState,
    capabilities::{Caller, Capability},
    portfolios::filters,
};

/// More pages than that no browser makes a PDF of.
const MOST: i64 = 1000;

#[derive(Debug, Deserialize, IntoParams)]
pub struct Filter {
    /// Major of the owner.
    jurusan_id: Option<String>,
    /// Class of the owner.
    kelas_id: Option<String>,
}

impl Filter {
    fn read(&self) -> ApiResult<(Option<Uuid>, Option<Uuid>)> {
        let jurusan = filters::uuid("jurusan_id", self.jurusan_id.as_deref())?;
        let kelas = filters::uuid("kelas_id", self.kelas_id.as_deref())?;
        Ok((jurusan, kelas))
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ExportPreview {
    portfolio_count: i64,
    user_count: i64,
    estimated_pages: i64,
}

/// What the PDF export reads.
#[derive(Debug, Serialize, ToSchema)]
pub struct SeriesExport {
    series: SeriesDetail,
    portfolios: Vec<ExportPortfolio>,
    meta: ExportMeta,
}

#[derive(Debug, Serialize, ToSchema)]
struct ExportMeta {
    total_count: i64,
    user_count: i64,
    exported_at: DateTime<Utc>,
}

#[derive(Debug, Serialize, ToSchema)]
struct ExportPortfolio {
    id: Uuid,
    judul: String,
    thumbnail_url: Option<String>,
    created_at: DateTime<Utc>,
    #[schema(value_type = Vec<ExportBlock>)]
    content_blocks: Json<Vec<ExportBlock>>,
    user: ExportUser,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct ExportBlock {
    id: Uuid,
    block_type: String,
    block_order: i32,
    #[schema(value_type = Object)]
    payload: Value,
}

#[derive(Debug, Serialize, ToSchema)]
struct ExportUser {
    id: Uuid,
    nama: String,
    username: String,
    avatar_url: Option<String>,
    nisn: Option<String>,
    nis: Option<String>,
    kelas_nama: Option<String>,
    jurusan_nama: Option<String>,
}

struct Counted {
    portfolios: i64,
    users: i64,
}

/// How large an export would be.
#[utoipa::path(
    get,
    path = "/api/v1/admin/series/{id}/export/preview",
    tag = "admin content",
    params(("id" = Uuid, Path), Filter),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<ExportPreview>)),
)]
pub async fn preview(
    State(app): State<AppState>,
    caller: Caller,
    Id(id): Id,
    Query(filter): Query<Filter>,
) -> ApiResult<Data<ExportPreview>> {
    let (jurusan, kelas) = filter.read()?;
    caller.require(Capability::Series)?;
    let mut connection = app.db.acquire().await?;
    super::load(&mut connection, id).await?;
    let counted = count(&mut connection, id, jurusan, kelas).await?;
    Ok(Data::new(ExportPreview {
        portfolio_count: counted.portfolios,
        user_count: counted.users,
        estimated_pages: 2 * counted.portfolios,
    }))
}

/// The published portfolios of a template with all that a page of the PDF shows.
#[utoipa::path(
    get,
    path = "/api/v1/admin/series/{id}/export",
    tag = "admin content",
    params(("id" = Uuid, Path), Filter),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<SeriesExport>)),
)]
pub async fn export(
    State(app): State<AppState>,
    caller: Caller,
    Id(id): Id,
    Query(filter): Query<Filter>,
) -> ApiResult<Data<SeriesExport>> {
    let (jurusan, kelas) = filter.read()?;
    caller.require(Capability::Series)?;
    // One snapshot, so that the numbers are those of the pages.
    let mut tx = app.db.begin().await?;
    sqlx::query!("set transaction isolation level repeatable read, read only").execute(&mut *tx).await?;
    let series = super::load(&mut tx, id).await?;
    let counted = count(&mut tx, id, jurusan, kelas).await?;
    if counted.portfolios > MOST {
        let message = format!("Ekspor maksimal {MOST} portofolio, persempit dengan jurusan atau kelas");
        return Err(ApiError::new(axum::http::StatusCode::UNPROCESSABLE_ENTITY, "EXPORT_TOO_LARGE", message));
    }
    let portfolios = pages(&mut tx, id, jurusan, kelas).await?;
    tx.commit().await?;
    let meta = ExportMeta { total_count: counted.portfolios, user_count: counted.users, exported_at: Utc::now() };
    Ok(Data::new(SeriesExport { series, portfolios, meta }))
}

async fn count(
    connection: &mut PgConnection,
    series: Uuid,
    jurusan: Option<Uuid>,
    kelas: Option<Uuid>,
) -> Result<Counted, sqlx::Error> {
    sqlx::query_as!(
        Counted,
        r#"
        select count(*) as "portfolios!", count(distinct p.user_id) as "users!"
        from portfolios p
        join users u on u.id = p.user_id and u.deleted_at is null
        left join kelas k on k.id = u.kelas_id
        where p.series_id = $1
            and p.deleted_at is null
            and p.status = 'published'
            and ($2::uuid is null or k.jurusan_id = $2)
            and ($3::uuid is null or u.kelas_id = $3)
        "#,
        series,
        jurusan,
        kelas,
    )
    .fetch_one(connection)
    .await
}

async fn pages(
    connection: &mut PgConnection,
    series: Uuid,
    jurusan: Option<Uuid>,
    kelas: Option<Uuid>,
) -> Result<Vec<ExportPortfolio>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        select
            p.id,
            p.judul,
            p.thumbnail_url,
            p.created_at,
            coalesce(blocks.list, '[]') as "blocks!: Json<Vec<ExportBlock>>",
            u.id as user_id,
            u.nama,
            u.username,
            u.avatar_url,
            u.nisn,
            u.nis,
            k.nama as "kelas_nama?",
            j.nama as "jurusan_nama?"
        from portfolios p
        join users u on u.id = p.user_id and u.deleted_at is null
        left join kelas k on k.id = u.kelas_id
        left join jurusan j on j.id = k.jurusan_id
        left join lateral (
            select json_agg(
                json_build_object(
                    'id', b.id, 'block_type', b.block_type, 'block_order', b.block_order, 'payload', b.payload
                )
                order by b.block_order
            ) as list
            from content_blocks b
            where b.portfolio_id = p.id
        ) blocks on true
        where p.series_id = $1
            and p.deleted_at is null
            and p.status = 'published'
            and ($2::uuid is null or k.jurusan_id = $2)
            and ($3::uuid is null or u.kelas_id = $3)
        order by u.nama, p.created_at desc, p.id
        limit $4
        "#,
        series,
        jurusan,
        kelas,
        MOST,
    )
    .fetch_all(connection)
    .await?;
    let portfolios = rows.into_iter().map(|row| ExportPortfolio {
        id: row.id,
        judul: row.judul,
        thumbnail_url: row.thumbnail_url,
        created_at: row.created_at,
        content_blocks: row.blocks,
        user: ExportUser {
            id: row.user_id,
            nama: row.nama,
            username: row.username,
            avatar_url: row.avatar_url,
            nisn: row.nisn,
            nis: row.nis,
            kelas_nama: row.kelas_nama,
            jurusan_nama: row.jurusan_nama,
        },
    });
    Ok(portfolios.collect())
}
