//! Accounts on their way between auth and us.
//!
//! An intent is committed before auth hears of anything, and the request then locks it.
//!
//! To create a user it asks auth for a *pending* account, writes the profile without committing it (so that every
//! unique index has spoken), has auth confirm, and commits. To change one it has auth change the account, writes the
//! profile, and commits. auth decides: before its confirmation or its change nothing has happened, after it the rest
//! will, whoever is killed.
//!
//! Whoever gets the lock of an open intent knows that its request is dead, and ends it: if auth has applied the
//! command, the profile is written from the intent; else the command is cancelled, so that a late call is refused.

use std::time::Duration;

use anyhow::Context as _;
use grafikarsa_http::{ApiResult, InternalError};
use serde::Deserialize;
use serde_json::Value;
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::change::ProfileChange;
use crate::{
    AppState,
    admin::users::profile::{self, NewProfile},
    users::copy::{self, Account},
};

/// How often dead requests are looked for.
const PERIOD: Duration = Duration::from_secs(2);

/// What auth says about a command.
#[derive(Debug, Deserialize)]
pub struct Command {
    pub state: CommandState,
    pub account: Option<Account>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CommandState {
    Unknown,
    Pending,
    Applied,
    Cancelled,
}

/// An open intent, locked.
#[derive(Debug)]
pub struct Intent {
    pub command_id: Uuid,
    pub actor_id: Uuid,
    /// `create` or `change`.
    pub kind: String,
    /// The half that is ours: a [`NewProfile`] or a [`ProfileChange`].
    pub profile: Value,
}

/// Ends open intents of dead requests until `shutdown`.
pub async fn recover_forever(app: AppState, shutdown: CancellationToken) {
    let mut period = tokio::time::interval(PERIOD);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = period.tick() => {}
        }
        if let Err(error) = recover_all(&app).await {
            tracing::warn!(code = error.code(), "open intents could not be ended; they are tried again");
        }
    }
}

async fn recover_all(app: &AppState) -> ApiResult<()> {
    // A moment's age lets the request that made it lock it first.
    let open = sqlx::query_scalar!(
        "
        select command_id
        from account_intents
        where state = 'open' and created_at < now() - interval '1 second'
        order by created_at
        limit 50
        ",
    )
    .fetch_all(&app.db)
    .await?;
    for command in open {
        // One that cannot be ended must not keep the younger ones waiting.
        if let Err(error) = recover(app, command).await {
            tracing::warn!(%command, code = error.code(), "an open intent could not be ended; it is tried again");
        }
    }
    sqlx::query!("delete from account_intents where state <> 'open' and updated_at < now() - interval '7 days'")
        .execute(&app.db)
        .await?;
    Ok(())
}

/// Ends what dead requests have left of these names, so that the same request can be made again at once.
pub async fn recover_names(app: &AppState, username: &str, email: &str) -> ApiResult<()> {
    let open = sqlx::query_scalar!(
        "select command_id from account_intents where state = 'open' and (username = $1 or email = $2)",
        username,
        email,
    )
    .fetch_all(&app.db)
    .await?;
    for command in open {
        recover(app, command).await?;
    }
    Ok(())
}

/// Ends what dead requests have left of this account, so that a late one cannot undo what comes now.
pub async fn recover_account(app: &AppState, account: Uuid) -> ApiResult<()> {
    let open = sqlx::query_scalar!(
        "select command_id from account_intents where state = 'open' and account_id = $1 order by created_at",
        account,
    )
    .fetch_all(&app.db)
    .await?;
    for command in open {
        recover(app, command).await?;
    }
    Ok(())
}

