//! Academic years. At most one is active; the year that becomes active is armed for its promotion.

use axum::extract::State;
use chrono::{DateTime, Utc};
use grafikarsa_http::{ApiError, ApiResult, Data, DeferredBody, Envelope, FieldErrors, Id, Nothing};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{audit, taken};
use crate::{
    AppState,
    capabilities::{Caller, Capability},
};

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(update, delete)).routes(routes!(set_active))
}

/// An academic year: 2025 is 2025/2026.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TahunAjaran {
    pub id: Uuid,
    pub tahun_mulai: i32,
    pub is_active: bool,
    pub promotion_month: i32,
    pub promotion_day: i32,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

#[derive(Debug, Deserialize, ToSchema)]
struct YearInput {
    /// 2000 to 2100.
    tahun_mulai: Option<i32>,
    /// 1 to 12; absent: 7.
    promotion_month: Option<i32>,
    /// A day of that month, 29 February among them; absent: 1.
    promotion_day: Option<i32>,
    is_active: Option<bool>,
}

impl YearInput {
    /// `tahun_mulai` is asked for where there is none yet; month and day are looked at as the pair they become.
    fn check(&self, before: Option<&TahunAjaran>) -> ApiResult<()> {
        let mut errors = FieldErrors::new();
        match self.tahun_mulai {
            Some(2000..=2100) => {}
            None if before.is_some() => {}
            None => errors.add("tahun_mulai", "Tahun mulai wajib diisi"),
            Some(_) => errors.add("tahun_mulai", "Tahun mulai harus antara 2000 dan 2100"),
        }
        let month = self.promotion_month.or(before.map(|year| year.promotion_month)).unwrap_or(7);
        let day = self.promotion_day.or(before.map(|year| year.promotion_day)).unwrap_or(1);
        match last_day(month) {
            None => errors.add("promotion_month", "Bulan kenaikan kelas harus antara 1 dan 12"),
            Some(last) if !(1..=last).contains(&day) => {
                errors.add("promotion_day", format!("Tanggal kenaikan kelas harus antara 1 dan {last}"));
            }
            Some(_) => {}
        }
        errors.finish()
    }
}

/// In a leap year.
fn last_day(month: i32) -> Option<i32> {
    Some(match month {
        2 => 29,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    })
}

/// All academic years, the newest first.
#[utoipa::path(
    get,
    path = "/api/v1/admin/tahun-ajaran",
    tag = "admin academic",
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Vec<TahunAjaran>>)),
)]
async fn list(State(app): State<AppState>, caller: Caller) -> ApiResult<Data<Vec<TahunAjaran>>> {
    caller.require_any(&[Capability::AcademicYears, Capability::Classes])?;
    let years = sqlx::query_as!(
        TahunAjaran,
        "
        select id, tahun_mulai, is_active, promotion_month, promotion_day, created_at, updated_at
        from tahun_ajaran
        where deleted_at is null
        order by tahun_mulai desc
        ",
    )
    .fetch_all(&app.db)
    .await?;
    Ok(Data::new(years))
}

/// Creates an academic year.
#[utoipa::path(
    post,
    path = "/api/v1/admin/tahun-ajaran",
    tag = "admin academic",
    request_body = YearInput,
    security(("bearer" = [])),
    responses((status = 201, body = Envelope<TahunAjaran>)),
)]
async fn create(
    State(app): State<AppState>,
    caller: Caller,
    body: DeferredBody<YearInput>,
) -> ApiResult<Data<TahunAjaran>> {
    caller.require(Capability::AcademicYears)?;
    let body = body.read().await?;
    body.check(None)?;

    let id = Uuid::now_v7();
    let mut tx = app.db.begin().await?;
    serialise(&mut tx).await?;
    sqlx::query!(
        "
        insert into tahun_ajaran (id, tahun_mulai, promotion_month, promotion_day)
        values ($1, $2, coalesce($3, 7), coalesce($4, 1))
        ",
        id,
        body.tahun_mulai,
        body.promotion_month,
        body.promotion_day,
    )
    .execute(&mut *tx)
    .await
    .map_err(duplicate)?;
    if body.is_active == Some(true) {
        activate(&mut tx, id).await?;
    }
    audit::record(&mut tx, caller.id, "tahun_ajaran.create", id, &["tahun_mulai", "is_active"]).await?;
    let year = lock(&mut tx, id).await?;
    tx.commit().await?;
    Ok(Data::created(year).message("Tahun ajaran berhasil dibuat"))
}

