use axum::extract::State as AppStateOf;
use grafikarsa_http::{ApiError, ApiResult, Body, Data, Id};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use super::create_accounts::{self, Batch};
use crate::{
    accounts::{self, Account},
    app::AppState,
};

/// Where a command stands. Only those that create accounts are ever pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    Unknown,
    Pending,
    Applied,
    Cancelled,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Pending => "pending",
            Self::Applied => "applied",
            Self::Cancelled => "cancelled",
        }
    }
}

/// The answer about a command.
#[derive(Debug, Serialize)]
pub(super) struct Command {
    pub(super) state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) account: Option<Account>,
    /// Those of a batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    accounts: Option<Vec<Account>>,
}

impl Command {
    fn without_answer(state: State) -> Self {
        Self { state, account: None, accounts: None }
    }
}

/// What the first call with an id was answered, and what every later one is.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Answer {
    One(Account),
    Many(Batch),
}

/// What portfolio leaves out of the accounts of a batch.
#[derive(Default, Deserialize)]
pub(super) struct Confirmation {
    #[serde(default)]
    without: Vec<Uuid>,
}

fn cancelled() -> ApiError {
    ApiError::conflict("COMMAND_CANCELLED", "Perintah sudah dibatalkan")
}

/// What an earlier call with this id answered.
pub(super) async fn answered(app: &AppState, command: Uuid) -> ApiResult<Option<Account>> {
    match answer(app, command).await? {
        Some(Answer::One(account)) => Ok(Some(account)),
        Some(Answer::Many(_)) | None => Ok(None),
    }
}

/// The same of a call that creates many accounts.
pub(super) async fn answered_batch(app: &AppState, command: Uuid) -> ApiResult<Option<Batch>> {
    match answer(app, command).await? {
        Some(Answer::Many(batch)) => Ok(Some(batch)),
        Some(Answer::One(_)) | None => Ok(None),
    }
}

async fn answer(app: &AppState, command: Uuid) -> ApiResult<Option<Answer>> {
    let mut connection = app.pool.acquire().await?;
    match find(&mut connection, command).await? {
        None => Ok(None),
        Some(found) if found.state == State::Cancelled => Err(cancelled()),
        Some(found) => Ok(found.answer),
    }
}

/// Takes the id, first of all that the transaction writes: of two calls with one id, or of a call and its cancellation,
/// the second waits here for the first, and gets false unless that one came to nothing.
pub(super) async fn claim(
    connection: &mut PgConnection,
    command: Uuid,
    state: State,
    account: impl Into<Option<Uuid>>,
) -> Result<bool, sqlx::Error> {
    let claimed = sqlx::query!(
        "insert into commands (id, state, account_id) values ($1, $2, $3) on conflict (id) do nothing",
        command,
        state.as_str(),
        account.into(),
    );
    Ok(claimed.execute(connection).await?.rows_affected() == 1)
}

/// Keeps the answer for every later call with this id.
pub(super) async fn keep(connection: &mut PgConnection, command: Uuid, answer: &Account) -> Result<(), sqlx::Error> {
    sqlx::query!("update commands set answer = $2 where id = $1", command, Json(answer) as _)
        .execute(connection)
        .await
        .map(drop)
}

/// Keeps the answer of a batch, and which accounts are its own.
pub(super) async fn keep_batch(
    connection: &mut PgConnection,
    command: Uuid,
    answer: &Batch,
) -> Result<(), sqlx::Error> {
    let ids: Vec<Uuid> = answer.accounts.iter().map(|account| account.id).collect();
    sqlx::query!("update commands set answer = $2, account_ids = $3 where id = $1", command, Json(answer) as _, &ids,)
        .execute(connection)
        .await
        .map(drop)
}

/// Says where a command stands.
pub(super) async fn status(AppStateOf(app): AppStateOf<AppState>, Id(id): Id) -> ApiResult<Data<Command>> {
    let mut connection = app.pool.acquire().await?;
    let found = find(&mut connection, id).await?;
    Ok(Data::new(found.map_or(Command::without_answer(State::Unknown), Command::from)))
}

