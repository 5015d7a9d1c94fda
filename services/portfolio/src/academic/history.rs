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

/// These students are in these classes now, place by place.
pub async fn enter_all(connection: &mut PgConnection, users: &[Uuid], kelas: &[Uuid]) -> Result<(), sqlx::Error> {
    leave_all(connection, users).await?;
    let ids: Vec<Uuid> = users.iter().map(|_| Uuid::now_v7()).collect();
    sqlx::query!(
        "
        insert into riwayat_kelas (id, user_id, kelas_id, tahun_ajaran_id, is_current)
        select entry.id, entry.user_id, k.id, k.tahun_ajaran_id, true
        from unnest($1::uuid[], $2::uuid[], $3::uuid[]) as entry (id, user_id, kelas_id)
        join kelas k on k.id = entry.kelas_id
        on conflict on constraint riwayat_kelas_place_key do update set is_current = true
        ",
        &ids,
        users,
        kelas,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// These students are in no class any more.
pub async fn leave_all(connection: &mut PgConnection, users: &[Uuid]) -> Result<(), sqlx::Error> {
    sqlx::query!("update riwayat_kelas set is_current = false where user_id = any($1) and is_current", users)
        .execute(connection)
        .await?;
    Ok(())
}
