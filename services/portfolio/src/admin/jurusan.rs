//! Majors.

use axum::extract::State;
use chrono::{DateTime, Utc};
use grafikarsa_http::{ApiError, ApiResult, Data, DeferredBody, Envelope, FieldErrors, Id, Nothing, required_line};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{audit, kelas, taken};
use crate::{
    AppState,
    capabilities::{Caller, Capability},
};

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(update, delete))
}

#[derive(Debug, Serialize, ToSchema)]
struct Jurusan {
    id: Uuid,
    nama: String,
    kode: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

#[derive(Debug, Deserialize, ToSchema)]
struct JurusanInput {
    /// 1 to 100 characters.
    nama: Option<String>,
    /// 1 to 10 letters; stored in lower case.
    kode: Option<String>,
}

/// All majors, by name.
#[utoipa::path(
    get,
    path = "/api/v1/admin/jurusan",
    tag = "admin academic",
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Vec<Jurusan>>)),
)]
async fn list(State(app): State<AppState>, caller: Caller) -> ApiResult<Data<Vec<Jurusan>>> {
    caller.require_any(&[Capability::Majors, Capability::Classes, Capability::Series])?;
    let jurusan = sqlx::query_as!(
        Jurusan,
        "
        select id, nama, kode, created_at, updated_at
        from jurusan
        where deleted_at is null
        order by nama, id
        limit 1000
        ",
    )
    .fetch_all(&app.db)
    .await?;
    Ok(Data::new(jurusan))
}

/// Creates a major.
#[utoipa::path(
    post,
    path = "/api/v1/admin/jurusan",
    tag = "admin academic",
    request_body = JurusanInput,
    security(("bearer" = [])),
    responses((status = 201, body = Envelope<Jurusan>)),
)]
async fn create(
    State(app): State<AppState>,
    caller: Caller,
    body: DeferredBody<JurusanInput>,
) -> ApiResult<Data<Jurusan>> {
    caller.require(Capability::Majors)?;
    let body = body.read().await?;
    let mut errors = FieldErrors::new();
    let nama = required_line(&mut errors, "nama", "Nama", body.nama.as_deref(), 1..=100);
    let kode = kode(&mut errors, body.kode.as_deref());
    errors.finish()?;

    let mut tx = app.db.begin().await?;
    let jurusan = sqlx::query_as!(
        Jurusan,
        "insert into jurusan (id, nama, kode) values ($1, $2, $3) returning id, nama, kode, created_at, updated_at",
        Uuid::now_v7(),
        nama,
        kode,
    )
    .fetch_one(&mut *tx)
    .await
    .map_err(duplicate)?;
    audit::record(&mut tx, caller.id, "jurusan.create", jurusan.id, &["nama", "kode"]).await?;
    tx.commit().await?;
    Ok(Data::created(jurusan).message("Jurusan berhasil dibuat"))
}

/// Changes a major, and with its code the names of its classes.
#[utoipa::path(
    patch,
    path = "/api/v1/admin/jurusan/{id}",
    tag = "admin academic",
    params(("id" = Uuid, Path)),
    request_body = JurusanInput,
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Jurusan>)),
)]
async fn update(
    State(app): State<AppState>,
    caller: Caller,
    Id(id): Id,
    body: DeferredBody<JurusanInput>,
) -> ApiResult<Data<Jurusan>> {
    caller.require(Capability::Majors)?;
    lock(&mut *app.db.acquire().await?, id).await?;
    let body = body.read().await?;
    let mut errors = FieldErrors::new();
    let nama = body.nama.as_deref().map(|nama| required_line(&mut errors, "nama", "Nama", Some(nama), 1..=100));
    let kode = body.kode.as_deref().map(|text| kode(&mut errors, Some(text)));
    errors.finish()?;

    let mut tx = app.db.begin().await?;
    let before = lock(&mut tx, id).await?;
    let nama = nama.filter(|nama| *nama != before.nama);
    let kode = kode.filter(|kode| *kode != before.kode);
    let changed: Vec<&str> =
        [nama.is_some().then_some("nama"), kode.is_some().then_some("kode")].into_iter().flatten().collect();
    if changed.is_empty() {
        return Ok(Data::new(before));
    }
    let jurusan = sqlx::query_as!(
        Jurusan,
        "
        update jurusan
        set nama = coalesce($2, nama), kode = coalesce($3, kode), updated_at = now()
        where id = $1
        returning id, nama, kode, created_at, updated_at
        ",
        id,
        nama,
        kode,
    )
    .fetch_one(&mut *tx)
    .await
    .map_err(duplicate)?;
    if kode.is_some() {
        kelas::rename_of_jurusan(&mut tx, id).await?;
    }
    audit::record(&mut tx, caller.id, "jurusan.update", id, &changed).await?;
    tx.commit().await?;
    Ok(Data::new(jurusan).message("Jurusan berhasil diperbarui"))
}

/// Deletes a major without classes.
#[utoipa::path(
    delete,
    path = "/api/v1/admin/jurusan/{id}",
    tag = "admin academic",
    params(("id" = Uuid, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Nothing>)),
)]
async fn delete(State(app): State<AppState>, caller: Caller, Id(id): Id) -> ApiResult<Data<()>> {
    caller.require(Capability::Majors)?;
    let mut tx = app.db.begin().await?;
    // Whoever creates a class locks it, too.
    lock(&mut tx, id).await?;
    let used = sqlx::query_scalar!(
        r#"select exists (select from kelas where jurusan_id = $1 and deleted_at is null) as "used!""#,
        id,
    )
    .fetch_one(&mut *tx)
    .await?;
    if used {
        return Err(ApiError::conflict("JURUSAN_IN_USE", "Jurusan masih dipakai oleh kelas"));
    }
    sqlx::query!("update jurusan set deleted_at = now(), updated_at = now() where id = $1", id)
        .execute(&mut *tx)
        .await?;
    audit::record(&mut tx, caller.id, "jurusan.delete", id, &[]).await?;
    tx.commit().await?;
    Ok(Data::none().message("Jurusan berhasil dihapus"))
}

async fn lock(connection: &mut PgConnection, id: Uuid) -> ApiResult<Jurusan> {
    let found = sqlx::query_as!(
        Jurusan,
        "
        select id, nama, kode, created_at, updated_at
        from jurusan
        where id = $1 and deleted_at is null
        for update
        ",
        id,
    )
    .fetch_optional(connection)
    .await?;
    found.ok_or_else(|| ApiError::not_found("NOT_FOUND", "Jurusan tidak ditemukan"))
}

fn kode(errors: &mut FieldErrors, value: Option<&str>) -> String {
    let kode = required_line(errors, "kode", "Kode", value, 1..=10).to_ascii_lowercase();
    if !kode.bytes().all(|byte| byte.is_ascii_lowercase()) {
        errors.add("kode", "Kode hanya boleh berisi huruf");
    }
    kode
}

fn duplicate(error: sqlx::Error) -> ApiError {
    taken(error, "jurusan_kode_key", "DUPLICATE_KODE", "Kode jurusan sudah digunakan")
}
