use axum::extract::State;
use chrono::{DateTime, Utc};
use grafikarsa_http::{ApiError, ApiResult, Data, Envelope, Id};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::item::AdminPortfolioItem;
use crate::{
    AppState,
    capabilities::{Caller, Capability},
    portfolios::{Status, access, detail},
};

/// A portfolio with its content and its review.
#[derive(Debug, Serialize, ToSchema)]
pub struct AdminPortfolioDetail {
    #[serde(flatten)]
    item: AdminPortfolioItem,
    reviewed_by: Option<Uuid>,
    reviewed_at: Option<DateTime<Utc>>,
    is_liked: bool,
    content_blocks: Vec<AdminBlock>,
}

#[derive(Debug, Serialize, ToSchema)]
struct AdminBlock {
    id: Uuid,
    block_type: String,
    block_order: i32,
    #[schema(value_type = Object)]
    payload: Value,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// A portfolio in any status; for whoever only moderates, while it waits for a review.
#[utoipa::path(
    get,
    path = "/api/v1/admin/portfolios/{id}",
    tag = "admin portfolios",
    operation_id = "admin_portfolio",
    params(("id" = Uuid, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<AdminPortfolioDetail>)),
)]
pub async fn detail(State(app): State<AppState>, caller: Caller, Id(id): Id) -> ApiResult<Data<AdminPortfolioDetail>> {
    caller.require_any(&[Capability::Portfolios, Capability::Moderation])?;
    let mut tx = app.db.begin().await?;
    let portfolio = access::find(&mut *tx, id).await?;
    if portfolio.status != Status::PendingReview && !caller.has(Capability::Portfolios) {
        return Err(ApiError::forbidden());
    }
    let detail = load(&mut tx, id, &caller).await?;
    tx.commit().await?;
    Ok(Data::new(detail))
}

pub async fn load(connection: &mut PgConnection, id: Uuid, caller: &Caller) -> ApiResult<AdminPortfolioDetail> {
    let found = detail::load(&mut *connection, id, caller).await?;
    let reviewed_by =
        sqlx::query_scalar!("select reviewed_by from portfolios where id = $1", id).fetch_one(connection).await?;
    let blocks = found.content_blocks.into_iter().map(|block| AdminBlock {
        id: block.id,
        block_type: block.block_type,
        block_order: block.block_order,
        payload: block.payload,
        created_at: block.created_at,
        updated_at: block.updated_at,
    });
    Ok(AdminPortfolioDetail {
        reviewed_by,
        reviewed_at: found.card.reviewed_at,
        is_liked: found.card.is_liked,
        content_blocks: blocks.collect(),
        item: AdminPortfolioItem::of_card(found.user_id, found.card),
    })
}
