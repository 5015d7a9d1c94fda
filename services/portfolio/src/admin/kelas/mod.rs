//! Classes. Their names are made of grade, major and group, and never sent.

use chrono::{DateTime, Utc};
use grafikarsa_http::{ApiError, ApiResult, FieldErrors, required_line};
use serde::Serialize;
use sqlx::{PgConnection, Postgres, QueryBuilder};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{tahun_ajaran::TahunAjaran, taken};
use crate::{AppState, academic::JurusanRef};

mod create;
mod delete;
mod list;
mod students;
mod update;

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list::list, create::create))
        .routes(routes!(update::update, delete::delete))
        .routes(routes!(students::students))
}

/// A class as the back office shows it.
#[derive(Debug, Serialize, ToSchema)]
pub struct KelasDetail {
    id: Uuid,
    nama: String,
    tingkat: i32,
    rombel: String,
    jurusan_id: Uuid,
    tahun_ajaran_id: Uuid,
    jurusan: JurusanRef,
    tahun_ajaran: TahunAjaran,
    /// Users who are in it now.
    student_count: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

#[derive(Debug, sqlx::FromRow)]
struct Row {
    id: Uuid,
    nama: String,
    tingkat: i32,
    rombel: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    jurusan_id: Uuid,
    jurusan_nama: String,
    jurusan_kode: String,
    tahun_ajaran_id: Uuid,
    tahun_mulai: i32,
    is_active: bool,
    promotion_month: i32,
    promotion_day: i32,
    tahun_created_at: DateTime<Utc>,
    tahun_updated_at: DateTime<Utc>,
    student_count: i64,
}

impl From<Row> for KelasDetail {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            nama: row.nama,
            tingkat: row.tingkat,
            rombel: row.rombel,
            jurusan_id: row.jurusan_id,
            tahun_ajaran_id: row.tahun_ajaran_id,
            jurusan: JurusanRef { id: row.jurusan_id, nama: row.jurusan_nama, kode: row.jurusan_kode },
            tahun_ajaran: TahunAjaran {
                id: row.tahun_ajaran_id,
                tahun_mulai: row.tahun_mulai,
                is_active: row.is_active,
                promotion_month: row.promotion_month,
                promotion_day: row.promotion_day,
                created_at: row.tahun_created_at,
                updated_at: row.tahun_updated_at,
            },
            student_count: row.student_count,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// Everything of a [`Row`]; what follows narrows it.
fn select() -> QueryBuilder<Postgres> {
    QueryBuilder::new(
        "
        select
            k.id, k.nama, k.tingkat, k.rombel, k.created_at, k.updated_at,
            j.id as jurusan_id, j.nama as jurusan_nama, j.kode as jurusan_kode,
            t.id as tahun_ajaran_id, t.tahun_mulai, t.is_active, t.promotion_month, t.promotion_day,
            t.created_at as tahun_created_at, t.updated_at as tahun_updated_at,
            (select count(*) from users u where u.kelas_id = k.id and u.deleted_at is null) as student_count
        from kelas k
        join jurusan j on j.id = k.jurusan_id
        join tahun_ajaran t on t.id = k.tahun_ajaran_id
        where k.deleted_at is null",
    )
}

async fn load(connection: &mut PgConnection, id: Uuid) -> ApiResult<KelasDetail> {
    let mut query = select();
    query.push(" and k.id = ").push_bind(id);
    let row: Option<Row> = query.build_query_as().fetch_optional(connection).await?;
    row.map(KelasDetail::from).ok_or_else(not_found)
}

/// A class with its row locked.
struct Locked {
    tingkat: i32,
    rombel: String,
    jurusan_id: Uuid,
}

async fn lock(connection: &mut PgConnection, id: Uuid) -> ApiResult<Locked> {
    let found = sqlx::query_as!(
        Locked,
        "select tingkat, rombel, jurusan_id from kelas where id = $1 and deleted_at is null for update",
        id,
    )
    .fetch_optional(connection)
    .await?;
    found.ok_or_else(not_found)
}

/// Makes the names of all classes of a major anew.
pub async fn rename_of_jurusan(connection: &mut PgConnection, jurusan: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "
        update kelas k
        set nama = kelas_nama(k.tingkat, j.kode, k.rombel), updated_at = now()
        from jurusan j
        where j.id = k.jurusan_id and j.id = $1 and k.deleted_at is null
        ",
        jurusan,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// The major, kept as it is until the transaction ends; false when there is none.
async fn hold_jurusan(connection: &mut PgConnection, id: Uuid) -> Result<bool, sqlx::Error> {
    let found = sqlx::query_scalar!("select id from jurusan where id = $1 and deleted_at is null for share", id);
    Ok(found.fetch_optional(connection).await?.is_some())
}

fn tingkat(errors: &mut FieldErrors, value: Option<i32>) -> i32 {
    match value {
        Some(tingkat @ 10..=12) => tingkat,
        Some(_) => {
            errors.add("tingkat", "Tingkat harus 10, 11, atau 12");
            0
        }
        None => {
            errors.add("tingkat", "Tingkat wajib diisi");
            0
        }
    }
}

fn rombel(errors: &mut FieldErrors, value: Option<&str>) -> String {
    let rombel = required_line(errors, "rombel", "Rombel", value, 1..=1).to_ascii_uppercase();
    if !rombel.bytes().all(|byte| byte.is_ascii_uppercase()) {
        errors.add("rombel", "Rombel harus satu huruf A–Z");
    }
    rombel
}

fn not_found() -> ApiError {
    ApiError::not_found("NOT_FOUND", "Kelas tidak ditemukan")
}

fn duplicate(error: sqlx::Error) -> ApiError {
    taken(error, "kelas_place_key", "DUPLICATE_KELAS", "Kelas sudah ada di tahun ajaran ini")
}
