use axum::extract::State;
use grafikarsa_http::{ApiResult, Data, Envelope, Id, Nothing};

use crate::{AppState, capabilities::Caller};

/// Deletes a notification for the caller. Its key stays, so that nobody is told the same again.
#[utoipa::path(
    delete,
    path = "/api/v1/notifications/{id}",
    tag = "notifications",
    params(("id" = Uuid, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Nothing>)),
)]
pub async fn delete(State(app): State<AppState>, caller: Caller, Id(id): Id) -> ApiResult<Data<()>> {
    let deleted = sqlx::query!(
        "update notifications set deleted_at = now() where id = $1 and user_id = $2 and deleted_at is null",
        id,
        caller.id,
    )
    .execute(&app.db)
    .await?;
    if deleted.rows_affected() == 0 {
        return Err(super::not_found());
    }
    Ok(Data::none().message("Notifikasi dihapus"))
}
