use axum::extract::State;
use grafikarsa_http::{ApiError, ApiResult, Data, Envelope, Id, Nothing};

use super::not_found;
use crate::{
    AppState,
    admin::audit,
    capabilities::{Caller, Capability},
};

/// Deletes a metric that no assessment uses.
#[utoipa::path(
    delete,
    path = "/api/v1/admin/assessment-metrics/{id}",
    tag = "assessments",
    operation_id = "delete_assessment_metric",
    params(("id" = uuid::Uuid, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Nothing>)),
)]
pub async fn delete(State(app): State<AppState>, caller: Caller, Id(id): Id) -> ApiResult<Data<()>> {
    caller.require(Capability::AssessmentMetrics)?;
    let mut tx = app.db.begin().await?;
    // Whoever scores with it holds it, too: either that is done and found below, or it begins after this and finds none.
    let held = sqlx::query!("select id from assessment_metrics where id = $1 and deleted_at is null for update", id);
    held.fetch_optional(&mut *tx).await?.ok_or_else(not_found)?;
    let used =
        sqlx::query_scalar!(r#"select exists (select from assessment_scores where metric_id = $1) as "used!""#, id,)
            .fetch_one(&mut *tx)
            .await?;
    if used {
        return Err(ApiError::conflict("METRIC_IN_USE", "Metrik sudah digunakan dalam penilaian"));
    }
    sqlx::query!("update assessment_metrics set deleted_at = now(), updated_at = now() where id = $1", id)
        .execute(&mut *tx)
        .await?;
    audit::record(&mut tx, caller.id, "assessment_metric.delete", id, &[]).await?;
    tx.commit().await?;
    Ok(Data::none().message("Metrik berhasil dihapus"))
}
