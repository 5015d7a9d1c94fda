use axum::extract::State;
use grafikarsa_http::{ApiError, ApiResult, Data, Envelope, Id, Nothing};

use crate::{
    AppState,
    admin::audit,
    capabilities::{Caller, Capability},
};

/// Deletes a class that nobody is in. Those who were in it keep it in their history.
#[utoipa::path(
    delete,
    path = "/api/v1/admin/kelas/{id}",
    tag = "admin academic",
    params(("id" = Uuid, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Nothing>)),
)]
pub async fn delete(State(app): State<AppState>, caller: Caller, Id(id): Id) -> ApiResult<Data<()>> {
    caller.require(Capability::Classes)?;
    let mut tx = app.db.begin().await?;
    // Whoever puts a student into it locks it, too.
    super::lock(&mut tx, id).await?;
    let used = sqlx::query_scalar!(
        r#"select exists (select from users where kelas_id = $1 and deleted_at is null) as "used!""#,
        id,
    )
    .fetch_one(&mut *tx)
    .await?;
    if used {
        return Err(ApiError::conflict("KELAS_IN_USE", "Kelas masih memiliki siswa"));
    }
    sqlx::query!("update kelas set deleted_at = now(), updated_at = now() where id = $1", id).execute(&mut *tx).await?;
    audit::record(&mut tx, caller.id, "kelas.delete", id, &[]).await?;
    tx.commit().await?;
    Ok(Data::none().message("Kelas berhasil dihapus"))
}
