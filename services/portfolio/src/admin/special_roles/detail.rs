use axum::extract::State;
use chrono::{DateTime, Utc};
use grafikarsa_http::{ApiResult, Data, Envelope, Id};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::SpecialRole;
use crate::{
    AppState,
    capabilities::{Caller, Capability},
};

/// Somebody who holds a role.
#[derive(Debug, Serialize, ToSchema)]
struct RoleUser {
    id: Uuid,
    username: String,
    nama: String,
    avatar_url: Option<String>,
    kelas_nama: Option<String>,
    assigned_at: DateTime<Utc>,
    assigned_by: Option<Uuid>,
}

/// A special role with everybody who holds it.
#[derive(Debug, Serialize, ToSchema)]
pub struct SpecialRoleDetail {
    #[serde(flatten)]
    role: SpecialRole,
    /// The latest first.
    users: Vec<RoleUser>,
}

/// A special role and its users.
#[utoipa::path(
    get,
    path = "/api/v1/admin/special-roles/{id}",
    tag = "special roles",
    params(("id" = Uuid, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<SpecialRoleDetail>)),
)]
pub async fn detail(State(app): State<AppState>, caller: Caller, Id(id): Id) -> ApiResult<Data<SpecialRoleDetail>> {
    caller.require(Capability::SpecialRoles)?;
    let role = SpecialRole::one(&app.db, id).await?;
    let users = sqlx::query_as!(
        RoleUser,
        r#"
        select
            u.id,
            u.username,
            u.nama,
            u.avatar_url,
            k.nama as "kelas_nama?",
            a.assigned_at,
            a.assigned_by
        from user_special_roles a
        join users u on u.id = a.user_id and u.deleted_at is null
        left join kelas k on k.id = u.kelas_id and k.deleted_at is null
        where a.special_role_id = $1
        order by a.assigned_at desc, u.id
        "#,
        id,
    )
    .fetch_all(&app.db)
    .await?;
    // Somebody may have come or gone between the two statements.
    let user_count = i64::try_from(users.len()).unwrap_or(i64::MAX);
    Ok(Data::new(SpecialRoleDetail { role: SpecialRole { user_count, ..role }, users }))
}