/// Changes an academic year. What is sent as it is stored changes nothing.
#[utoipa::path(
    patch,
    path = "/api/v1/admin/tahun-ajaran/{id}",
    tag = "admin academic",
    params(("id" = Uuid, Path)),
    request_body = YearInput,
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<TahunAjaran>)),
)]
async fn update(
    State(app): State<AppState>,
    caller: Caller,
    Id(id): Id,
    body: DeferredBody<YearInput>,
) -> ApiResult<Data<TahunAjaran>> {
    caller.require(Capability::AcademicYears)?;
    let before = lock(&mut *app.db.acquire().await?, id).await?;
    let body = body.read().await?;
    body.check(Some(&before))?;

    let mut tx = app.db.begin().await?;
    serialise(&mut tx).await?;
    let before = lock(&mut tx, id).await?;
    body.check(Some(&before))?;
    let tahun_mulai = body.tahun_mulai.filter(|year| *year != before.tahun_mulai);
    let month = body.promotion_month.filter(|month| *month != before.promotion_month);
    let day = body.promotion_day.filter(|day| *day != before.promotion_day);
    if body.is_active == Some(false) && before.is_active {
        return Err(is_active("Tahun ajaran aktif tidak dapat dinonaktifkan, aktifkan tahun ajaran lain"));
    }
    if tahun_mulai.is_some() && is_promoted(&mut tx, id).await? {
        return Err(ApiError::conflict("TAHUN_AJARAN_IN_USE", "Kenaikan kelas tahun ajaran ini sudah dijalankan"));
    }
    let becomes_active = body.is_active == Some(true) && !before.is_active;
    let changed: Vec<&str> = [
        tahun_mulai.is_some().then_some("tahun_mulai"),
        month.is_some().then_some("promotion_month"),
        day.is_some().then_some("promotion_day"),
        becomes_active.then_some("is_active"),
    ]
    .into_iter()
    .flatten()
    .collect();
    if changed.is_empty() {
        return Ok(Data::new(before));
    }
    // A new date counts from now on: one that has passed promotes nobody.
    sqlx::query!(
        "
        update tahun_ajaran
        set tahun_mulai = coalesce($2, tahun_mulai),
            promotion_month = coalesce($3, promotion_month),
            promotion_day = coalesce($4, promotion_day),
            armed_at = case when armed_at is not null and $5 then now() else armed_at end,
            updated_at = now()
        where id = $1
        ",
        id,
        tahun_mulai,
        month,
        day,
        month.is_some() || day.is_some(),
    )
    .execute(&mut *tx)
    .await
    .map_err(duplicate)?;
    if becomes_active {
        activate(&mut tx, id).await?;
    }
    audit::record(&mut tx, caller.id, "tahun_ajaran.update", id, &changed).await?;
    let year = lock(&mut tx, id).await?;
    tx.commit().await?;
    Ok(Data::new(year).message("Tahun ajaran berhasil diperbarui"))
}

