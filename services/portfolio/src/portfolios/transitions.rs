//! What an owner does with the status: submit, archive, unarchive.

use axum::extract::State;
use grafikarsa_http::{ApiError, ApiResult, Data, Envelope, Id};
use http::StatusCode;
use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    Status,
    access::{self, Loaded},
    events,
    status::{Action, Refusal},
};
use crate::{AppState, capabilities::Caller};

#[derive(Debug, Serialize, ToSchema)]
pub struct StatusOf {
    id: Uuid,
    status: Status,
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Forbidden => Self::forbidden(),
            Refusal::Impossible => Self::bad_request("INVALID_STATUS_TRANSITION", "Perubahan status tidak diizinkan"),
        }
    }
}

/// Asks for a review. At least one block must show something.
#[utoipa::path(
    post,
    path = "/api/v1/portfolios/{id}/submit",
    tag = "portfolios",
    params(("id" = Uuid, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<StatusOf>)),
)]
pub async fn submit(State(app): State<AppState>, caller: Caller, Id(id): Id) -> ApiResult<Data<StatusOf>> {
    let mut tx = app.db.begin().await?;
    let portfolio = access::lock(&mut tx, id).await?;
    let status = Action::Submit.apply(portfolio.status, portfolio.actor(&caller))?;
    let complete = sqlx::query_scalar!(
        r#"
        select exists (select 1 from content_blocks where portfolio_id = $1 and not is_empty) as "complete!"
        "#,
        id,
    )
    .fetch_one(&mut *tx)
    .await?;
    if !complete {
        let message = "Portofolio harus memiliki minimal satu blok konten yang terisi";
        let error = ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "INCOMPLETE_PORTFOLIO", message);
        return Err(error.detail("content_blocks", message));
    }
    let answer = move_to(&mut tx, &portfolio, status).await?;
    tx.commit().await?;
    Ok(Data::new(answer))
}

/// Takes a published portfolio out of the public lists.
#[utoipa::path(
    post,
    path = "/api/v1/portfolios/{id}/archive",
    tag = "portfolios",
    params(("id" = Uuid, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<StatusOf>)),
)]
pub async fn archive(State(app): State<AppState>, caller: Caller, Id(id): Id) -> ApiResult<Data<StatusOf>> {
    apply(&app, &caller, id, Action::Archive).await
}

/// Makes an archived portfolio a draft, to be reviewed anew.
#[utoipa::path(
    post,
    path = "/api/v1/portfolios/{id}/unarchive",
    tag = "portfolios",
    params(("id" = Uuid, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<StatusOf>)),
)]
pub async fn unarchive(State(app): State<AppState>, caller: Caller, Id(id): Id) -> ApiResult<Data<StatusOf>> {
    apply(&app, &caller, id, Action::Unarchive).await
}

async fn apply(app: &AppState, caller: &Caller, id: Uuid, action: Action) -> ApiResult<Data<StatusOf>> {
    let mut tx = app.db.begin().await?;
    let portfolio = access::lock(&mut tx, id).await?;
    let status = action.apply(portfolio.status, portfolio.actor(caller))?;
    let answer = move_to(&mut tx, &portfolio, status).await?;
    tx.commit().await?;
    Ok(Data::new(answer))
}

async fn move_to(connection: &mut PgConnection, portfolio: &Loaded, status: Status) -> ApiResult<StatusOf> {
    let version = sqlx::query_scalar!(
        "
        update portfolios
        set status = $2, version = version + 1, updated_at = clock_timestamp()
        where id = $1
        returning version
        ",
        portfolio.id,
        status.as_str(),
    )
    .fetch_one(&mut *connection)
    .await?;
    events::status_changed(connection, events::State { version, status, ..portfolio.state() }).await?;
    Ok(StatusOf { id: portfolio.id, status })
}
