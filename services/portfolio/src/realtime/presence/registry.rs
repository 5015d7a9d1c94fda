//! The tables of sockets and of what partners were told.

use std::{collections::HashSet, time::Duration};

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::Closed;

/// Sockets of one user over all replicas.
const SOCKETS: i64 = 10;
/// Advisory lock of whoever takes down dead replicas.
const LOCK: i64 = 0x706f_7274_0006;

pub async fn online(connection: &mut PgConnection, users: &[Uuid]) -> Result<HashSet<Uuid>, sqlx::Error> {
    let online = sqlx::query_scalar!(
        "
        select distinct s.user_id
        from chat_sockets s
        join chat_replicas r on r.id = s.replica_id
        where s.user_id = any($1) and r.lease_until > now()
        ",
        users,
    );
    Ok(online.fetch_all(connection).await?.into_iter().collect())
}

/// Those of `users` whom partners were told to be online.
pub async fn shown(db: &PgPool, users: &[Uuid]) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!("select user_id from chat_presence where user_id = any($1) and shown", users)
        .fetch_all(db)
        .await
}

pub async fn enter(db: &PgPool, replica: Uuid, lease: Duration) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "
        insert into chat_replicas (id, lease_until)
        values ($1, now() + make_interval(secs => $2))
        on conflict (id) do update set lease_until = excluded.lease_until
        ",
        replica,
        lease.as_secs_f64(),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// False when nobody knows of the replica any more.
pub async fn renew(db: &PgPool, replica: Uuid, lease: Duration) -> Result<bool, sqlx::Error> {
    let renewed = sqlx::query!(
        "update chat_replicas set lease_until = now() + make_interval(secs => $2) where id = $1",
        replica,
        lease.as_secs_f64(),
    );
    Ok(renewed.execute(db).await?.rows_affected() == 1)
}

/// Takes the replica down; its sockets have been closed before, or go with it.
pub async fn leave(db: &PgPool, replica: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from chat_replicas where id = $1", replica).execute(db).await?;
    Ok(())
}

pub fn is_unknown_replica(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.constraint()) == Some("chat_sockets_replica_id_fkey")
}

/// A socket that was written down.
pub struct Registered {
    pub opened_at: DateTime<Utc>,
    /// Partners do not know yet that the user is online.
    pub first: bool,
    /// The user's oldest sockets beyond ten.
    pub replaced: Vec<Uuid>,
}

/// Writes a socket down, within a transaction that ends when everything is known that partners have to be told.
pub async fn open(tx: &mut PgConnection, replica: Uuid, socket: Uuid, user: Uuid) -> Result<Registered, sqlx::Error> {
    // Locks the row, made anew if need be, and says how it was: sockets of one user open one after the other.
    let shown = sqlx::query_scalar!(
        "
        insert into chat_presence (user_id, shown)
        values ($1, false)
        on conflict (user_id) do update set closed_at = null
        returning shown
        ",
        user,
    )
    .fetch_one(&mut *tx)
    .await?;
    if !shown {
        sqlx::query!("update chat_presence set shown = true where user_id = $1", user).execute(&mut *tx).await?;
    }
    let opened_at = sqlx::query_scalar!(
        "
        insert into chat_sockets (id, replica_id, user_id, opened_at)
        values ($1, $2, $3, clock_timestamp())
        on conflict (id) do update set opened_at = excluded.opened_at -- brought back with its replica meanwhile
        returning opened_at
        ",
        socket,
        replica,
        user,
    )
    .fetch_one(&mut *tx)
    .await?;
    let replaced = sqlx::query_scalar!(
        "
        select s.id
        from chat_sockets s
        join chat_replicas r on r.id = s.replica_id
        where s.user_id = $1 and r.lease_until > now()
        order by s.opened_at desc, s.id desc
        offset $2
        ",
        user,
        SOCKETS,
    )
    .fetch_all(&mut *tx)
    .await?;
    Ok(Registered { opened_at, first: !shown, replaced })
}

/// Sockets of this replica that are too many for their users.
pub async fn replaced(db: &PgPool, replica: Uuid) -> Result<Vec<(Uuid, Uuid)>, sqlx::Error> {
    let sockets = sqlx::query!(
        "
        select id, user_id
        from (
            select
                s.id,
                s.user_id,
                s.replica_id,
                row_number() over (partition by s.user_id order by s.opened_at desc, s.id desc) as place
            from chat_sockets s
            join chat_replicas r on r.id = s.replica_id
            where r.lease_until > now()
        ) sockets
        where place > $2 and replica_id = $1
        ",
        replica,
        SOCKETS,
    );
    Ok(sockets.fetch_all(db).await?.into_iter().map(|row| (row.id, row.user_id)).collect())
}

