//! The user that a route is about, and who may change him.

use grafikarsa_http::{ApiError, ApiResult};
use grafikarsa_jwt::Role;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    admin::special_roles,
    capabilities::{Caller, Capability},
    users::find::not_found,
};

/// A user as he is stored.
#[derive(Debug)]
pub struct Target {
    pub id: Uuid,
    pub username: String,
    pub email: String,
    pub nama: String,
    pub role: String,
    pub is_active: bool,
    pub nisn: Option<String>,
    pub nis: Option<String>,
    pub kelas_id: Option<Uuid>,
    pub tahun_masuk: Option<i32>,
    pub tahun_lulus: Option<i32>,
    pub avatar_url: Option<String>,
    pub banner_url: Option<String>,
}

impl Target {
    pub async fn load(connection: &mut PgConnection, id: Uuid) -> ApiResult<Self> {
        let found = sqlx::query_as!(
            Self,
            "
            select
                id,
                username,
                email,
                nama,
                role,
                is_active,
                nisn,
                nis,
                kelas_id,
                tahun_masuk,
                tahun_lulus,
                avatar_url,
                banner_url
            from users
            where id = $1 and deleted_at is null
            ",
            id,
        )
        .fetch_optional(connection)
        .await?;
        found.ok_or_else(not_found)
    }

    /// Loads the user, whom the caller must be allowed to change.
    pub async fn changeable(connection: &mut PgConnection, caller: &Caller, id: Uuid) -> ApiResult<Self> {
        caller.require(Capability::Users)?;
        let target = Self::load(connection, id).await?;
        if caller.is_admin() {
            return Ok(target);
        }
        if target.role == Role::Admin.as_str() {
            return Err(ApiError::forbidden());
        }
        let held = special_roles::assigned_capabilities(connection, id).await?;
        if target.id != caller.id && !caller.covers(&held) {
            let message = "Anda tidak dapat mengubah pengguna dengan kapabilitas yang tidak Anda miliki";
            return Err(ApiError::forbidden_with("CAPABILITY_ESCALATION", message));
        }
        Ok(target)
    }

    /// Nobody deactivates or deletes himself, nor gives himself another role.
    pub fn must_not_be(&self, caller: &Caller) -> ApiResult<()> {
        if self.id == caller.id { Err(modifies_himself()) } else { Ok(()) }
    }
}

pub fn modifies_himself() -> ApiError {
    let message = "Anda tidak dapat menonaktifkan, menghapus, atau mengganti role akun Anda sendiri";
    ApiError::forbidden_with("CANNOT_MODIFY_SELF", message)
}
