use axum::extract::State as AppStateOf;
use grafikarsa_http::{ApiError, ApiResult, Data, Id};
use serde::Serialize;
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use crate::{
    accounts::{self, Account},
    app::AppState,
};

/// Where a command stands. Only the one that creates an account is ever pending.
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
}

fn cancelled() -> ApiError {
    ApiError::conflict("COMMAND_CANCELLED", "Perintah sudah dibatalkan")
}

/// What an earlier call with this id answered.
pub(super) async fn answered(app: &AppState, command: Uuid) -> ApiResult<Option<Account>> {
    let mut connection = app.pool.acquire().await?;
    match find(&mut connection, command).await? {
        None => Ok(None),
        Some(found) if found.state == State::Cancelled => Err(cancelled()),
        Some(found) => Ok(found.account),
    }
}

/// Takes the id, first of all that the transaction writes: of two calls with one id, or of a call and its cancellation,
/// the second waits here for the first, and gets false unless that one came to nothing.
pub(super) async fn claim(
    connection: &mut PgConnection,
    command: Uuid,
    state: State,
    account: Uuid,
) -> Result<bool, sqlx::Error> {
    let claimed = sqlx::query!(
        "insert into commands (id, state, account_id) values ($1, $2, $3) on conflict (id) do nothing",
        command,
        state.as_str(),
        account,
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

/// Says where a command stands.
pub(super) async fn status(AppStateOf(app): AppStateOf<AppState>, Id(id): Id) -> ApiResult<Data<Command>> {
    let mut connection = app.pool.acquire().await?;
    let found = find(&mut connection, id).await?;
    Ok(Data::new(found.unwrap_or(Command { state: State::Unknown, account: None })))
}

/// Makes a pending account a real one, and tells the others. Again: the same answer.
pub(super) async fn confirm(AppStateOf(app): AppStateOf<AppState>, Id(id): Id) -> ApiResult<Data<Command>> {
    let mut tx = app.pool.begin().await?;
    let Some(command) = lock(&mut tx, id).await? else {
        return Err(ApiError::not_found("COMMAND_NOT_FOUND", "Perintah tidak ditemukan"));
    };
    match command.state {
        State::Applied => return Ok(Data::new(command)),
        State::Pending => {}
        State::Cancelled | State::Unknown => return Err(cancelled()),
    }
    let account = sqlx::query_scalar!(
        r#"
        update accounts
        set is_pending = false
        where id = (select account_id from commands where id = $1)
        returning id
        "#,
        id,
    )
    .fetch_one(&mut *tx)
    .await?;
    let account = accounts::load(&mut tx, account).await?;
    accounts::announce_created(&mut tx, &account).await?;
    sqlx::query!("update commands set state = 'applied' where id = $1", id).execute(&mut *tx).await?;
    keep(&mut tx, id, &account).await?;
    tx.commit().await?;
    Ok(Data::new(Command { state: State::Applied, account: Some(account) }))
}

/// Takes a pending account away, and refuses every later call with this id, also when none has come yet. What is
/// applied stays applied, and the answer says so.
pub(super) async fn cancel(AppStateOf(app): AppStateOf<AppState>, Id(id): Id) -> ApiResult<Data<Command>> {
    let mut tx = app.pool.begin().await?;
    sqlx::query!("insert into commands (id, state) values ($1, 'cancelled') on conflict (id) do nothing", id)
        .execute(&mut *tx)
        .await?;
    let command = lock(&mut tx, id).await?;
    if let Some(Command { state: State::Applied, .. }) = &command {
        return Ok(Data::new(Command { state: State::Applied, account: command.and_then(|command| command.account) }));
    }
    drop_pending(&mut tx, &[id]).await?;
    tx.commit().await?;
    Ok(Data::new(Command { state: State::Cancelled, account: None }))
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
        where is_pending and id in (select account_id from commands where id = any($1) and state = 'pending')
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

async fn find(connection: &mut PgConnection, id: Uuid) -> Result<Option<Command>, sqlx::Error> {
    let row =
        sqlx::query_as!(Row, r#"select state, answer as "answer: Json<Account>" from commands where id = $1"#, id,);
    Ok(row.fetch_optional(connection).await?.map(Command::from))
}

async fn lock(connection: &mut PgConnection, id: Uuid) -> Result<Option<Command>, sqlx::Error> {
    let row = sqlx::query_as!(
        Row,
        r#"select state, answer as "answer: Json<Account>" from commands where id = $1 for update"#,
        id,
    );
    Ok(row.fetch_optional(connection).await?.map(Command::from))
}

struct Row {
    state: String,
    answer: Option<Json<Account>>,
}

impl From<Row> for Command {
    fn from(row: Row) -> Self {
        let state = match row.state.as_str() {
            "applied" => State::Applied,
            "pending" => State::Pending,
            _ => State::Cancelled,
        };
        Self { state, account: row.answer.map(|Json(account)| account) }
    }
}
