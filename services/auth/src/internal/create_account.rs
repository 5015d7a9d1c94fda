use axum::extract::State;
use grafikarsa_http::{ApiError, ApiResult, Body, Data, FieldErrors, OnConstraint as _};
use grafikarsa_jwt::Role;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use sqlx::types::Json;
use uuid::Uuid;

use super::commands::{self, State as CommandState, cancelled};
use crate::{
    accounts::{self, Account, NewAccount, rules},
    app::AppState,
};

#[derive(Deserialize)]
pub(super) struct CreateAccount {
    command_id: Uuid,
    account_id: Uuid,
    username: String,
    email: String,
    password: SecretString,
    role: Role,
    must_change_password: bool,
}

/// Reserves the names and stores the account, pending.
pub(super) async fn create_account(
    State(app): State<AppState>,
    Body(mut body): Body<CreateAccount>,
) -> ApiResult<Data<Account>> {
    if let Some(known) = known(&app, body.command_id).await? {
        return Ok(Data::new(known));
    }
    body.check()?;
    let hash = app.passwords.hash(body.password).await?;

    let mut tx = app.pool.begin().await?;
    // Of two calls with one id, or of a call and its cancellation, the second waits here for the first.
    let ours = sqlx::query!(
        "insert into commands (id, state, account_id) values ($1, 'pending', $2) on conflict (id) do nothing",
        body.command_id,
        body.account_id,
    );
    if ours.execute(&mut *tx).await?.rows_affected() == 0 {
        tx.rollback().await?;
        let known = known(&app, body.command_id).await?;
        return known.map(Data::new).ok_or_else(ApiError::unavailable);
    }
    let new = NewAccount {
        id: body.account_id,
        username: &body.username,
        email: &body.email,
        password_hash: &hash,
        role: body.role.as_str(),
        must_change_password: body.must_change_password,
        is_pending: true,
    };
    let account = accounts::insert(&mut tx, new)
        .await
        .on_constraint("accounts_pkey", || ApiError::conflict("ACCOUNT_EXISTS", "Akun sudah ada"))?;
    sqlx::query!("update commands set answer = $2 where id = $1", body.command_id, Json(&account) as _)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(Data::new(account))
}

impl CreateAccount {
    fn check(&mut self) -> ApiResult<()> {
        self.username = self.username.trim().to_owned();
        self.email = rules::normal_email(&self.email);
        let mut errors = FieldErrors::new();
        for (field, rule) in [
            ("username", rules::username(&self.username)),
            ("email", rules::email(&self.email)),
            ("password", rules::new_password(self.password.expose_secret())),
        ] {
            if let Err(message) = rule {
                errors.add(field, message);
            }
        }
        errors.finish()
    }
}

/// What an earlier call with this id answered.
async fn known(app: &AppState, command: Uuid) -> ApiResult<Option<Account>> {
    let mut connection = app.pool.acquire().await?;
    match commands::find(&mut connection, command).await? {
        None => Ok(None),
        Some(found) if found.state == CommandState::Cancelled => Err(cancelled()),
        Some(found) => Ok(found.account),
    }
}
