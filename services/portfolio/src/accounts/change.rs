use grafikarsa_http::{ApiError, ApiResult, InternalError, nullable};
use serde::{Deserialize, Serialize};
use sqlx::{Acquire as _, PgConnection, PgTransaction, types::Json};
use uuid::Uuid;

use super::intents;
use crate::{
    AppState,
    users::{
        copy::{self, Account},
        profile,
    },
};

/// An equal request may take this one for dead in the moment before it locks its intent; then it begins anew.
pub const ATTEMPTS: usize = 3;

/// What auth is to change; absent is unchanged.
#[derive(Debug, Default, Serialize)]
pub struct AccountChange {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

impl AccountChange {
    pub fn is_empty(&self) -> bool {
        self.username.is_none() && self.email.is_none()
    }
}

/// What is to change here; absent is unchanged. An intent keeps it until auth's half is certain.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ProfileChange {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nama: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "nullable")]
    pub bio: Option<Option<String>>,
}

impl ProfileChange {
    /// Writes these columns and no others, and tells the others of a new name.
    pub async fn write(&self, connection: &mut PgConnection, user: Uuid) -> Result<(), sqlx::Error> {
        if self.nama.is_none() && self.bio.is_none() {
            return Ok(());
        }
        sqlx::query!(
            "
            update users
            set nama = coalesce($2, nama),
                bio = case when $3 then $4 else bio end,
                updated_at = now()
            where id = $1
            ",
            user,
            self.nama,
            self.bio.is_some(),
            self.bio.clone().flatten(),
        )
        .execute(&mut *connection)
        .await?;
        if self.nama.is_some() { profile::changed(connection, user).await } else { Ok(()) }
    }
}

#[derive(Serialize)]
struct Command<'a> {
    command_id: Uuid,
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
        profile.write(&mut tx, user).await?;
        return Ok(tx.commit().await?);
    }

    let mut connection = app.db.acquire().await?;
    for _ in 0..ATTEMPTS {
        let command = open(&mut connection, actor, user, &profile).await?;
        let mut tx = connection.begin().await?;
        if intents::lock(&mut tx, command).await? {
            finish(app, tx, command, user, &account, &profile).await?;
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
    user: Uuid,
    account: &AccountChange,
    profile: &ProfileChange,
) -> ApiResult<()> {
    let body = Command { command_id: command, account };
    let changed: Result<Account, InternalError> =
        app.auth.post(&format!("/internal/accounts/{user}/change"), &body).await;
    let changed = match changed {
        Ok(changed) => changed,
        Err(InternalError::Api { status, code, message }) if status.is_client_error() => {
            intents::close(&mut tx, command, "cancelled").await?;
            tx.commit().await?;
            return Err(refusal(InternalError::Api { status, code, message }));
        }
        // Whether it took effect is unknown: asking for the cancellation tells. When auth does not answer this either,
        // the intent stays open for the recovery.
        Err(error) => match intents::settle(app, command).await? {
            Some(changed) => changed,
            None => {
                intents::close(&mut tx, command, "cancelled").await?;
                tx.commit().await?;
                return Err(refusal(error));
            }
        },
    };
    copy::store(&mut tx, &changed).await?;
    profile.write(&mut tx, user).await?;
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
