use axum::extract::State;
use grafikarsa_http::{ApiResult, Data, Envelope, Id, Nothing};

use crate::{
    AppState,
    admin::audit,
    capabilities::{Caller, Capability},
};

/// Deletes a template. Portfolios made with it stay, without it.
#[utoipa::path(
    delete,
    path = "/api/v1/admin/series/{id}",
    tag = "admin content",
    params(("id" = Uuid, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Nothing>)),
)]
pub async fn delete(State(app): State<AppState>, caller: Caller, Id(id): Id) -> ApiResult<Data<()>> {
    caller.require(Capability::Series)?;
    let mut tx = app.db.begin().await?;
    // Portfolios first and in the order of their ids, as views and likes lock them; then the template, against whoever is
    // just choosing it.
    sqlx::query!("select id from portfolios where series_id = $1 order by id for no key update", id)
        .fetch_all(&mut *tx)
        .await?;
    sqlx::query!("select id from series where id = $1 for update", id).fetch_optional(&mut *tx).await?;
    let deleted = sqlx::query!(
        "update series set deleted_at = now(), updated_at = now() where id = $1 and deleted_at is null",
        id,
    )
    .execute(&mut *tx)
    .await?;
    if deleted.rows_affected() == 0 {
        return Err(super::not_found());
    }
    sqlx::query!("update portfolios set series_id = null where series_id = $1", id).execute(&mut *tx).await?;
    audit::record(&mut tx, caller.id, "series.delete", id, &[]).await?;
    tx.commit().await?;
    Ok(Data::none().message("Series berhasil dihapus"))
}
