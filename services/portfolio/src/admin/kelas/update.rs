use axum::extract::State;
use grafikarsa_http::{ApiResult, Data, DeferredBody, Envelope, FieldErrors, Id};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::KelasDetail;
use crate::{
    AppState,
    admin::audit,
    capabilities::{Caller, Capability},
};

#[derive(Debug, Deserialize, ToSchema)]
pub struct KelasChange {
    /// 10, 11 or 12.
    tingkat: Option<i32>,
    /// One letter.
    rombel: Option<String>,
    jurusan_id: Option<Uuid>,
}

/// Changes a class; its students stay in it.
#[utoipa::path(
    patch,
    path = "/api/v1/admin/kelas/{id}",
    tag = "admin academic",
    params(("id" = Uuid, Path)),
    request_body = KelasChange,
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<KelasDetail>)),
)]
pub async fn update(
    State(app): State<AppState>,
    caller: Caller,
    Id(id): Id,
    body: DeferredBody<KelasChange>,
) -> ApiResult<Data<KelasDetail>> {
    caller.require(Capability::Classes)?;
    super::load(&mut *app.db.acquire().await?, id).await?;
    let body = body.read().await?;
    let mut errors = FieldErrors::new();
    let tingkat = body.tingkat.map(|tingkat| super::tingkat(&mut errors, Some(tingkat)));
    let rombel = body.rombel.as_deref().map(|rombel| super::rombel(&mut errors, Some(rombel)));

    let mut tx = app.db.begin().await?;
    // The major first, as whoever changes a major locks it before its classes.
    if let Some(jurusan) = body.jurusan_id
        && !super::hold_jurusan(&mut tx, jurusan).await?
    {
        errors.add("jurusan_id", "Jurusan tidak ditemukan");
    }
    errors.finish()?;
    let before = super::lock(&mut tx, id).await?;
    let tingkat = tingkat.filter(|tingkat| *tingkat != before.tingkat);
    let rombel = rombel.filter(|rombel| *rombel != before.rombel);
    let jurusan = body.jurusan_id.filter(|jurusan| *jurusan != before.jurusan_id);
    let changed: Vec<&str> = [
        tingkat.is_some().then_some("tingkat"),
        rombel.is_some().then_some("rombel"),
        jurusan.is_some().then_some("jurusan_id"),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !changed.is_empty() {
        sqlx::query!(
            "
            update kelas k
            set tingkat = coalesce($2, k.tingkat),
                rombel = coalesce($3, k.rombel),
                jurusan_id = j.id,
                nama = kelas_nama(coalesce($2, k.tingkat), j.kode, coalesce($3, k.rombel)),
                updated_at = now()
            from jurusan j
            where k.id = $1 and j.id = coalesce($4, k.jurusan_id)
            ",
            id,
            tingkat,
            rombel,
            jurusan,
        )
        .execute(&mut *tx)
        .await
        .map_err(super::duplicate)?;
        audit::record(&mut tx, caller.id, "kelas.update", id, &changed).await?;
    }
    let kelas = super::load(&mut tx, id).await?;
    tx.commit().await?;
    Ok(Data::new(kelas).message("Kelas berhasil diperbarui"))
}
