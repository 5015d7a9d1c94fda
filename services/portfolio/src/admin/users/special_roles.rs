use std::collections::BTreeSet;

use axum::extract::State;
use grafikarsa_http::{ApiError, ApiResult, Data, DeferredBody, Envelope, FieldError, Id, Nothing};
use serde::Deserialize;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    AppState,
    admin::{
        audit,
        special_roles::{Filter, Holder, SpecialRole, escalation, own_roles},
    },
    capabilities::{Caller, Capability},
    users::find::not_found,
};

const MOST_ROLES: usize = 50;

#[derive(Debug, Deserialize, ToSchema)]
pub struct RoleSet {
    /// Replaces the whole set; at most 50. An inactive role may stay, and is given to nobody anew.
    special_role_ids: Option<Vec<Uuid>>,
}

/// The special roles of a user by name, inactive ones too.
#[utoipa::path(
    get,
    path = "/api/v1/admin/users/{id}/special-roles",
    tag = "admin users",
    params(("id" = Uuid, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Vec<SpecialRole>>)),
)]
pub async fn list(State(app): State<AppState>, caller: Caller, Id(id): Id) -> ApiResult<Data<Vec<SpecialRole>>> {
    caller.require_any(&[Capability::Users, Capability::SpecialRoles])?;
    Holder::find(&app.db, id).await?.ok_or_else(not_found)?;
    let filter = Filter { user: Some(id), ..Filter::default() };
    Ok(Data::new(SpecialRole::fetch(&app.db, &filter).await?))
}

/// Makes these the special roles of a user. What he has already stays as it was given to him.
#[utoipa::path(
    put,
    path = "/api/v1/admin/users/{id}/special-roles",
    tag = "admin users",
    params(("id" = Uuid, Path)),
    request_body = RoleSet,
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Nothing>)),
)]
pub async fn replace(
    State(app): State<AppState>,
    caller: Caller,
    Id(id): Id,
    body: DeferredBody<RoleSet>,
) -> ApiResult<Data<()>> {
    caller.require(Capability::Users)?;
    Holder::find(&app.db, id).await?.ok_or_else(not_found)?.must_be_changeable_by(&caller)?;
    let wanted = check(body.read().await?)?;

    let mut tx = app.db.begin().await?;
    let holder = Holder::lock(&mut tx, &[id]).await?.pop().ok_or_else(not_found)?;
    holder.must_be_changeable_by(&caller)?;
    let roles = lock_roles(&mut tx, id, &wanted).await?;
    let change = decide(&caller, id, &wanted, &roles)?;
    if !change.is_empty() {
        write(&mut tx, caller.id, id, &change).await?;
        audit::record(&mut tx, caller.id, "user.special_roles", id, &["special_roles"]).await?;
    }
    tx.commit().await?;
    app.callers.forget(id).await;
    Ok(Data::none().message("Special role pengguna berhasil diperbarui"))
}

fn check(body: RoleSet) -> ApiResult<BTreeSet<Uuid>> {
    let Some(ids) = body.special_role_ids else { return Err(broken("Special role wajib diisi")) };
    let ids: BTreeSet<Uuid> = ids.into_iter().collect();
    if ids.len() > MOST_ROLES { Err(broken("Maksimal 50 special role")) } else { Ok(ids) }
}

fn broken(message: &str) -> ApiError {
    ApiError::invalid(vec![FieldError { field: "special_role_ids".to_owned(), message: message.to_owned() }])
}

/// A role that the user has or shall have.
#[derive(Debug)]
struct Candidate {
    id: Uuid,
    capabilities: Vec<String>,
    is_active: bool,
    assigned: bool,
}

/// Locks them, so that each stays what the decision saw. Only whoever holds the user's lock may ask.
async fn lock_roles(
    connection: &mut PgConnection,
    user: Uuid,
    wanted: &BTreeSet<Uuid>,
) -> Result<Vec<Candidate>, sqlx::Error> {
    let wanted: Vec<Uuid> = wanted.iter().copied().collect();
    sqlx::query_as!(
        Candidate,
        r#"
        select r.id, r.capabilities, r.is_active, a.user_id is not null as "assigned!"
        from special_roles r
        left join user_special_roles a on a.special_role_id = r.id and a.user_id = $1
        where r.deleted_at is null and (r.id = any($2) or a.user_id is not null)
        order by r.id
        for share of r
        "#,
        user,
        &wanted,
    )
    .fetch_all(connection)
    .await
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Change {
    added: Vec<Uuid>,
    removed: Vec<Uuid>,
}

impl Change {
    fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }
}

