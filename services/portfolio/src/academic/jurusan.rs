use axum::extract::State;
use grafikarsa_http::{ApiResult, Data, Envelope};

use super::JurusanRef;
use crate::AppState;

/// All majors, by name.
#[utoipa::path(
    get,
    path = "/api/v1/jurusan",
    tag = "academic",
    responses((status = 200, body = Envelope<Vec<JurusanRef>>)),
)]
pub async fn list(State(app): State<AppState>) -> ApiResult<Data<Vec<JurusanRef>>> {
    let jurusan =
        sqlx::query_as!(JurusanRef, "select id, nama, kode from jurusan where deleted_at is null order by nama, id",)
            .fetch_all(&app.db)
            .await?;
    Ok(Data::new(jurusan))
}