async fn recover(app: &AppState, command: Uuid) -> ApiResult<()> {
    let mut tx = app.db.begin().await?;
    let intent = sqlx::query_as!(
        Intent,
        r#"
        select command_id, actor_id, kind, profile
        from account_intents
        where command_id = $1 and state = 'open'
        for update skip locked
        "#,
        command,
    )
    .fetch_optional(&mut *tx)
    .await?;
    // Ended by somebody else, or its request is alive.
    let Some(intent) = intent else { return Ok(()) };
    match settle(app, command).await? {
        Some(account) => {
            complete_from_intent(&mut tx, &intent, &account).await?;
            tracing::info!(%command, kind = intent.kind, "a command whose request had died was completed");
        }
        None => {
            close(&mut tx, command, "cancelled").await?;
            tracing::info!(%command, kind = intent.kind, "a command whose request had died was cancelled");
        }
    }
    tx.commit().await?;
    Ok(())
}

/// The account, if auth has applied the command; else the command is cancelled for good.
pub async fn settle(app: &AppState, command: Uuid) -> Result<Option<Account>, InternalError> {
    let answer: Command = app.auth.post(&format!("/internal/commands/{command}/cancel"), &()).await?;
    Ok(answer.account.filter(|_| answer.state == CommandState::Applied))
}

/// Completes the user of an account that auth has announced while its intent was still open.
pub async fn roll_forward(connection: &mut PgConnection, account: &Account) -> anyhow::Result<()> {
    let intent = sqlx::query_as!(
        Intent,
        r#"
        select command_id, actor_id, kind, profile
        from account_intents
        where account_id = $1 and kind = 'create' and state = 'open'
        for update
        "#,
        account.id,
    )
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(intent) = intent {
        complete_from_intent(connection, &intent, account).await?;
    }
    Ok(())
}

async fn complete_from_intent(connection: &mut PgConnection, intent: &Intent, account: &Account) -> anyhow::Result<()> {
    let unreadable = "the profile of an intent cannot be read";
    if intent.kind == "create" {
        let new: NewProfile = serde_json::from_value(intent.profile.clone()).context(unreadable)?;
        create_from_intent(connection, intent, account, new).await?;
    } else {
        let change: ProfileChange = serde_json::from_value(intent.profile.clone()).context(unreadable)?;
        copy::store(connection, account).await?;
        change.write(connection, account.id).await?;
    }
    Ok(close(connection, intent.command_id, "done").await?)
}

/// The account exists and stays: if somebody has taken one of its numbers in the meantime, the user is completed
/// without it.
async fn create_from_intent(
    connection: &mut PgConnection,
    intent: &Intent,
    account: &Account,
    mut new: NewProfile,
) -> Result<(), sqlx::Error> {
    let taken = sqlx::query!(
        r#"
        select
            exists (select 1 from users where nis = $2 and id <> $1 and deleted_at is null) as "nis!",
            exists (select 1 from users where nisn = $3 and id <> $1 and deleted_at is null) as "nisn!"
        "#,
        account.id,
        new.nis,
        new.nisn,
    )
    .fetch_one(&mut *connection)
    .await?;
    if taken.nis || taken.nisn {
        tracing::error!(user = %account.id, "a number of this user was taken meanwhile and is left out");
        new.nis = new.nis.filter(|_| !taken.nis);
        new.nisn = new.nisn.filter(|_| !taken.nisn);
    }
    profile::write(connection, intent.actor_id, account, &new).await?;
    copy::store(connection, account).await
}

/// Ends an intent; the personal data in it are not needed any more.
pub async fn close(connection: &mut PgConnection, command: Uuid, state: &str) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update account_intents set state = $2, profile = '{}', updated_at = now() where command_id = $1",
        command,
        state,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Locks the intent that this request has just made; false if somebody took the request for dead in the moment before.
pub async fn lock(connection: &mut PgConnection, command: Uuid) -> Result<bool, sqlx::Error> {
    let open = sqlx::query_scalar!(
        "select command_id from account_intents where command_id = $1 and state = 'open' for update",
        command,
    );
    Ok(open.fetch_optional(connection).await?.is_some())
}