/// Makes the year the active one. Nobody is promoted by this.
#[utoipa::path(
    post,
    path = "/api/v1/admin/tahun-ajaran/{id}/set-active",
    tag = "admin academic",
    params(("id" = Uuid, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<TahunAjaran>)),
)]
async fn set_active(State(app): State<AppState>, caller: Caller, Id(id): Id) -> ApiResult<Data<TahunAjaran>> {
    caller.require(Capability::AcademicYears)?;
    let mut tx = app.db.begin().await?;
    serialise(&mut tx).await?;
    let before = lock(&mut tx, id).await?;
    if !before.is_active {
        activate(&mut tx, id).await?;
        audit::record(&mut tx, caller.id, "tahun_ajaran.set_active", id, &["is_active"]).await?;
    }
    let year = lock(&mut tx, id).await?;
    tx.commit().await?;
    Ok(Data::new(year).message("Tahun ajaran aktif berhasil diganti"))
}

/// Deletes a year that nothing refers to.
#[utoipa::path(
    delete,
    path = "/api/v1/admin/tahun-ajaran/{id}",
    tag = "admin academic",
    params(("id" = Uuid, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Nothing>)),
)]
async fn delete(State(app): State<AppState>, caller: Caller, Id(id): Id) -> ApiResult<Data<()>> {
    caller.require(Capability::AcademicYears)?;
    let mut tx = app.db.begin().await?;
    // Whoever creates a class locks it, too.
    let year = lock(&mut tx, id).await?;
    if year.is_active {
        return Err(is_active("Tahun ajaran aktif tidak dapat dihapus"));
    }
    let used = sqlx::query_scalar!(
        r#"
        select exists (select from kelas where tahun_ajaran_id = $1 and deleted_at is null)
            or exists (select from riwayat_kelas where tahun_ajaran_id = $1) as "used!"
        "#,
        id,
    )
    .fetch_one(&mut *tx)
    .await?;
    if used {
        return Err(ApiError::conflict("TAHUN_AJARAN_IN_USE", "Tahun ajaran masih dipakai"));
    }
    sqlx::query!("update tahun_ajaran set deleted_at = now(), updated_at = now() where id = $1", id)
        .execute(&mut *tx)
        .await?;
    audit::record(&mut tx, caller.id, "tahun_ajaran.delete", id, &[]).await?;
    tx.commit().await?;
    Ok(Data::none().message("Tahun ajaran berhasil dihapus"))
}

/// Two requests that activate different years would lock these in the opposite order. The promotion takes it as well.
pub async fn serialise(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    /// Number of the advisory lock.
    const LOCK: i64 = 0x706f_7274_0002;
    sqlx::query!("select pg_advisory_xact_lock($1)", LOCK).execute(connection).await.map(drop)
}

/// Makes this year the only active one, and arms it.
async fn activate(connection: &mut PgConnection, id: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!("update tahun_ajaran set is_active = false, updated_at = now() where is_active and id <> $1", id)
        .execute(&mut *connection)
        .await?;
    sqlx::query!("update tahun_ajaran set is_active = true, armed_at = now(), updated_at = now() where id = $1", id)
        .execute(connection)
        .await
        .map(drop)
}

async fn is_promoted(connection: &mut PgConnection, id: Uuid) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        select exists (
            select from promotion_runs where from_tahun_ajaran_id = $1 or to_tahun_ajaran_id = $1
        ) as "promoted!"
        "#,
        id,
    )
    .fetch_one(connection)
    .await
}

async fn lock(connection: &mut PgConnection, id: Uuid) -> ApiResult<TahunAjaran> {
    let found = sqlx::query_as!(
        TahunAjaran,
        "
        select id, tahun_mulai, is_active, promotion_month, promotion_day, created_at, updated_at
        from tahun_ajaran
        where id = $1 and deleted_at is null
        for update
        ",
        id,
    )
    .fetch_optional(connection)
    .await?;
    found.ok_or_else(|| ApiError::not_found("NOT_FOUND", "Tahun ajaran tidak ditemukan"))
}

fn is_active(message: &'static str) -> ApiError {
    ApiError::conflict("TAHUN_AJARAN_ACTIVE", message)
}

fn duplicate(error: sqlx::Error) -> ApiError {
    taken(error, "tahun_ajaran_tahun_mulai_key", "DUPLICATE_TAHUN", "Tahun ajaran sudah ada")
}
