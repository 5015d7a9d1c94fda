//! What the other services ask synchronously.

mod objects;

use axum::{
    Router,
    extract::State,
    routing::{get, post},
};
use grafikarsa_http::{ApiError, ApiResult, Data, Id, Path, Query};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    AppState,
    capabilities::Caller,
    portfolios::{Status, access},
};

pub fn router() -> Router<AppState> {
    Router::new()
        .route("/internal/portfolios/{id}/rights", get(rights))
        .route("/internal/portfolios/{id}/blocks/{block_id}", get(block))
        .route("/internal/objects/deletion", post(objects::delete))
        .route("/internal/objects/unreferenced", post(objects::unreferenced))
}

#[derive(Debug, Deserialize)]
struct Asker {
    user_id: Option<Uuid>,
}

#[derive(Debug, Serialize)]
struct Rights {
    portfolio_id: Uuid,
    owner_id: Uuid,
    status: Status,
    owner_active: bool,
    can_edit: bool,
    visible: bool,
}

/// What a user, or a guest, may do with a portfolio: for media's presign, confirm, delete and document reads.
async fn rights(State(app): State<AppState>, Id(id): Id, Query(asker): Query<Asker>) -> ApiResult<Data<Rights>> {
    let portfolio = access::find(&app.db, id).await?;
    let caller: Option<Caller> = match asker.user_id {
        None => None,
        Some(user) => match app.callers.get(user).await {
            Ok(caller) => Some(caller),
            // Deactivated or deleted in the meantime: no more rights than a guest.
            Err(error) if error.status().is_client_error() => None,
            Err(error) => return Err(error),
        },
    };
    Ok(Data::new(Rights {
        portfolio_id: portfolio.id,
        owner_id: portfolio.user_id,
        status: portfolio.status,
        owner_active: !portfolio.owner_hidden,
        can_edit: caller.as_ref().is_some_and(|caller| access::can_edit(portfolio.user_id, caller)),
        visible: access::is_visible(portfolio.user_id, portfolio.status, portfolio.owner_hidden, caller.as_ref()),
    }))
}

#[derive(Debug, Serialize)]
struct BlockExists {
    exists: bool,
}

/// Whether a block belongs to a portfolio.
async fn block(State(app): State<AppState>, Path((id, block)): Path<(Uuid, Uuid)>) -> ApiResult<Data<BlockExists>> {
    let exists = sqlx::query_scalar!(
        r#"select exists (select 1 from content_blocks where portfolio_id = $1 and id = $2) as "exists!""#,
        id,
        block,
    )
    .fetch_one(&app.db)
    .await
    .map_err(ApiError::from)?;
    Ok(Data::new(BlockExists { exists }))
}
