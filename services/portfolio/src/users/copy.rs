//! The copy of an account in `users`. Two things write it: the answer to a command on auth, and auth's events. Both
//! carry the full state, and only a lower version than the stored one is ignored.

use chrono::{DateTime, Utc};
use grafikarsa_jwt::Role;
use serde::Deserialize;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{academic::history, changelogs::reads, portfolios::visibility};

/// An account as auth has it.
#[derive(Clone, Debug, Deserialize)]
pub struct Account {
    pub id: Uuid,
    pub version: i64,
    pub username: String,
    pub email: String,
    pub role: Role,
    pub is_active: bool,
    pub must_change_password: bool,
    #[serde(default)]
    pub deleted: bool,
    /// The last graduation that auth has dealt with.
    #[serde(default)]
    pub graduation: i64,
    pub created_at: DateTime<Utc>,
}

/// Writes the account columns of the user row, and everything that follows from a role, a deactivation or a deletion.
/// A user who has no row yet gets one named like the account: its profile comes with its creation, if it has any.
pub async fn store(connection: &mut PgConnection, account: &Account) -> Result<(), sqlx::Error> {
    lock_neighbours(connection, account).await?;
    // The row lock orders this with every other change of the user.
    let before = sqlx::query!(
        "
        select account_version, role, graduation, is_active and deleted_at is null as \"visible!\", deleted_at
        from users
        where id = $1
        for no key update
        ",
        account.id,
    )
    .fetch_optional(&mut *connection)
    .await?;
    if before.as_ref().is_some_and(|row| row.account_version > account.version) {
        return Ok(());
    }
    // Of a graduation that auth has not dealt with yet, its role knows nothing.
    let graduated = before.as_ref().is_some_and(|row| row.graduation > account.graduation);
    let role = if graduated && account.role == Role::Student { Role::Alumni } else { account.role };
    let leaves_class = role != Role::Student && before.as_ref().is_some_and(|row| row.role == "student");
    sqlx::query!(
        "
        insert into users (
            id, account_version, username, email, role, is_active, must_change_password, deleted_at, created_at, nama,
            graduation
        )
        values ($1, $2, $3, $4, $5, $6, $7, case when $8 then now() end, $9, $3, $10)
        on conflict on constraint users_pkey do update set
            account_version = excluded.account_version,
            username = excluded.username,
            email = excluded.email,
            role = excluded.role,
            is_active = excluded.is_active,
            must_change_password = excluded.must_change_password,
            deleted_at = case when $8 then coalesce(users.deleted_at, now()) end,
            created_at = excluded.created_at,
            graduation = greatest(users.graduation, excluded.graduation),
            kelas_id = case when excluded.role = 'student' then users.kelas_id end,
            tahun_lulus = case
                when excluded.role = 'alumni' then coalesce(users.tahun_lulus, users.tahun_masuk + 3)
                else users.tahun_lulus
            end,
            updated_at = case
                when users.account_version < excluded.account_version then now()
                else users.updated_at
            end
        where users.account_version <= excluded.account_version
        ",
        account.id,
        account.version,
        account.username,
        account.email,
        role.as_str(),
        account.is_active,
        account.must_change_password,
        account.deleted,
        account.created_at,
        account.graduation,
    )
    .execute(&mut *connection)
    .await?;
    if leaves_class {
        history::leave(connection, account.id).await?;
    }
    let was_visible = before.as_ref().is_none_or(|row| row.visible);
    let visible = account.is_active && !account.deleted;
    let forgotten = account.deleted && before.is_none_or(|row| row.deleted_at.is_none());
    if visible != was_visible || forgotten {
        lock_portfolios(connection, account.id, forgotten).await?;
    }
    if visible != was_visible {
        visibility::owner_changed(connection, account.id, visible).await?;
        count_follows(connection, account.id, visible).await?;
    }
    if forgotten {
        forget(connection, account.id).await?;
    }
    Ok(())
}

/// Locks the rows whose counters will change when the account comes into sight or goes out of it, in the order of their
/// ids: as somebody who follows does, so that neither waits for the other in a circle.
async fn lock_neighbours(connection: &mut PgConnection, account: &Account) -> Result<(), sqlx::Error> {
    let visible = account.is_active && !account.deleted;
    let seen = sqlx::query_scalar!(
        r#"select is_active and deleted_at is null as "visible!" from users where id = $1"#,
        account.id,
    );
    if seen.fetch_optional(&mut *connection).await?.is_none_or(|seen| seen == visible) {
        return Ok(());
    }
    sqlx::query!(
        "
        select id
        from users
        where id in (
            select $1::uuid
            union all
            select followed_id from follows where follower_id = $1
            union all
            select follower_id from follows where followed_id = $1
        )
        order by id
        for no key update
        ",
        account.id,
    )
    .fetch_all(connection)
    .await?;
    Ok(())
}

/// Locks every portfolio that will change, his own and those that he liked or looked at, in the order of their ids: as a
/// batch of views does.
async fn lock_portfolios(connection: &mut PgConnection, user: Uuid, forgotten: bool) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "
        select id
        from portfolios
        where id in (
            select id from portfolios where user_id = $1
            union all
            select portfolio_id from portfolio_likes where $2 and user_id = $1
            union all
            select portfolio_id from portfolio_views where $2 and user_id = $1
        )
        order by id
        for no key update
        ",
        user,
        forgotten,
    )
    .fetch_all(connection)
    .await?;
    Ok(())
}

/// Follower counts hold visible users only; the follows themselves stay.
async fn count_follows(connection: &mut PgConnection, user: Uuid, visible: bool) -> Result<(), sqlx::Error> {
    let step: i64 = if visible { 1 } else { -1 };
    sqlx::query!(
        "
        update users u
        set follower_count = follower_count
                + $2 * (select count(*) from follows f where f.follower_id = $1 and f.followed_id = u.id),
            following_count = following_count
                + $2 * (select count(*) from follows f where f.followed_id = $1 and f.follower_id = u.id)
        where u.id in (
            select followed_id from follows where follower_id = $1
            union
            select follower_id from follows where followed_id = $1
        )
        ",
        user,
        step,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// What goes with a deleted account: likes, views, preferences, own notifications, marks of read changelogs, special
/// roles. Portfolios are hidden with their owner; comments and messages stay.
async fn forget(connection: &mut PgConnection, user: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from feed_preferences where user_id = $1", user).execute(&mut *connection).await?;
    sqlx::query!("delete from notifications where user_id = $1", user).execute(&mut *connection).await?;
    sqlx::query!("delete from user_special_roles where user_id = $1", user).execute(&mut *connection).await?;
    reads::forget_reader(connection, user).await?;
    sqlx::query!(
        "
        with gone as (delete from portfolio_likes where user_id = $1 returning portfolio_id)
        update portfolios set like_count = like_count - 1 where id in (select portfolio_id from gone)
        ",
        user,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "
        with gone as (delete from portfolio_views where user_id = $1 returning portfolio_id)
        update portfolios set view_count = view_count - 1 where id in (select portfolio_id from gone)
        ",
        user,
    )
    .execute(&mut *connection)
    .await?;
    Ok(())
}
