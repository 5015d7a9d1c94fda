use axum::extract::State;
use grafikarsa_http::{ApiError, ApiResult, Data, Envelope, Id, Nothing};

use super::{lock, must_not_be_owned_by};
use crate::{
    AppState,
    admin::audit,
    capabilities::{Caller, Capability},
};

/// Deletes the assessment of a portfolio in any status.
#[utoipa::path(
    delete,
    path = "/api/v1/admin/assessments/{portfolio_id}",
    tag = "assessments",
    operation_id = "delete_assessment",
    params(("portfolio_id" = uuid::Uuid, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Nothing>)),
)]
pub async fn delete(State(app): State<AppState>, caller: Caller, Id(id): Id) -> ApiResult<Data<()>> {
    caller.require(Capability::Assessments)?;
    let mut tx = app.db.begin().await?;
    let portfolio = lock(&mut tx, id).await?;
    must_not_be_owned_by(&caller, &portfolio)?;
    let deleted = sqlx::query!("delete from assessments where portfolio_id = $1", id).execute(&mut *tx).await?;
    if deleted.rows_affected() == 0 {
        return Err(ApiError::not_found("NOT_FOUND", "Penilaian tidak ditemukan"));
    }
    audit::record(&mut tx, caller.id, "assessment.delete", id, &[]).await?;
    tx.commit().await?;
    Ok(Data::none().message("Penilaian berhasil dihapus"))
}
