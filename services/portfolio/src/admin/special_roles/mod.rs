//! Special roles: named sets of capabilities that can be given to any user.
//!
//! Whoever changes the set of roles of users locks the users first, in the order of their ids, and then the roles: so
//! nobody waits in a circle, a role that is deleted meanwhile is given to nobody, and neither is a user.

use chrono::{DateTime, Utc};
use grafikarsa_http::{ApiError, ApiResult};
use grafikarsa_jwt::Role;
use serde::Serialize;
use sqlx::{PgConnection, PgExecutor};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{AppState, capabilities::Caller};

mod assign;
mod catalogue;
mod create;
mod definition;
mod delete;
mod detail;
mod list;
mod unassign;
mod update;

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list::list, create::create))
        .routes(routes!(list::active))
        .routes(routes!(catalogue::capabilities))
        .routes(routes!(detail::detail, update::update, delete::delete))
        .routes(routes!(assign::assign))
        .routes(routes!(unassign::unassign))
}

/// A special role.
#[derive(Debug, Serialize, ToSchema)]
pub struct SpecialRole {
    id: Uuid,
    nama: String,
    description: Option<String>,
    color: String,
    capabilities: Vec<String>,
    /// An inactive role gives no capability.
    is_active: bool,
    /// Users who are not deleted.
    user_count: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// Which roles are asked for; the default is all of them.
#[derive(Debug, Default)]
pub struct Filter {
    pub id: Option<Uuid>,
    /// Roles of this user.
    pub user: Option<Uuid>,
    /// A pattern for names.
    pub search: Option<String>,
    pub active_only: bool,
}

impl SpecialRole {
    /// Roles by name, at most 500.
    pub async fn fetch(executor: impl PgExecutor<'_>, filter: &Filter) -> Result<Vec<Self>, sqlx::Error> {
        sqlx::query_as!(
            Self,
            r#"
            select
                r.id,
                r.nama,
                r.description,
                r.color,
                r.capabilities,
                r.is_active,
                (
                    select count(*)
                    from user_special_roles a
                    join users u on u.id = a.user_id and u.deleted_at is null
                    where a.special_role_id = r.id
                ) as "user_count!",
                r.created_at,
                r.updated_at
            from special_roles r
            where r.deleted_at is null
                and ($1::uuid is null or r.id = $1)
                and (
                    $2::uuid is null
                    or exists (select from user_special_roles a where a.user_id = $2 and a.special_role_id = r.id)
                )
                and ($3::text is null or r.nama ilike $3)
                and (r.is_active or not $4)
            order by r.nama, r.id
            limit 500
            "#,
            filter.id,
            filter.user,
            filter.search,
            filter.active_only,
        )
        .fetch_all(executor)
        .await
    }

    async fn one(executor: impl PgExecutor<'_>, id: Uuid) -> ApiResult<Self> {
        let filter = Filter { id: Some(id), ..Filter::default() };
        Self::fetch(executor, &filter).await?.pop().ok_or_else(not_found)
    }
}

/// A user whose set of roles is about to change.
#[derive(Debug)]
pub struct Holder {
    role: String,
}

impl Holder {
    /// Those of these users who exist.
    pub async fn lock(connection: &mut PgConnection, users: &[Uuid]) -> Result<Vec<Self>, sqlx::Error> {
        sqlx::query_as!(
            Self,
            "select role from users where id = any($1) and deleted_at is null order by id for no key update",
            users,
        )
        .fetch_all(connection)
        .await
    }

    pub async fn find(executor: impl PgExecutor<'_>, user: Uuid) -> Result<Option<Self>, sqlx::Error> {
        let found = sqlx::query_as!(Self, "select role from users where id = $1 and deleted_at is null", user);
        found.fetch_optional(executor).await
    }

    /// Only admins change anything about an admin.
    pub fn must_be_changeable_by(&self, caller: &Caller) -> ApiResult<()> {
        if self.role == Role::Admin.as_str() && !caller.is_admin() { Err(ApiError::forbidden()) } else { Ok(()) }
    }
}

/// Everything that the roles of `user` could ever give him: inactive ones count, for they may be activated again.
pub async fn assigned_capabilities(connection: &mut PgConnection, user: Uuid) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        select distinct unnest(r.capabilities) as "key!"
        from user_special_roles a
        join special_roles r on r.id = a.special_role_id and r.deleted_at is null
        where a.user_id = $1
        order by 1
        "#,
        user,
    )
    .fetch_all(connection)
    .await
}

fn not_found() -> ApiError {
    ApiError::not_found("NOT_FOUND", "Special role tidak ditemukan")
}

/// Nobody deals with capabilities that he does not hold himself.
pub fn escalation() -> ApiError {
    ApiError::forbidden_with(
        "CAPABILITY_ESCALATION",
        "Anda tidak dapat mengatur special role dengan kapabilitas yang tidak Anda miliki",
    )
}

pub fn own_roles() -> ApiError {
    ApiError::forbidden_with("CANNOT_MODIFY_SELF", "Anda tidak dapat mengubah special role Anda sendiri")
}
