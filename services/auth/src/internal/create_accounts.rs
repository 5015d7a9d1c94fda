use std::collections::HashSet;

use axum::extract::State;
use grafikarsa_http::{ApiError, ApiResult, Body, Data, FieldErrors, account_rules as rules};
use grafikarsa_jwt::Role;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

use super::commands::{self, Answer, State as CommandState};
use crate::{
    accounts::{
        Account,
        many::{self, NewAccounts, Taken},
    },
    app::AppState,
};

/// Most accounts of a command.
const MOST: usize = 2000;

#[derive(Deserialize)]
pub(super) struct CreateAccounts {
    command_id: Uuid,
    role: Role,
    must_change_password: bool,
    accounts: Vec<Wanted>,
}

#[derive(Deserialize)]
struct Wanted {
    account_id: Uuid,
    username: String,
    email: String,
    password: SecretString,
}

/// What has become of a batch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Batch {
    pub(super) accounts: Vec<Account>,
    pub(super) refused: Vec<Refused>,
}

/// An account that is not created, because of its names.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Refused {
    account_id: Uuid,
    /// `USERNAME_TAKEN`, `DUPLICATE_EMAIL`, or `RACE_LOST` if somebody took a name while the passwords were hashed.
    code: String,
}

/// Reserves the names and stores the accounts, pending: all of them whose names are free, or none if anything else goes
/// wrong. It takes as long as the hashes of all passwords.
pub(super) async fn create_accounts(
    State(app): State<AppState>,
    Body(mut body): Body<CreateAccounts>,
) -> ApiResult<Data<Batch>> {
    if let Some(answered) = commands::answered_batch(&app, body.command_id).await? {
        return Ok(Data::new(answered));
    }
    body.check()?;
    let refused = body.refuse_taken(&app).await?;
    let (new, passwords) = body.split();
    let new = NewAccounts { hashes: app.passwords.hash_all(passwords).await?, ..new };

    let mut tx = app.pool.begin().await?;
    if !commands::claim(&mut tx, body.command_id, CommandState::Pending, None).await? {
        tx.rollback().await?;
        let answered = commands::answered_batch(&app, body.command_id).await?;
        return answered.map(Data::new).ok_or_else(ApiError::unavailable);
    }
    let accounts = many::insert(&mut tx, &new, body.role, body.must_change_password).await?;
    let batch = Batch { refused: with_losers(refused, &new.ids, &accounts), accounts };
    commands::keep_batch(&mut tx, body.command_id, &batch).await?;
    tx.commit().await?;
    Ok(Data::new(batch))
}

/// Makes the pending accounts of a batch real ones, all but those `without` which their owner does: they go, as if they
/// had never been. In the transaction that holds the command's lock.
pub(super) async fn confirm(
    connection: &mut PgConnection,
    command: Uuid,
    ids: Vec<Uuid>,
    without: &[Uuid],
    answer: Option<Answer>,
) -> Result<Vec<Account>, sqlx::Error> {
    let without: HashSet<Uuid> = without.iter().copied().collect();
    let (dropped, kept): (Vec<Uuid>, Vec<Uuid>) = ids.into_iter().partition(|id| without.contains(id));
    sqlx::query!("delete from accounts where is_pending and id = any($1)", &dropped).execute(&mut *connection).await?;
    let accounts = many::confirm(connection, &kept).await?;
    let refused = if let Some(Answer::Many(batch)) = answer { batch.refused } else { Vec::new() };
    let batch = Batch { accounts, refused };
    commands::keep_batch(connection, command, &batch).await?;
    Ok(batch.accounts)
}

impl CreateAccounts {
    /// A first password has no least length: it is meant to be changed.
    fn check(&mut self) -> ApiResult<()> {
        let mut errors = FieldErrors::new();
        if self.accounts.is_empty() || self.accounts.len() > MOST {
            errors.add("accounts", format!("Jumlah akun harus 1 sampai {MOST}"));
        }
        for wanted in &mut self.accounts {
            wanted.username = wanted.username.trim().to_owned();
            wanted.email = rules::normal_email(&wanted.email);
            errors.check("username", rules::username(&wanted.username));
            errors.check("email", rules::email(&wanted.email));
            let password = wanted.password.expose_secret();
            if password.is_empty() || password.len() > rules::PASSWORD_MAX_BYTES || password.contains('\0') {
                errors.add("password", "Password tidak valid");
            }
        }
        errors.finish()
    }

    /// Takes out whose names are taken, before any work is done for them.
    async fn refuse_taken(&mut self, app: &AppState) -> ApiResult<Vec<Refused>> {
        let usernames: Vec<String> = self.accounts.iter().map(|wanted| wanted.username.clone()).collect();
        let emails: Vec<String> = self.accounts.iter().map(|wanted| wanted.email.clone()).collect();
        let Taken { usernames, emails } = many::taken(&mut *app.pool.acquire().await?, &usernames, &emails).await?;
        let usernames: HashSet<String> = usernames.into_iter().collect();
        let emails: HashSet<String> = emails.into_iter().collect();
        let mut refused = Vec::new();
        self.accounts.retain(|wanted| {
            let code = if usernames.contains(&wanted.username) {
                "USERNAME_TAKEN"
            } else if emails.contains(&wanted.email) {
                "DUPLICATE_EMAIL"
            } else {
                return true;
            };
            refused.push(Refused { account_id: wanted.account_id, code: code.to_owned() });
            false
        });
        Ok(refused)
    }

    fn split(&mut self) -> (NewAccounts, Vec<SecretString>) {
        let mut new = NewAccounts::default();
        let mut passwords = Vec::with_capacity(self.accounts.len());
        for wanted in self.accounts.drain(..) {
            new.ids.push(wanted.account_id);
            new.usernames.push(wanted.username);
            new.emails.push(wanted.email);
            passwords.push(wanted.password);
        }
        (new, passwords)
    }
}

fn with_losers(mut refused: Vec<Refused>, wanted: &[Uuid], stored: &[Account]) -> Vec<Refused> {
    let stored: HashSet<Uuid> = stored.iter().map(|account| account.id).collect();
    let losers = wanted.iter().filter(|id| !stored.contains(id));
    refused.extend(losers.map(|&account_id| Refused { account_id, code: "RACE_LOST".to_owned() }));
    refused
}
