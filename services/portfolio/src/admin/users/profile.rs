use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

use super::pictures::{self, Gift};
use crate::{
    academic::history,
    admin::audit,
    users::{self, copy::Account},
};

/// The half of a new user that is ours. An intent keeps it until the other half is certain.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NewProfile {
    pub nama: String,
    pub nisn: Option<String>,
    pub nis: Option<String>,
    pub kelas_id: Option<Uuid>,
    pub tahun_masuk: Option<i32>,
    pub tahun_lulus: Option<i32>,
    pub avatar: Option<Gift>,
    pub banner: Option<Gift>,
}

/// Writes the user row with all that belongs to it: class history, pictures taken over from the actor, event, audit.
pub async fn write(
    connection: &mut PgConnection,
    actor: Uuid,
    account: &Account,
    profile: &NewProfile,
) -> Result<(), sqlx::Error> {
    // An event may have been faster and left a bare row.
    sqlx::query!(
        "
        insert into users (
            id, account_version, username, email, role, is_active, must_change_password, created_at,
            nama, nisn, nis, kelas_id, tahun_masuk, tahun_lulus
        )
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
        on conflict on constraint users_pkey do update set
            nama = excluded.nama,
            nisn = excluded.nisn,
            nis = excluded.nis,
            kelas_id = excluded.kelas_id,
            tahun_masuk = excluded.tahun_masuk,
            tahun_lulus = excluded.tahun_lulus
        ",
        account.id,
        account.version,
        account.username,
        account.email,
        account.role.as_str(),
        account.is_active,
        account.must_change_password,
        account.created_at,
        profile.nama,
        profile.nisn,
        profile.nis,
        profile.kelas_id,
        profile.tahun_masuk,
        profile.tahun_lulus,
    )
    .execute(&mut *connection)
    .await?;
    if let Some(kelas) = profile.kelas_id {
        history::enter(connection, account.id, kelas).await?;
    }
    if let Some(gift) = &profile.avatar {
        pictures::give_avatar(connection, actor, account.id, gift).await?;
    }
    if let Some(gift) = &profile.banner {
        pictures::give_banner(connection, actor, account.id, gift).await?;
    }
    users::profile::changed(connection, account.id).await?;
    let fields = ["username", "email", "role", "nama", "nisn", "nis", "kelas_id", "tahun_masuk", "tahun_lulus"];
    audit::record(connection, actor, "user.create", account.id, &fields).await
}
