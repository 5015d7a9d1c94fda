//! Accounts on their way between auth and us.
//!
//! An intent is committed before auth hears of anything, and the request then locks it.
//!
//! To create a user it asks auth for a *pending* account, writes the profile without committing it (so that every
//! unique index has spoken), has auth confirm, and commits. To change one it has auth change the account, writes the
//! profile, and commits. auth decides: before its confirmation or its change nothing has happened, after it the rest
//! will, whoever is killed. An import does the same for many users at once, with one intent and one command.
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

use super::profile_change::{self, ProfileChange};
use crate::{
    AppState,
    admin::{
        import::recovery,
        users::profile::{self, NewProfile},
    },
    users::copy::{self, Account},
};

/// How often dead requests are looked for.
const PERIOD: Duration = Duration::from_secs(2);

const UNREADABLE: &str = "the profile of an intent cannot be read";

/// What auth says about a command.
#[derive(Debug, Deserialize)]
pub struct Command {
    pub state: CommandState,
    pub account: Option<Account>,
    /// Those of an import.
    #[serde(default)]
    pub accounts: Vec<Account>,
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
    /// `create`, `change` or `import`.
    pub kind: String,
    /// The half that is ours: a [`NewProfile`], a [`ProfileChange`] or a [`recovery::Plan`].
    pub profile: Value,
    /// Of an import, those that are not complete yet.
    pub account_ids: Vec<Uuid>,
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
        "
        select command_id
        from account_intents
        where state = 'open' and (username = $1 or email = $2 or kind = 'import')
        ",
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

/// Ends what dead imports have left, so that the same import can be made again at once.
pub async fn recover_imports(app: &AppState) -> ApiResult<()> {
    let open = sqlx::query_scalar!("select command_id from account_intents where state = 'open' and kind = 'import'")
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
        select command_id, actor_id, kind, profile, account_ids
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
    let answer = cancel(app, command).await?;
    match answer.state {
        CommandState::Applied => {
            complete_from_intent(&mut tx, &intent, answer).await?;
            tracing::info!(%command, kind = intent.kind, "a command whose request had died was completed");
        }
        _ => {
            close(&mut tx, command, "cancelled").await?;
            tracing::info!(%command, kind = intent.kind, "a command whose request had died was cancelled");
        }
    }
    tx.commit().await?;
    Ok(())
}

/// The account, if auth has applied the command; else the command is cancelled for good.
pub async fn settle(app: &AppState, command: Uuid) -> Result<Option<Account>, InternalError> {
    let answer = cancel(app, command).await?;
    Ok(answer.account.filter(|_| answer.state == CommandState::Applied))
}

/// Cancels the command for good, unless auth has applied it.
pub async fn cancel(app: &AppState, command: Uuid) -> Result<Command, InternalError> {
    app.auth.post(&format!("/internal/commands/{command}/cancel"), &()).await
}

/// Completes the user of an account that auth has announced while its intent was still open.
pub async fn roll_forward(connection: &mut PgConnection, account: &Account) -> anyhow::Result<()> {
    let intent = sqlx::query_as!(
        Intent,
        r#"
        select command_id, actor_id, kind, profile, account_ids
        from account_intents
        where state = 'open'
            and (account_id = $1 and kind = 'create' or $1 = any(account_ids) and kind = 'import')
        for update
        "#,
        account.id,
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(intent) = intent else { return Ok(()) };
    if intent.kind == "import" {
        // The others of it have events of their own; the recovery ends what is left.
        return recovery::complete(connection, &intent, std::slice::from_ref(account)).await;
    }
    create_from_intent(connection, &intent, account).await?;
    Ok(close(connection, intent.command_id, "done").await?)
}

async fn complete_from_intent(connection: &mut PgConnection, intent: &Intent, answer: Command) -> anyhow::Result<()> {
    if intent.kind == "import" {
        recovery::complete(connection, intent, &answer.accounts).await?;
        return Ok(close(connection, intent.command_id, "done").await?);
    }
    let account = answer.account.context("an applied command without an account")?;
    if intent.kind == "create" {
        create_from_intent(connection, intent, &account).await?;
    } else {
        let mut change: ProfileChange = serde_json::from_value(intent.profile.clone()).context(UNREADABLE)?;
        copy::store(connection, &account).await?;
        profile_change::complete(&mut change, connection, account.id, intent.actor_id).await?;
    }
    Ok(close(connection, intent.command_id, "done").await?)
}

/// The account exists and stays: if somebody has taken one of its numbers in the meantime, the user is completed
/// without it.
async fn create_from_intent(connection: &mut PgConnection, intent: &Intent, account: &Account) -> anyhow::Result<()> {
    let mut new: NewProfile = serde_json::from_value(intent.profile.clone()).context(UNREADABLE)?;
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
    Ok(copy::store(connection, account).await?)
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
