//! The import itself, in the order that the module `intents` explains.

use std::{collections::HashMap, time::Duration};

use grafikarsa_http::{ApiError, ApiResult, InternalError};
use grafikarsa_jwt::Role;
use rand::seq::IndexedRandom as _;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::{Acquire as _, PgConnection, PgTransaction, types::Json};
use uuid::Uuid;

use super::{
    check::{Checked, Student, Year},
    recovery::Plan,
    report::{Imported, Outcome},
    write::{self, Kelas, Profile},
};
use crate::{
    AppState,
    accounts::{
        change::ATTEMPTS,
        intents::{self, Command, CommandState},
    },
    settings::InitialPassword,
    users::copy::Account,
};

/// auth hashes two thousand passwords meanwhile.
const HASHING: Duration = Duration::from_secs(125);
/// auth's part of the confirmation is as long as the writing of two thousand rows.
const CONFIRMING: Duration = Duration::from_secs(10);

/// Letters and digits that nobody mistakes for each other.
const ALPHABET: &[u8] = b"abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
const PASSWORD_LENGTH: usize = 10;

/// What auth is asked for. The passwords go no further.
#[derive(Serialize)]
struct CreateAccounts<'a> {
    command_id: Uuid,
    role: Role,
    must_change_password: bool,
    accounts: Vec<NewAccount<'a>>,
}

#[derive(Serialize)]
struct NewAccount<'a> {
    account_id: Uuid,
    username: &'a str,
    email: String,
    password: &'a str,
}

/// auth's answer.
#[derive(Deserialize)]
struct Batch {
    accounts: Vec<Account>,
    refused: Vec<Refused>,
}

#[derive(Deserialize)]
struct Refused {
    account_id: Uuid,
    code: String,
}

/// What was stored here.
#[derive(Default)]
struct Written {
    created_classes: usize,
    /// The class of each student who is stored.
    kelas: HashMap<Uuid, Kelas>,
    /// Accounts that are to go again.
    lost: Vec<Uuid>,
}

/// Creates the students, or none of them.
pub async fn run(app: &AppState, actor: Uuid, checked: Checked) -> ApiResult<Imported> {
    let Checked { year, total_rows, students, errors } = checked;
    let students: Vec<(Uuid, Student)> = students.into_iter().map(|student| (Uuid::now_v7(), student)).collect();
    let passwords: Vec<String> =
        students.iter().map(|(_, student)| first_password(app.rules.initial_password, student)).collect();
    let (written, refused) =
        if students.is_empty() { Default::default() } else { create(app, actor, year, &students, &passwords).await? };
    let refused = refused.into_iter().map(|refused| (refused.account_id, refused.code)).collect();
    let outcome =
        Outcome { total_rows, errors, created_classes: written.created_classes, kelas: written.kelas, refused };
    Ok(outcome.report(app.rules.initial_password, &students, passwords))
}

async fn create(
    app: &AppState,
    actor: Uuid,
    year: Year,
    students: &[(Uuid, Student)],
    passwords: &[String],
) -> ApiResult<(Written, Vec<Refused>)> {
    let mut connection = app.db.acquire().await?;
    for _ in 0..ATTEMPTS {
        let command = open(&mut connection, actor, year, students).await?;
        let mut tx = connection.begin().await?;
        // The lock on the intent says that this request is alive, for as long as auth takes.
        sqlx::query("set local idle_in_transaction_session_timeout = '140s'").execute(&mut *tx).await?;
        if intents::lock(&mut tx, command).await? {
            return carry_out(app, tx, actor, command, year, students, passwords).await;
        }
    }
    Err(ApiError::unavailable())
}

/// Commits the intent, on the connection that locks it in the next moment.
async fn open(
    connection: &mut PgConnection,
    actor: Uuid,
    year: Year,
    students: &[(Uuid, Student)],
) -> Result<Uuid, sqlx::Error> {
    let command = Uuid::now_v7();
    let ids: Vec<Uuid> = students.iter().map(|(id, _)| *id).collect();
    sqlx::query!(
        "
        insert into account_intents (command_id, account_ids, actor_id, kind, profile)
        values ($1, $2, $3, 'import', $4)
        ",
        command,
        &ids,
        actor,
        Json(Plan::new(year, students)) as _,
    )
    .execute(connection)
    .await?;
    Ok(command)
}

