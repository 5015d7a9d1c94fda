//! Riwayat kelas: which class a student was in, in which academic year. Rows are never deleted.

use sqlx::PgConnection;
use uuid::Uuid;

/// The student is in `kelas` now. Call it in the transaction that sets `users.kelas_id`.
pub async fn enter(connection: &mut PgConnection, user: Uuid, kelas: Uuid) -> Result<(), sqlx::Error> {
    leave(connection, user).await?;
    sqlx::query!(
        "
        insert into riwayat_kelas (id, user_id, kelas_id, tahun_ajaran_id, is_current)
        select $1, $2, k.id, k.tahun_ajaran_id, true
        from kelas k
        where k.id = $3
        on conflict on constraint riwayat_kelas_place_key do update set is_current = true
        ",
        Uuid::now_v7(),
        user,
        kelas,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The student is in no class any more.
pub async fn leave(connection: &mut PgConnection, user: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!("update riwayat_kelas set is_current = false where user_id = $1 and is_current", user)
        .execute(connection)
        .await?;
    Ok(())
}
