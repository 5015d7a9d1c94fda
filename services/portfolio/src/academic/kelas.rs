use axum::extract::State;
use grafikarsa_http::{ApiError, ApiResult, Data, Envelope, Query};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::JurusanRef;
use crate::{AppState, portfolios::filters};

#[derive(Debug, Deserialize, IntoParams)]
pub struct Filter {
    /// Only classes of this major.
    jurusan_id: Option<String>,
    /// 10, 11 or 12.
    tingkat: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct KelasPublic {
    id: Uuid,
    nama: String,
    tingkat: i32,
    jurusan: JurusanRef,
}

/// The classes of the active academic year.
#[utoipa::path(
    get,
    path = "/api/v1/kelas",
    tag = "academic",
    params(Filter),
    responses((status = 200, body = Envelope<Vec<KelasPublic>>)),
)]
pub async fn list(State(app): State<AppState>, Query(filter): Query<Filter>) -> ApiResult<Data<Vec<KelasPublic>>> {
    let jurusan_id = filters::uuid("jurusan_id", filter.jurusan_id.as_deref())?;
    let tingkat = match filter.tingkat.as_deref().map(str::trim) {
        None | Some("") => None,
        Some("10") => Some(10),
        Some("11") => Some(11),
        Some("12") => Some(12),
        Some(_) => return Err(ApiError::syntax("tingkat", "Tingkat harus 10, 11, atau 12")),
    };
    let rows = sqlx::query!(
        "
        select k.id, k.nama, k.tingkat, j.id as jurusan_id, j.nama as jurusan_nama, j.kode as jurusan_kode
        from kelas k
        join tahun_ajaran t on t.id = k.tahun_ajaran_id and t.is_active and t.deleted_at is null
        join jurusan j on j.id = k.jurusan_id and j.deleted_at is null
        where k.deleted_at is null
            and ($1::uuid is null or k.jurusan_id = $1)
            and ($2::integer is null or k.tingkat = $2)
        order by k.tingkat, k.nama, k.id
        ",
        jurusan_id,
        tingkat,
    )
    .fetch_all(&app.db)
    .await?;
    let kelas = rows.into_iter().map(|row| KelasPublic {
        id: row.id,
        nama: row.nama,
        tingkat: row.tingkat,
        jurusan: JurusanRef { id: row.jurusan_id, nama: row.jurusan_nama, kode: row.jurusan_kode },
    });
    Ok(Data::new(kelas.collect()))
}