async fn carry_out(
    app: &AppState,
    mut tx: PgTransaction<'_>,
    actor: Uuid,
    command: Uuid,
    year: Year,
    students: &[(Uuid, Student)],
    passwords: &[String],
) -> ApiResult<(Written, Vec<Refused>)> {
    let Batch { accounts, refused } = match ask(app, command, students, passwords).await {
        Ok(batch) => batch,
        Err(error) => return give_up(app, tx, command, refusal(error)).await,
    };
    // Waiting for another import's classes takes as long as that one's confirmation.
    sqlx::query("set local lock_timeout = '20s'").execute(&mut *tx).await?;
    sqlx::query("set local statement_timeout = '20s'").execute(&mut *tx).await?;

    // The unique indexes speak while the accounts can still be taken back.
    let mut attempt = tx.begin().await?;
    let written = match store(&mut attempt, actor, year, students, &accounts).await {
        Ok(Some(written)) => {
            attempt.commit().await?;
            written
        }
        // The school has changed since the file was checked: a repetition reports what that means for its rows.
        Ok(None) => {
            attempt.rollback().await?;
            return give_up(app, tx, command, ApiError::unavailable()).await;
        }
        Err(error) => {
            attempt.rollback().await?;
            return give_up(app, tx, command, error.into()).await;
        }
    };

    let confirmed: Result<Command, InternalError> = app
        .auth
        .within(CONFIRMING)
        .post(&format!("/internal/commands/{command}/confirm"), &json!({ "without": written.lost }))
        .await;
    if let Err(error) = confirmed {
        // Whether it took effect is unknown: asking for the cancellation tells. When auth does not answer this either,
        // the open intent remembers; it is settled as soon as auth answers.
        match intents::cancel(app, command).await {
            Ok(answer) if answer.state == CommandState::Applied => {}
            Ok(_) => {
                tx.rollback().await?;
                intents::close(&mut *app.db.acquire().await?, command, "cancelled").await?;
                return Err(refusal(error));
            }
            Err(_) => return Err(ApiError::unavailable().because(error)),
        }
    }
    intents::close(&mut tx, command, "done").await?;
    tx.commit().await?;
    Ok((written, refused))
}

async fn ask(
    app: &AppState,
    command: Uuid,
    students: &[(Uuid, Student)],
    passwords: &[String],
) -> Result<Batch, InternalError> {
    let accounts = students.iter().zip(passwords).map(|((account_id, student), password)| NewAccount {
        account_id: *account_id,
        username: &student.nis,
        email: student.email(),
        password,
    });
    let body = CreateAccounts {
        command_id: command,
        role: Role::Student,
        must_change_password: true,
        accounts: accounts.collect(),
    };
    app.auth.within(HASHING).post("/internal/accounts/batch", &body).await
}

/// Takes back what auth may have done, and ends the intent. When auth does not answer, the intent stays open for the
/// recovery.
async fn give_up<T>(app: &AppState, mut tx: PgTransaction<'_>, command: Uuid, error: ApiError) -> ApiResult<T> {
    let answer = intents::cancel(app, command).await?;
    if answer.state == CommandState::Applied {
        // Impossible before the confirmation, but never to be left half done: the recovery completes it.
        return Err(ApiError::unavailable());
    }
    intents::close(&mut tx, command, "cancelled").await?;
    tx.commit().await?;
    Err(error)
}

/// Classes and profiles of the accounts; `None` if the school does not allow them any more.
async fn store(
    connection: &mut PgConnection,
    actor: Uuid,
    year: Year,
    students: &[(Uuid, Student)],
    accounts: &[Account],
) -> Result<Option<Written>, sqlx::Error> {
    let accounts: HashMap<Uuid, &Account> = accounts.iter().map(|account| (account.id, account)).collect();
    let created: Vec<(&Student, &Account)> =
        students.iter().filter_map(|(id, student)| Some((student, *accounts.get(id)?))).collect();
    let places: Vec<_> = created.iter().map(|(student, _)| student.place.clone()).collect();
    if !write::hold_school(connection, year.id, &places).await? {
        return Ok(None);
    }
    let (classes, created_classes) = write::ensure_classes(connection, actor, year.id, &places).await?;
    let mut profiles = Vec::with_capacity(created.len());
    let mut kelas = HashMap::with_capacity(created.len());
    for (student, account) in created {
        // Deleted in the moment before.
        let Some(class) = classes.get(&student.place) else { return Ok(None) };
        profiles.push(Profile {
            account,
            nama: &student.nama,
            nis: &student.nis,
            kelas: Some(class.id),
            tahun_masuk: year.tahun_masuk(student.place.tingkat),
        });
        kelas.insert(account.id, class.clone());
    }
    let stored = write::insert(connection, actor, &profiles).await?;
    kelas.retain(|id, _| stored.contains(id));
    let lost = accounts.into_keys().filter(|id| !stored.contains(id)).collect();
    Ok(Some(Written { created_classes, kelas, lost }))
}

fn first_password(kind: InitialPassword, student: &Student) -> String {
    match kind {
        InitialPassword::Nis => student.nis.clone(),
        InitialPassword::Random => {
            let mut random = rand::rng();
            ALPHABET
                .choose_iter(&mut random)
                .into_iter()
                .flatten()
                .take(PASSWORD_LENGTH)
                .map(|&c| char::from(c))
                .collect()
        }
    }
}

/// What auth says no to, the file has been checked for.
fn refusal(error: InternalError) -> ApiError {
    match &error {
        // Somebody took this request for dead while it was waiting.
        InternalError::Api { code, .. } if code == "COMMAND_CANCELLED" => ApiError::unavailable().because(error),
        InternalError::Api { status, .. } if status.is_client_error() => ApiError::internal(error),
        _ => error.into(),
    }
}
