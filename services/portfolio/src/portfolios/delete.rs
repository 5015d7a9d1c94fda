use axum::extract::State;
use grafikarsa_http::{ApiResult, Data, Envelope, Id, Nothing};
use sqlx::PgConnection;

use super::{
    access::{self, Loaded},
    events,
};
use crate::{AppState, capabilities::Caller};

/// Deletes a portfolio in any status; its slug is free again.
#[utoipa::path(
    delete,
    path = "/api/v1/portfolios/{id}",
    tag = "portfolios",
    params(("id" = uuid::Uuid, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Nothing>)),
)]
pub async fn delete(State(app): State<AppState>, caller: Caller, Id(id): Id) -> ApiResult<Data<()>> {
    let mut tx = app.db.begin().await?;
    let portfolio = access::lock(&mut tx, id).await?;
    portfolio.must_be_editable_by(&caller)?;
    mark(&mut tx, &portfolio).await?;
    tx.commit().await?;
    Ok(Data::none())
}

/// Deletes the locked portfolio, and has media remove its objects.
pub async fn mark(connection: &mut PgConnection, portfolio: &Loaded) -> Result<(), sqlx::Error> {
    let version = sqlx::query_scalar!(
        "update portfolios set deleted_at = now(), updated_at = now(), version = version + 1 where id = $1 returning version",
        portfolio.id,
    )
    .fetch_one(&mut *connection)
    .await?;
    events::deleted(connection, events::State { version, ..portfolio.state() }).await
}
