use axum::extract::State;
use grafikarsa_http::{ApiResult, Data, Envelope, Id, Nothing};

use super::{pictures, write};
use crate::{
    AppState,
    admin::audit,
    capabilities::{Caller, Capability},
    changelogs::not_found,
};

/// Deletes a changelog with the marks of its readers, and lets its pictures go.
#[utoipa::path(
    delete,
    path = "/api/v1/admin/changelogs/{id}",
    tag = "admin changelogs",
    params(("id" = Uuid, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Nothing>)),
)]
pub async fn delete(State(app): State<AppState>, caller: Caller, Id(id): Id) -> ApiResult<Data<()>> {
    caller.require(Capability::Changelog)?;
    let mut tx = app.db.begin().await?;
    let deleted = sqlx::query!(
        "update changelogs set deleted_at = now(), updated_at = now() where id = $1 and deleted_at is null",
        id,
    )
    .execute(&mut *tx)
    .await?;
    if deleted.rows_affected() == 0 {
        return Err(not_found());
    }
    sqlx::query!("delete from changelog_reads where changelog_id = $1", id).execute(&mut *tx).await?;
    let pictures = write::own_objects(&mut tx, id).await?;
    pictures::release(&mut tx, id, pictures.into_iter().collect()).await?;
    audit::record(&mut tx, caller.id, "changelog.delete", id, &[]).await?;
    tx.commit().await?;
    Ok(Data::none().message("Changelog berhasil dihapus"))
}
