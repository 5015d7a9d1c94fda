//! Who may log in: names, role, state.

pub(crate) mod first_admin;
pub(crate) mod many;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use grafikarsa_events::outbox;
use grafikarsa_http::{ApiError, ApiResult, OnConstraint as _};
use proto_events::auth::v1 as events;
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

/// An account as other services see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) id: Uuid,
    pub(crate) username: String,
    pub(crate) email: String,
    pub(crate) role: String,
    pub(crate) is_active: bool,
    pub(crate) must_change_password: bool,
    pub(crate) version: i64,
    pub(crate) created_at: DateTime<Utc>,
    // Answers that were kept before accounts could be deleted lack these two.
    #[serde(default)]
    pub(crate) deleted: bool,
    #[serde(default)]
    pub(crate) deleted_at: Option<DateTime<Utc>>,
    /// The last graduation that was dealt with; earlier answers were kept before there were any.
    #[serde(default)]
    pub(crate) graduation: i64,
}

impl From<Account> for events::Account {
    fn from(account: Account) -> Self {
        Self {
            id: account.id.to_string(),
            version: account.version,
            username: account.username,
            email: account.email,
            role: account.role,
            is_active: account.is_active,
            must_change_password: account.must_change_password,
            deleted: account.deleted,
            created_at_ms: account.created_at.timestamp_millis(),
            deleted_at_ms: account.deleted_at.map_or(0, |at| at.timestamp_millis()),
            graduation: account.graduation,
        }
    }
}

/// A row about to be stored. Its fields keep the rules of [`grafikarsa_http::account_rules`].
pub(crate) struct NewAccount<'a> {
    pub(crate) id: Uuid,
    pub(crate) username: &'a str,
    pub(crate) email: &'a str,
    pub(crate) password_hash: &'a str,
    pub(crate) role: &'a str,
    pub(crate) must_change_password: bool,
    /// Waits for a confirmation: reserves its names, and nothing else.
    pub(crate) is_pending: bool,
}

/// Stores an account; the indexes decide whose the names are.
pub(crate) async fn insert(connection: &mut PgConnection, new: NewAccount<'_>) -> ApiResult<Account> {
    refuse_taken(connection, new.id, Some(new.username), Some(new.email)).await?;
    let stored = sqlx::query_as!(
        Account,
        r#"
        insert into accounts (id, username, email, password_hash, role, must_change_password, is_pending, created_at)
        -- As precise as events tell it, so that every copy is the same.
        values ($1, $2, $3, $4, $5, $6, $7, date_trunc('milliseconds', now()))
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
        new.id,
        new.username,
        new.email,
        new.password_hash,
        new.role,
        new.must_change_password,
        new.is_pending,
    )
    .fetch_one(connection)
    .await;
    names_are_free(stored)
}

/// The account as it stands, deleted or not.
pub(crate) async fn load(connection: &mut PgConnection, id: Uuid) -> Result<Account, sqlx::Error> {
    sqlx::query_as!(
        Account,
        r#"
        select
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
        from accounts
        where id = $1
        "#,
        id,
    )
    .fetch_one(connection)
    .await
}

/// Refuses names that others have. If both clash the user name speaks, which the indexes would not promise: they are
/// checked in an order of their own, and decide only whose a name is when two come at once.
pub(crate) async fn refuse_taken(
    connection: &mut PgConnection,
    account: Uuid,
    username: Option<&str>,
    email: Option<&str>,
) -> ApiResult<()> {
    let taken = sqlx::query!(
        r#"
        select
            coalesce(bool_or(lower(username) = lower($2)), false) as "username!",
            coalesce(bool_or(lower(email) = lower($3)), false) as "email!"
        from accounts
        where deleted_at is null and id <> $1 and (lower(username) = lower($2) or lower(email) = lower($3))
        "#,
        account,
        username,
        email,
    )
    .fetch_one(connection)
    .await?;
    if taken.username {
        return Err(username_taken());
    }
    if taken.email { Err(duplicate_email()) } else { Ok(()) }
}

/// The one place that knows what a broken index of `accounts` means.
pub(crate) fn names_are_free<T>(result: Result<T, sqlx::Error>) -> ApiResult<T> {
    result.on_constraint("accounts_username_key", username_taken).on_constraint("accounts_email_key", duplicate_email)
}

fn username_taken() -> ApiError {
    ApiError::conflict("USERNAME_TAKEN", "Username sudah digunakan")
}

fn duplicate_email() -> ApiError {
    ApiError::conflict("DUPLICATE_EMAIL", "Email sudah digunakan")
}

/// Tells the others about a new account, in the transaction that makes it.
pub(crate) async fn announce_created(connection: &mut PgConnection, account: &Account) -> Result<(), sqlx::Error> {
    let event = events::AccountCreated { account: Some(account.clone().into()) };
    outbox::append(connection, &event, account.id, account.version).await.map(drop)
}

/// Tells the others what an account has become, in the transaction that changes it and raises its version.
pub(crate) async fn announce_changed(connection: &mut PgConnection, account: &Account) -> Result<(), sqlx::Error> {
    let state = Some(account.clone().into());
    let (id, version) = (account.id, account.version);
    let appended = if account.deleted {
        outbox::append(connection, &events::AccountDeleted { account: state }, id, version).await
    } else {
        outbox::append(connection, &events::AccountChanged { account: state }, id, version).await
    };
    appended.map(drop)
}

/// Publishes the full state of every account once more, deleted ones too, for a consumer that lost its copies. Returns
/// how many.
pub(crate) async fn republish_all(pool: &sqlx::PgPool) -> anyhow::Result<u64> {
    let (mut last, mut published) = (Uuid::nil(), 0);
    loop {
        let mut tx = pool.begin().await?;
        let accounts = sqlx::query_as!(
            Account,
            r#"
            select
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
            from accounts
            where id > $1 and not is_pending
            order by id
            limit 200
            for update
            "#,
            last,
        )
        .fetch_all(&mut *tx)
        .await?;
        let Some(end) = accounts.last() else { return Ok(published) };
        last = end.id;
        for account in accounts {
            announce_changed(&mut tx, &account).await.context("an account was not published")?;
            published += 1;
        }
        tx.commit().await?;
    }
}
