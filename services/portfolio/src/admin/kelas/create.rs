use axum::extract::State;
use grafikarsa_http::{ApiResult, Data, DeferredBody, Envelope, FieldErrors};
use serde::Deserialize;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::KelasDetail;
use crate::{
    AppState,
    admin::audit,
    capabilities::{Caller, Capability},
};

#[derive(Debug, Deserialize, ToSchema)]
pub struct NewKelas {
    /// 10, 11 or 12.
    tingkat: Option<i32>,
    /// One letter.
    rombel: Option<String>,
    jurusan_id: Option<Uuid>,
    /// Absent: the active year.
    tahun_ajaran_id: Option<Uuid>,
}

/// Creates a class.
#[utoipa::path(
    post,
    path = "/api/v1/admin/kelas",
    tag = "admin academic",
    request_body = NewKelas,
    security(("bearer" = [])),
    responses((status = 201, body = Envelope<KelasDetail>)),
)]
pub async fn create(
    State(app): State<AppState>,
    caller: Caller,
    body: DeferredBody<NewKelas>,
) -> ApiResult<Data<KelasDetail>> {
    caller.require(Capability::Classes)?;
    let body = body.read().await?;
    let mut errors = FieldErrors::new();
    let tingkat = super::tingkat(&mut errors, body.tingkat);
    let rombel = super::rombel(&mut errors, body.rombel.as_deref());

    let mut tx = app.db.begin().await?;
    match body.jurusan_id {
        None => errors.add("jurusan_id", "Jurusan wajib diisi"),
        Some(id) if !super::hold_jurusan(&mut tx, id).await? => errors.add("jurusan_id", "Jurusan tidak ditemukan"),
        Some(_) => {}
    }
    let year = hold_year(&mut tx, body.tahun_ajaran_id).await?;
    if year.is_none() {
        let message = match body.tahun_ajaran_id {
            Some(_) => "Tahun ajaran tidak ditemukan",
            None => "Belum ada tahun ajaran aktif",
        };
        errors.add("tahun_ajaran_id", message);
    }
    errors.finish()?;
    let id = Uuid::now_v7();
    sqlx::query!(
        "
        insert into kelas (id, tahun_ajaran_id, jurusan_id, tingkat, rombel, nama)
        select $1, $2, j.id, $4, $5, kelas_nama($4, j.kode, $5)
        from jurusan j
        where j.id = $3
        ",
        id,
        year,
        body.jurusan_id,
        tingkat,
        rombel,
    )
    .execute(&mut *tx)
    .await
    .map_err(super::duplicate)?;
    let fields = ["tingkat", "rombel", "jurusan_id", "tahun_ajaran_id"];
    audit::record(&mut tx, caller.id, "kelas.create", id, &fields).await?;
    let kelas = super::load(&mut tx, id).await?;
    tx.commit().await?;
    Ok(Data::created(kelas).message("Kelas berhasil dibuat"))
}

/// The year, or the active one, kept as it is until the transaction ends.
async fn hold_year(connection: &mut PgConnection, id: Option<Uuid>) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "
        select id
        from tahun_ajaran
        where deleted_at is null and (id = $1 or ($1::uuid is null and is_active))
        for share
        ",
        id,
    )
    .fetch_optional(connection)
    .await
}
