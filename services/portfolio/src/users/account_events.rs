//! Events of auth: accounts and logins.

use anyhow::Context as _;
use chrono::DateTime;
use grafikarsa_events::Message;
use proto_events::{
    Event as _,
    auth::v1::{self, AccountChanged, AccountCreated, AccountDeleted, LoggedIn},
};
use sqlx::PgConnection;

use super::copy::{self, Account};
use crate::{accounts::intents, capabilities::Callers};

/// Brings the copy of an account up to date.
pub async fn apply(connection: &mut PgConnection, message: &Message, callers: &Callers) -> anyhow::Result<()> {
    let account = match message.name.as_str() {
        AccountCreated::NAME => message.decode::<AccountCreated>()?.account,
        AccountChanged::NAME => message.decode::<AccountChanged>()?.account,
        AccountDeleted::NAME => message.decode::<AccountDeleted>()?.account,
        // A newer auth may say more than we understand.
        _ => return Ok(()),
    };
    let account = read(account.context("an account event without an account")?)?;
    // The profile may still wait for its account: both appear together.
    intents::roll_forward(connection, &account).await?;
    copy::store(connection, &account).await?;
    callers.forget(account.id).await;
    Ok(())
}

/// Keeps the time of the latest login.
pub async fn logged_in(connection: &mut PgConnection, message: &Message) -> anyhow::Result<()> {
    let event: LoggedIn = message.decode()?;
    let at = DateTime::from_timestamp_millis(event.at_ms).context("the time is out of range")?;
    sqlx::query!(
        "update users set last_login_at = greatest(last_login_at, $2) where id = $1",
        event.account_id.parse::<uuid::Uuid>()?,
        at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

fn read(account: v1::Account) -> anyhow::Result<Account> {
    Ok(Account {
        id: account.id.parse()?,
        version: account.version,
        username: account.username,
        email: account.email,
        role: account.role.parse()?,
        is_active: account.is_active,
        must_change_password: account.must_change_password,
        deleted: account.deleted,
        graduation: account.graduation,
        created_at: DateTime::from_timestamp_millis(account.created_at_ms).context("the time is out of range")?,
    })
}
