use axum::extract::State;
use grafikarsa_http::{ApiResult, Data, Envelope, Id, Nothing};

use super::not_found;
use crate::{
    AppState,
    admin::audit,
    capabilities::{Caller, Capability},
};

/// Deletes a message for good. What its author was told of it stays.
#[utoipa::path(
    delete,
    path = "/api/v1/admin/feedback/{id}",
    tag = "feedback",
    operation_id = "delete_feedback",
    params(("id" = uuid::Uuid, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Nothing>)),
)]
pub async fn delete(State(app): State<AppState>, caller: Caller, Id(id): Id) -> ApiResult<Data<()>> {
    caller.require(Capability::Feedback)?;
    let mut tx = app.db.begin().await?;
    let deleted = sqlx::query!("delete from feedback where id = $1", id).execute(&mut *tx).await?;
    if deleted.rows_affected() == 0 {
        return Err(not_found());
    }
    audit::record(&mut tx, caller.id, "feedback.delete", id, &[]).await?;
    tx.commit().await?;
    Ok(Data::none().message("Feedback berhasil dihapus"))
}
