use axum::extract::State;
use grafikarsa_http::{ApiError, ApiResult, Body, Data, FieldErrors, OnConstraint as _, account_rules as rules};
use grafikarsa_jwt::Role;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use uuid::Uuid;

use super::commands::{self, State as CommandState};
use crate::{
    accounts::{self, Account, NewAccount},
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
    if let Some(answered) = commands::answered(&app, body.command_id).await? {
        return Ok(Data::new(answered));
    }
    body.check()?;
    let hash = app.passwords.hash(body.password).await?;

    let mut tx = app.pool.begin().await?;
    if !commands::claim(&mut tx, body.command_id, CommandState::Pending, body.account_id).await? {
        tx.rollback().await?;
        let answered = commands::answered(&app, body.command_id).await?;
        return answered.map(Data::new).ok_or_else(ApiError::unavailable);
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
    commands::keep(&mut tx, body.command_id, &account).await?;
    tx.commit().await?;
    Ok(Data::new(account))
}

impl CreateAccount {
    fn check(&mut self) -> ApiResult<()> {
        self.username = self.username.trim().to_owned();
        self.email = rules::normal_email(&self.email);
        let mut errors = FieldErrors::new();
        errors.check("username", rules::username(&self.username));
        errors.check("email", rules::email(&self.email));
        errors.check("password", rules::new_password(self.password.expose_secret()));
        errors.finish()
    }
}
