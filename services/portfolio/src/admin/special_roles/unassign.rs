use axum::extract::State;
use grafikarsa_http::{ApiResult, Data, Envelope, Nothing, Path};
use uuid::Uuid;

use super::{Holder, definition::Definition, own_roles};
use crate::{
    AppState,
    admin::audit,
    capabilities::{Caller, Capability},
};

/// Takes a special role from a user. Whoever does not have it stays without it.
#[utoipa::path(
    delete,
    path = "/api/v1/admin/special-roles/{id}/users/{user_id}",
    tag = "special roles",
    params(("id" = Uuid, Path), ("user_id" = Uuid, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Nothing>)),
)]
pub async fn unassign(
    State(app): State<AppState>,
    caller: Caller,
    Path((id, user)): Path<(Uuid, Uuid)>,
) -> ApiResult<Data<()>> {
    caller.require(Capability::SpecialRoles)?;
    let mut tx = app.db.begin().await?;
    let holders = Holder::lock(&mut tx, &[user]).await?;
    let role = Definition::lock(&mut tx, id).await?;
    for holder in &holders {
        holder.must_be_changeable_by(&caller)?;
    }
    let taken = sqlx::query!("delete from user_special_roles where special_role_id = $1 and user_id = $2", id, user)
        .execute(&mut *tx)
        .await?
        .rows_affected()
        > 0;
    // Nothing is committed yet, so a refusal here still leaves everything as it was.
    if taken && user == caller.id && !caller.is_admin() {
        return Err(own_roles());
    }
    role.must_be_within(&caller)?;
    if taken {
        audit::record(&mut tx, caller.id, "special_role.unassign", id, &["users"]).await?;
        audit::record(&mut tx, caller.id, "user.special_roles", user, &["special_roles"]).await?;
    }
    tx.commit().await?;
    app.callers.forget(user).await;
    Ok(Data::none().message("Special role berhasil dicabut"))
}
