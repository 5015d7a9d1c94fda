use axum::extract::State;
use grafikarsa_http::{ApiResult, Data, Envelope, Id, Nothing};

use super::definition::Definition;
use crate::{
    AppState,
    admin::audit,
    capabilities::{Caller, Capability},
};

/// Deletes a special role, and takes it from everybody.
#[utoipa::path(
    delete,
    path = "/api/v1/admin/special-roles/{id}",
    tag = "special roles",
    params(("id" = Uuid, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Nothing>)),
)]
pub async fn delete(State(app): State<AppState>, caller: Caller, Id(id): Id) -> ApiResult<Data<()>> {
    caller.require(Capability::SpecialRoles)?;
    let mut tx = app.db.begin().await?;
    Definition::lock(&mut tx, id).await?.must_be_within(&caller)?;
    sqlx::query!("update special_roles set deleted_at = now(), updated_at = now() where id = $1", id)
        .execute(&mut *tx)
        .await?;
    sqlx::query!("delete from user_special_roles where special_role_id = $1", id).execute(&mut *tx).await?;
    audit::record(&mut tx, caller.id, "special_role.delete", id, &["deleted_at", "users"]).await?;
    tx.commit().await?;
    app.callers.forget_all();
    Ok(Data::none().message("Special role berhasil dihapus"))
}