/// Makes a pending account a real one, or those of a batch, and tells the others. Again: the same answer.
pub(super) async fn confirm(
    AppStateOf(app): AppStateOf<AppState>,
    Id(id): Id,
    Body(confirmation): Body<Option<Confirmation>>,
) -> ApiResult<Data<Command>> {
    let mut tx = app.pool.begin().await?;
    let Some(command) = lock(&mut tx, id).await? else {
        return Err(ApiError::not_found("COMMAND_NOT_FOUND", "Perintah tidak ditemukan"));
    };
    match command.state {
        State::Applied => return Ok(Data::new(command.into())),
        State::Pending => {}
        State::Cancelled | State::Unknown => return Err(cancelled()),
    }
    sqlx::query!("update commands set state = 'applied' where id = $1", id).execute(&mut *tx).await?;
    let confirmed = match command.account_ids {
        Some(ids) => {
            let without = confirmation.unwrap_or_default().without;
            let accounts = create_accounts::confirm(&mut tx, id, ids, &without, command.answer).await?;
            Command { accounts: Some(accounts), ..Command::without_answer(State::Applied) }
        }
        None => confirm_one(&mut tx, id).await?,
    };
    tx.commit().await?;
    Ok(Data::new(confirmed))
}

async fn confirm_one(connection: &mut PgConnection, id: Uuid) -> Result<Command, sqlx::Error> {
    let account = sqlx::query_scalar!(
        r#"
        update accounts
        set is_pending = false
        where id = (select account_id from commands where id = $1)
        returning id
        "#,
        id,
    )
    .fetch_one(&mut *connection)
    .await?;
    let account = accounts::load(connection, account).await?;
    accounts::announce_created(connection, &account).await?;
    keep(connection, id, &account).await?;
    Ok(Command { account: Some(account), ..Command::without_answer(State::Applied) })
}

/// Takes the pending accounts away, and refuses every later call with this id, also when none has come yet. What is
/// applied stays applied, and the answer says so.
pub(super) async fn cancel(AppStateOf(app): AppStateOf<AppState>, Id(id): Id) -> ApiResult<Data<Command>> {
    let mut tx = app.pool.begin().await?;
    sqlx::query!("insert into commands (id, state) values ($1, 'cancelled') on conflict (id) do nothing", id)
        .execute(&mut *tx)
        .await?;
    if let Some(applied) = lock(&mut tx, id).await?.filter(|found| found.state == State::Applied) {
        return Ok(Data::new(applied.into()));
    }
    drop_pending(&mut tx, &[id]).await?;
    tx.commit().await?;
    Ok(Data::new(Command::without_answer(State::Cancelled)))
}

/// Cancels what nobody confirmed within ten minutes. Returns how many.
pub(crate) async fn expire(connection: &mut PgConnection) -> Result<usize, sqlx::Error> {
    let late = sqlx::query_scalar!(
        r#"
        select id
        from commands
        where state = 'pending' and created_at < now() - interval '10 minutes'
        limit 500
        for update skip locked
        "#,
    )
    .fetch_all(&mut *connection)
    .await?;
    drop_pending(connection, &late).await?;
    Ok(late.len())
}

/// Whose rows are locked: their accounts go, as if they had never been, and the ids stay refused. What is applied, as
/// every change is from the beginning, is not touched.
async fn drop_pending(connection: &mut PgConnection, commands: &[Uuid]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"
        delete from accounts
        where is_pending and id in (
            select unnest(account_ids || account_id) from commands where id = any($1) and state = 'pending'
        )
        "#,
        commands,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "update commands set state = 'cancelled', answer = null where id = any($1) and state = 'pending'",
        commands,
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn find(connection: &mut PgConnection, id: Uuid) -> Result<Option<Found>, sqlx::Error> {
    let row = sqlx::query_as!(
        Row,
        r#"select state, answer as "answer: Json<Answer>", account_ids from commands where id = $1"#,
        id,
    );
    Ok(row.fetch_optional(connection).await?.map(Found::from))
}

async fn lock(connection: &mut PgConnection, id: Uuid) -> Result<Option<Found>, sqlx::Error> {
    let row = sqlx::query_as!(
        Row,
        r#"select state, answer as "answer: Json<Answer>", account_ids from commands where id = $1 for update"#,
        id,
    );
    Ok(row.fetch_optional(connection).await?.map(Found::from))
}

struct Row {
    state: String,
    answer: Option<Json<Answer>>,
    account_ids: Option<Vec<Uuid>>,
}

/// A command as it is stored.
struct Found {
    state: State,
    answer: Option<Answer>,
    /// Those of a batch.
    account_ids: Option<Vec<Uuid>>,
}

impl From<Row> for Found {
    fn from(row: Row) -> Self {
        let state = match row.state.as_str() {
            "applied" => State::Applied,
            "pending" => State::Pending,
            _ => State::Cancelled,
        };
        Self { state, answer: row.answer.map(|Json(answer)| answer), account_ids: row.account_ids }
    }
}

impl From<Found> for Command {
    fn from(found: Found) -> Self {
        let command = Self::without_answer(found.state);
        match found.answer {
            Some(Answer::One(account)) => Self { account: Some(account), ..command },
            Some(Answer::Many(batch)) => Self { accounts: Some(batch.accounts), ..command },
            None => command,
        }
    }
}
