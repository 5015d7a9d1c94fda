use grafikarsa_http::{ApiError, ApiResult, FieldErrors, nullable};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    academic::history,
    admin::{audit, users::pictures::Gift},
    users::profile,
};

/// What is to change of a profile; absent is unchanged. An intent keeps it until auth's half is certain.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ProfileChange {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nama: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "nullable")]
    pub bio: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "nullable")]
    pub nisn: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "nullable")]
    pub nis: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "nullable")]
    pub kelas_id: Option<Option<Uuid>>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "nullable")]
    pub tahun_masuk: Option<Option<i32>>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "nullable")]
    pub tahun_lulus: Option<Option<i32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avatar: Option<PictureChange>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub banner: Option<PictureChange>,
    /// What the audit log says of it, where it comes from the back office.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit: Option<Audit>,
}

/// What becomes of a picture.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PictureChange {
    Clear,
    /// The address of one that is the user's already.
    Own(String),
    /// One of the actor's.
    Give(Box<Gift>),
}

/// A row of the audit log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Audit {
    pub action: String,
    pub fields: Vec<String>,
}

impl ProfileChange {
    /// Takes what others may take, too: numbers, and the class, which stays as it is until the transaction ends.
    pub async fn reserve(&self, connection: &mut PgConnection, user: Uuid) -> ApiResult<()> {
        if let Some(Some(kelas)) = self.kelas_id {
            let found =
                sqlx::query_scalar!("select id from kelas where id = $1 and deleted_at is null for share", kelas);
            if found.fetch_optional(&mut *connection).await?.is_none() {
                let mut errors = FieldErrors::new();
                errors.add("kelas_id", "Kelas tidak ditemukan");
                return errors.finish();
            }
        }
        if self.nis.is_none() && self.nisn.is_none() {
            return Ok(());
        }
        sqlx::query!(
            "
            update users
            set nis = case when $2 then $3 else nis end,
                nisn = case when $4 then $5 else nisn end
            where id = $1
            ",
            user,
            self.nis.is_some(),
            self.nis.clone().flatten(),
            self.nisn.is_some(),
            self.nisn.clone().flatten(),
        )
        .execute(connection)
        .await
        .map(drop)
        .map_err(conflict)
    }

    /// Writes what is left, after the account, and tells the others of a new name or picture.
    pub async fn write(&self, connection: &mut PgConnection, user: Uuid, actor: Uuid) -> Result<(), sqlx::Error> {
        sqlx::query!(
            "
            update users
            set nama = coalesce($2::text, nama),
                bio = case when $3 then $4 else bio end,
                tahun_masuk = case when $5 then $6 else tahun_masuk end,
                tahun_lulus = case when $7 then $8 else tahun_lulus end,
                updated_at = now()
            where id = $1 and ($2::text is not null or $3 or $5 or $7)
            ",
            user,
            self.nama,
            self.bio.is_some(),
            self.bio.clone().flatten(),
            self.tahun_masuk.is_some(),
            self.tahun_masuk.flatten(),
            self.tahun_lulus.is_some(),
            self.tahun_lulus.flatten(),
        )
        .execute(&mut *connection)
        .await?;
        if let Some(kelas) = self.kelas_id {
            // Whoever is no student by now is in no class.
            let set = sqlx::query!(
                "update users set kelas_id = $2, updated_at = now() where id = $1 and ($2::uuid is null or role = 'student')",
                user,
                kelas,
            )
            .execute(&mut *connection)
            .await?;
            match kelas {
                Some(kelas) if set.rows_affected() > 0 => history::enter(connection, user, kelas).await?,
                _ => history::leave(connection, user).await?,
            }
        }
        if let Some(avatar) = &self.avatar {
            avatar.write_avatar(connection, user, actor).await?;
        }
        if let Some(banner) = &self.banner {
            banner.write_banner(connection, user, actor).await?;
        }
        if self.nama.is_some() || self.avatar.is_some() {
            profile::changed(connection, user).await?;
        }
        if let Some(Audit { action, fields }) = &self.audit {
            let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
            audit::record(connection, actor, action, user, &fields).await?;
        }
        Ok(())
    }
}

/// auth's half has happened and stays: a number that somebody has taken meanwhile is left out.
pub async fn complete(
    change: &mut ProfileChange,
    connection: &mut PgConnection,
    user: Uuid,
    actor: Uuid,
) -> anyhow::Result<()> {
    use sqlx::Acquire as _;
    let mut attempt = connection.begin().await?;
    match change.reserve(&mut attempt, user).await {
        Ok(()) => attempt.commit().await?,
        Err(error) if error.status().is_client_error() => {
            attempt.rollback().await?;
            tracing::error!(%user, code = error.code(), "what somebody has taken meanwhile is left out of a change");
            (change.nis, change.nisn, change.kelas_id) = (None, None, None);
        }
        Err(error) => anyhow::bail!("a change could not be completed: {}", error.code()),
    }
    Ok(change.write(connection, user, actor).await?)
}

fn conflict(error: sqlx::Error) -> ApiError {
    match error.as_database_error().and_then(|error| error.constraint()) {
        Some("users_nis_key") => ApiError::conflict("DUPLICATE_NIS", "NIS sudah digunakan"),
        Some("users_nisn_key") => ApiError::conflict("DUPLICATE_NISN", "NISN sudah digunakan"),
        _ => error.into(),
    }
}