/// What is to change, if the caller may change it. The form sends the whole set at every save, so that an unchanged
/// one is nobody's offence, whatever it holds.
fn decide(caller: &Caller, user: Uuid, wanted: &BTreeSet<Uuid>, roles: &[Candidate]) -> ApiResult<Change> {
    let possible = roles.iter().filter(|role| role.is_active || role.assigned);
    let possible: BTreeSet<Uuid> = possible.map(|role| role.id).collect();
    if !wanted.is_subset(&possible) {
        return Err(broken("Special role tidak ditemukan atau tidak aktif"));
    }
    let mut change = Change::default();
    for role in roles {
        let list = match (role.assigned, wanted.contains(&role.id)) {
            (false, true) => &mut change.added,
            (true, false) => &mut change.removed,
            _ => continue,
        };
        if user == caller.id && !caller.is_admin() {
            return Err(own_roles());
        }
        if !caller.covers(&role.capabilities) {
            return Err(escalation());
        }
        list.push(role.id);
    }
    Ok(change)
}

async fn write(connection: &mut PgConnection, actor: Uuid, user: Uuid, change: &Change) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from user_special_roles where user_id = $1 and special_role_id = any($2)",
        user,
        &change.removed,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "
        insert into user_special_roles (user_id, special_role_id, assigned_by)
        select $1, unnest($2::uuid[]), $3
        ",
        user,
        &change.added,
        actor,
    )
    .execute(connection)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use grafikarsa_jwt::Role;

    use super::*;

    const TAGS: Uuid = Uuid::from_u128(1);
    const ADMINISTRATION: Uuid = Uuid::from_u128(2);
    const RETIRED: Uuid = Uuid::from_u128(3);
    const RETIRED_HELD: Uuid = Uuid::from_u128(4);
    const HELD: Uuid = Uuid::from_u128(5);
    const UNKNOWN: Uuid = Uuid::from_u128(6);
    const CALLER: Uuid = Uuid::from_u128(10);
    const OTHER: Uuid = Uuid::from_u128(11);

    fn decided(caller: &Caller, user: Uuid, wanted: &[Uuid]) -> Result<Change, String> {
        let role = |id, keys: &[&str], is_active, assigned| Candidate {
            id,
            capabilities: keys.iter().map(|&key| key.to_owned()).collect(),
            is_active,
            assigned,
        };
        let roles = [
            role(TAGS, &["tags"], true, false),
            role(ADMINISTRATION, &["users", "special_roles"], true, false),
            role(RETIRED, &["tags"], false, false),
            role(RETIRED_HELD, &["tags"], false, true),
            role(HELD, &["majors"], true, true),
        ];
        decide(caller, user, &wanted.iter().copied().collect(), &roles).map_err(|error| error.code().to_owned())
    }

    #[test]
    fn what_changes_and_who_may_change_it() {
        let admin = Caller::for_test(CALLER, Role::Admin, &[]);
        let holder = Caller::for_test(CALLER, Role::Student, &["users", "tags"]);
        let same = [RETIRED_HELD, HELD];
        let change = |added: &[Uuid], removed: &[Uuid]| Ok(Change { added: added.to_vec(), removed: removed.to_vec() });
        for (caller, user, wanted, expected) in [
            (&admin, OTHER, &[TAGS, ADMINISTRATION][..], change(&[TAGS, ADMINISTRATION], &same)),
            (&admin, CALLER, &[], change(&[], &same)),
            (&admin, OTHER, &[UNKNOWN, RETIRED_HELD, HELD], Err("VALIDATION_ERROR".to_owned())),
            (&admin, OTHER, &[RETIRED], Err("VALIDATION_ERROR".to_owned())),
            (&holder, OTHER, &same, change(&[], &[])),
            (&holder, CALLER, &same, change(&[], &[])),
            (&holder, CALLER, &[TAGS, RETIRED_HELD, HELD], Err("CANNOT_MODIFY_SELF".to_owned())),
            (&holder, CALLER, &[HELD], Err("CANNOT_MODIFY_SELF".to_owned())),
            (&holder, OTHER, &[TAGS, HELD], change(&[TAGS], &[RETIRED_HELD])),
            (&holder, OTHER, &[RETIRED_HELD], Err("CAPABILITY_ESCALATION".to_owned())),
            (&holder, OTHER, &[ADMINISTRATION, RETIRED_HELD, HELD], Err("CAPABILITY_ESCALATION".to_owned())),
        ] {
            assert_eq!(decided(caller, user, wanted), expected, "{wanted:?}");
        }
    }
}
