//! Many accounts at once, with as many statements as for one.

use grafikarsa_events::outbox;
use grafikarsa_jwt::Role;
use proto_events::auth::v1 as events;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Account;

/// Rows about to be stored, pending, as columns of the same length.
#[derive(Default)]
pub(crate) struct NewAccounts {
    pub(crate) ids: Vec<Uuid>,
    pub(crate) usernames: Vec<String>,
    pub(crate) emails: Vec<String>,
    pub(crate) hashes: Vec<String>,
}

/// Names of a list that somebody has.
pub(crate) struct Taken {
    pub(crate) usernames: Vec<String>,
    pub(crate) emails: Vec<String>,
}

/// Which of these names, in lower case, are taken. The indexes have the last word.
pub(crate) async fn taken(
    connection: &mut PgConnection,
    usernames: &[String],
    emails: &[String],
) -> Result<Taken, sqlx::Error> {
    sqlx::query_as!(
        Taken,
        r#"
        select
            array(
                select lower(username) from accounts where deleted_at is null and lower(username) = any($1)
            ) as "usernames!",
            array(
                select lower(email) from accounts where deleted_at is null and lower(email) = any($2)
            ) as "emails!"
        "#,
        usernames,
        emails,
    )
    .fetch_one(connection)
    .await
}

/// Stores the accounts whose names are free, and leaves the others out. In the order of their names, so that two batches
/// do not wait for each other in a circle.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    new: &NewAccounts,
    role: Role,
    must_change_password: bool,
) -> Result<Vec<Account>, sqlx::Error> {
    sqlx::query_as!(
        Account,
        r#"
        insert into accounts (id, username, email, password_hash, role, must_change_password, is_pending, created_at)
        select id, username, email, hash, $5, $6, true, date_trunc('milliseconds', now())
        from unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) as new (id, username, email, hash)
        order by username
        on conflict do nothing
        returning
            id,
            username,
            email,
            role,
            is_active,
            must_change_password,
            version,
            created_at,
            deleted_at is not null as "deleted!",
            deleted_at,
            graduation
        "#,
        &new.ids,
        &new.usernames,
        &new.emails,
        &new.hashes,
        role.as_str(),
        must_change_password,
    )
    .fetch_all(connection)
    .await
}

/// Makes pending accounts real ones, and tells the others.
pub(crate) async fn confirm(connection: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Account>, sqlx::Error> {
    let accounts = sqlx::query_as!(
        Account,
        r#"
        update accounts
        set is_pending = false
        where id = any($1) and is_pending
        returning
            id,
            username,
            email,
            role,
            is_active,
            must_change_password,
            version,
            created_at,
            deleted_at is not null as "deleted!",
            deleted_at,
            graduation
        "#,
        ids,
    )
    .fetch_all(&mut *connection)
    .await?;
    let told: Vec<_> = accounts
        .iter()
        .map(|account| (events::AccountCreated { account: Some(account.clone().into()) }, account.id, account.version))
        .collect();
    outbox::append_all(connection, &told).await?;
    Ok(accounts)
}