/// Brings sockets back that others have taken down with this replica.
pub async fn reopen(db: &PgPool, replica: Uuid, sockets: &[(Uuid, Uuid)]) -> Result<(), sqlx::Error> {
    let (ids, users): (Vec<Uuid>, Vec<Uuid>) = sockets.iter().copied().unzip();
    let mut tx = db.begin().await?;
    lock(&mut tx, &users).await?;
    sqlx::query!(
        "
        insert into chat_sockets (id, replica_id, user_id, opened_at)
        select id, $1, user_id, clock_timestamp()
        from unnest($2::uuid[], $3::uuid[]) as open (id, user_id)
        on conflict (id) do nothing
        ",
        replica,
        &ids,
        &users,
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "update chat_presence set closed_at = null where user_id = any($1) and closed_at is not null",
        &users,
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await
}

/// Users with a socket on this replica of whom partners do not know: it was brought back.
pub async fn unannounced(db: &PgPool, replica: Uuid) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "
        select p.user_id
        from chat_presence p
        where not p.shown and exists (select from chat_sockets where user_id = p.user_id and replica_id = $1)
        ",
        replica,
    )
    .fetch_all(db)
    .await
}

/// Takes sockets down. For users who have no other one, the time until they are offline begins.
pub async fn close(db: &PgPool, sockets: &[Closed]) -> Result<(), sqlx::Error> {
    let (ids, users): (Vec<Uuid>, Vec<Uuid>) = sockets.iter().map(|closed| (closed.socket, closed.user)).unzip();
    let mut tx = db.begin().await?;
    lock(&mut tx, &users).await?;
    sqlx::query!("delete from chat_sockets where id = any($1)", &ids).execute(&mut *tx).await?;
    sqlx::query!(
        "
        update chat_presence p
        set closed_at = clock_timestamp()
        where p.user_id = any($1) and p.shown and p.closed_at is null and not exists (
            select
            from chat_sockets s
            join chat_replicas r on r.id = s.replica_id
            where s.user_id = p.user_id and r.lease_until > now()
        )
        ",
        &users,
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await
}

/// Locks users' rows in the order of their ids.
async fn lock(connection: &mut PgConnection, users: &[Uuid]) -> Result<(), sqlx::Error> {
    sqlx::query!("select user_id from chat_presence where user_id = any($1) order by user_id for update", users)
        .fetch_all(connection)
        .await?;
    Ok(())
}

/// Users who have closed their last socket long enough ago.
pub async fn gone(db: &PgPool, linger: Duration) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "
        select user_id
        from chat_presence
        where shown and closed_at <= now() - make_interval(secs => $1)
        order by closed_at
        limit 500
        ",
        linger.as_secs_f64(),
    )
    .fetch_all(db)
    .await
}

/// Looks whether what partners were told of a user still holds, and notes what does. Returns it when they have to be told:
/// within the transaction, so that whoever opens a socket of his waits until they are. `None` also while others see to him,
/// or when he was shown as online and has not closed his last socket `linger` ago.
pub async fn settle(
    tx: &mut PgConnection,
    user: Uuid,
    shown: bool,
    linger: Duration,
) -> Result<Option<bool>, sqlx::Error> {
    let locked = sqlx::query_scalar!(
        "
        select user_id
        from chat_presence
        where user_id = $1 and shown = $2 and (not shown or closed_at <= now() - make_interval(secs => $3))
        for update skip locked
        ",
        user,
        shown,
        linger.as_secs_f64(),
    )
    .fetch_optional(&mut *tx)
    .await?;
    if locked.is_none() {
        return Ok(None);
    }
    // A statement of its own sees what others have committed before the lock.
    let is_online = sqlx::query_scalar!(
        "
        update chat_presence p
        set closed_at = null, shown = exists (
            select
            from chat_sockets s
            join chat_replicas r on r.id = s.replica_id
            where s.user_id = p.user_id and r.lease_until > now()
        )
        where p.user_id = $1
        returning shown
        ",
        user,
    )
    .fetch_one(tx)
    .await?;
    Ok((is_online != shown).then_some(is_online))
}

/// Takes down replicas whose lease has run out, and notes who is left without a socket. One replica at a time.
pub async fn take_down_the_dead(db: &PgPool) -> Result<(), sqlx::Error> {
    let mut tx = db.begin().await?;
    let alone =
        sqlx::query_scalar!(r#"select pg_try_advisory_xact_lock($1) as "alone!""#, LOCK).fetch_one(&mut *tx).await?;
    if alone {
        sqlx::query!("delete from chat_replicas where lease_until <= now()").execute(&mut *tx).await?;
        sqlx::query!(
            "
            update chat_presence
            set closed_at = now()
            where user_id in (
                select p.user_id
                from chat_presence p
                where p.shown and p.closed_at is null and not exists (
                    select
                    from chat_sockets s
                    join chat_replicas r on r.id = s.replica_id
                    where s.user_id = p.user_id and r.lease_until > now()
                )
                order by p.user_id
                for update of p skip locked
            )
            ",
        )
        .execute(&mut *tx)
        .await?;
    }
    tx.commit().await
}
