use axum::extract::State;
use grafikarsa_http::{ApiError, ApiResult, Data, DeferredBody, Envelope, FieldError, Id, Nothing};
use serde::Deserialize;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Holder, definition::Definition, own_roles};
use crate::{
    AppState,
    admin::audit,
    capabilities::{Caller, Capability},
};

const MOST_USERS: usize = 100;

#[derive(Debug, Deserialize, ToSchema)]
pub struct Assignment {
    /// 1 to 100 users.
    user_ids: Option<Vec<Uuid>>,
}

/// Gives a special role to users. Whoever has it already keeps it as it is.
#[utoipa::path(
    post,
    path = "/api/v1/admin/special-roles/{id}/users",
    tag = "special roles",
    params(("id" = Uuid, Path)),
    request_body = Assignment,
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Nothing>)),
)]
pub async fn assign(
    State(app): State<AppState>,
    caller: Caller,
    Id(id): Id,
    body: DeferredBody<Assignment>,
) -> ApiResult<Data<()>> {
    caller.require(Capability::SpecialRoles)?;
    Definition::find(&app.db, id).await?.must_be_within(&caller)?;
    let users = check(body.read().await?)?;

    let mut tx = app.db.begin().await?;
    let holders = Holder::lock(&mut tx, &users).await?;
    Definition::lock(&mut tx, id).await?.must_be_within(&caller)?;
    if holders.len() < users.len() {
        return Err(broken("Pengguna tidak ditemukan"));
    }
    for holder in &holders {
        holder.must_be_changeable_by(&caller)?;
    }
    let given = give(&mut tx, id, &users, caller.id).await?;
    // Nothing is committed yet, so a refusal here still leaves everything as it was.
    if given.contains(&caller.id) && !caller.is_admin() {
        return Err(own_roles());
    }
    if !given.is_empty() {
        audit::record(&mut tx, caller.id, "special_role.assign", id, &["users"]).await?;
        audit::record_each(&mut tx, caller.id, "user.special_roles", &given, &["special_roles"]).await?;
    }
    tx.commit().await?;
    for user in given {
        app.callers.forget(user).await;
    }
    Ok(Data::none().message("Special role berhasil diberikan"))
}

/// The users without duplicates.
fn check(body: Assignment) -> ApiResult<Vec<Uuid>> {
    let mut users = body.user_ids.unwrap_or_default();
    users.sort_unstable();
    users.dedup();
    if users.is_empty() {
        return Err(broken("Pilih minimal satu pengguna"));
    }
    if users.len() > MOST_USERS {
        return Err(broken("Maksimal 100 pengguna"));
    }
    Ok(users)
}

fn broken(message: &str) -> ApiError {
    ApiError::invalid(vec![FieldError { field: "user_ids".to_owned(), message: message.to_owned() }])
}

/// Returns those who did not have it.
async fn give(
    connection: &mut PgConnection,
    role: Uuid,
    users: &[Uuid],
    actor: Uuid,
) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "
        insert into user_special_roles (user_id, special_role_id, assigned_by)
        select unnest($2::uuid[]), $1, $3
        on conflict on constraint user_special_roles_pkey do nothing
        returning user_id
        ",
        role,
        users,
        actor,
    )
    .fetch_all(connection)
    .await
}
