use grafikarsa_http::{ApiError, ApiResult, InternalError};
use grafikarsa_jwt::Role;
use serde::Serialize;
use sqlx::{Acquire as _, PgConnection, PgTransaction, types::Json};
use uuid::Uuid;

use super::{intents, profile_change::ProfileChange};
use crate::{
    AppState,
    users::copy::{self, Account},
};

/// An equal request may take this one for dead in the moment before it locks its intent; then it begins anew.
pub const ATTEMPTS: usize = 3;

/// What auth is to change; absent is unchanged. It may hold a password, so it does not print.
#[derive(Default, Serialize)]
pub struct AccountChange {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_active: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delete: Option<bool>,
    /// The session of somebody who resets his own password, which stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spared_session: Option<Uuid>,
}

impl AccountChange {
    pub fn is_empty(&self) -> bool {
        self.username.is_none()
            && self.email.is_none()
            && self.role.is_none()
            && self.is_active.is_none()
            && self.password.is_none()
            && self.delete.is_none()
    }
}

#[derive(Serialize)]
struct Command<'a> {
    command_id: Uuid,
    /// With a role: it corrects the last graduation, even one that auth has not heard of yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    graduation: Option<i64>,
    #[serde(flatten)]
    account: &'a AccountChange,
}

/// Changes an account and its profile, or neither: the module `intents` explains the order.
pub async fn run(
    app: &AppState,
    actor: Uuid,
    user: Uuid,
    account: AccountChange,
    profile: ProfileChange,
) -> ApiResult<()> {
    intents::recover_account(app, user).await?;
    if account.is_empty() {
        let mut tx = app.db.begin().await?;
        profile.reserve(&mut tx, user).await?;
        profile.write(&mut tx, user, actor).await?;
        return Ok(tx.commit().await?);
    }

    let mut connection = app.db.acquire().await?;
    for _ in 0..ATTEMPTS {
        let command = open(&mut connection, actor, user, &profile).await?;
        let mut tx = connection.begin().await?;
        if intents::lock(&mut tx, command).await? {
            finish(app, tx, command, (actor, user), &account, &profile).await?;
            app.callers.forget(user).await;
            return Ok(());
        }
    }
    Err(ApiError::unavailable())
}

/// Commits the intent, on the connection that locks it in the next moment.
async fn open(
    connection: &mut PgConnection,
    actor: Uuid,
    user: Uuid,
    profile: &ProfileChange,
) -> Result<Uuid, sqlx::Error> {
    let command = Uuid::now_v7();
    sqlx::query!(
        "
        insert into account_intents (command_id, account_id, actor_id, kind, profile)
        values ($1, $2, $3, 'change', $4)
        ",
        command,
        user,
        actor,
        Json(profile) as _,
    )
    .execute(connection)
    .await?;
    Ok(command)
}

async fn finish(
    app: &AppState,
    mut tx: PgTransaction<'_>,
    command: Uuid,
    (actor, user): (Uuid, Uuid),
    account: &AccountChange,
    profile: &ProfileChange,
) -> ApiResult<()> {
    // The unique indexes speak while nothing has happened yet.
    let mut attempt = tx.begin().await?;
    if let Err(error) = profile.reserve(&mut attempt, user).await {
        attempt.rollback().await?;
        intents::close(&mut tx, command, "cancelled").await?;
        tx.commit().await?;
        return Err(error);
    }
    let graduation = match account.role {
        Some(_) => {
            sqlx::query_scalar!("select graduation from users where id = $1", user)
                .fetch_optional(&mut *attempt)
                .await?
        }
        None => None,
    };
    let body = Command { command_id: command, graduation, account };
    let changed: Result<Account, InternalError> =
        app.auth.post(&format!("/internal/accounts/{user}/change"), &body).await;
    let changed = match changed {
        Ok(changed) => changed,
        Err(InternalError::Api { status, code, message }) if status.is_client_error() => {
            attempt.rollback().await?;
            intents::close(&mut tx, command, "cancelled").await?;
            tx.commit().await?;
            return Err(refusal(InternalError::Api { status, code, message }));
        }
        // Whether it took effect is unknown: asking for the cancellation tells. When auth does not answer this either,
        // the intent stays open for the recovery.
        Err(error) => match intents::settle(app, command).await? {
            Some(changed) => changed,
            None => {
                attempt.rollback().await?;
                intents::close(&mut tx, command, "cancelled").await?;
                tx.commit().await?;
                return Err(refusal(error));
            }
        },
    };
    attempt.commit().await?;
    copy::store(&mut tx, &changed).await?;
    profile.write(&mut tx, user, actor).await?;
    intents::close(&mut tx, command, "done").await?;
    Ok(tx.commit().await?)
}

/// auth's refusals; its codes of taken names are the contract's.
fn refusal(error: InternalError) -> ApiError {
    match &error {
        // Somebody took this request for dead while it was waiting.
        InternalError::Api { code, .. } if code == "COMMAND_CANCELLED" => ApiError::unavailable().because(error),
        InternalError::Api { code, .. } if code == "ACCOUNT_NOT_FOUND" => {
            ApiError::not_found("USER_NOT_FOUND", "Pengguna tidak ditemukan")
        }
        _ => error.into(),
    }
}
