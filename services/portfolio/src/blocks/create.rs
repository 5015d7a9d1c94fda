use axum::extract::State;
use grafikarsa_http::{ApiError, ApiResult, Data, DeferredBody, Envelope, FieldErrors, Id};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{ContentBlock, normalise, not_found, order, payload::BlockType};
use crate::{
    AppState,
    capabilities::Caller,
    portfolios::{access, content},
};

const MOST_BLOCKS: i64 = 100;

#[derive(Debug, Deserialize, ToSchema)]
pub struct NewBlock {
    /// One of the 11 types.
    block_type: Option<String>,
    /// Position, 0 is the first; absent, `null` or beyond the end: the last.
    block_order: Option<i64>,
    payload: Option<Map<String, Value>>,
}

/// Adds a block at a position; later ones move up.
#[utoipa::path(
    post,
    path = "/api/v1/portfolios/{id}/blocks",
    tag = "blocks",
    params(("id" = Uuid, Path)),
    request_body = NewBlock,
    security(("bearer" = [])),
    responses((status = 201, body = Envelope<ContentBlock>)),
)]
pub async fn create(
    State(app): State<AppState>,
    caller: Caller,
    Id(id): Id,
    body: DeferredBody<NewBlock>,
) -> ApiResult<Data<ContentBlock>> {
    access::find(&app.db, id).await?.must_be_editable_by(&caller)?;
    let new = body.read().await?;

    let mut tx = app.db.begin().await?;
    let portfolio = access::lock(&mut tx, id).await?;
    let mut errors = FieldErrors::new();
    let block_type = new.block_type.as_deref().and_then(BlockType::parse);
    if block_type.is_none() {
        errors.add("block_type", "Jenis blok tidak dikenal");
    }
    if new.block_order.is_some_and(|order| order < 0) {
        errors.add("block_order", "Urutan blok tidak boleh negatif");
    }
    let payload = new.payload.map(Value::Object);
    if payload.is_none() {
        errors.add("payload", "Payload wajib diisi");
    }
    let normalised = match (block_type, &payload) {
        (Some(block_type), Some(payload)) => {
            Some(normalise(&app, &mut tx, &mut errors, &portfolio, block_type, payload, None).await?)
        }
        _ => None,
    };
    errors.finish()?;
    // Both are there, or the check above has ended the request.
    let (Some(block_type), Some(normalised)) = (block_type, normalised) else { return Err(not_found()) };

    let count = sqlx::query_scalar!(r#"select count(*) as "count!" from content_blocks where portfolio_id = $1"#, id,)
        .fetch_one(&mut *tx)
        .await?;
    if count >= MOST_BLOCKS {
        return Err(ApiError::conflict(
            "BLOCK_LIMIT_REACHED",
            format!("Jumlah blok sudah mencapai batas {MOST_BLOCKS}"),
        ));
    }
    let position = order::insertion(usize::try_from(count).unwrap_or_default(), new.block_order);
    let position = i32::try_from(position).map_err(ApiError::internal)?;
    sqlx::query!(
        "update content_blocks set block_order = block_order + 1 where portfolio_id = $1 and block_order >= $2",
        id,
        position,
    )
    .execute(&mut *tx)
    .await?;
    let block = Uuid::now_v7();
    sqlx::query!(
        "
        insert into content_blocks (id, portfolio_id, block_type, block_order, payload, is_empty, preview)
        values ($1, $2, $3, $4, $5, $6, $7)
        ",
        block,
        id,
        block_type.as_str(),
        position,
        normalised.payload,
        normalised.is_empty,
        normalised.preview,
    )
    .execute(&mut *tx)
    .await?;
    content::changed(&mut tx, &portfolio, (&caller).into(), &app.rules).await?;
    let created = ContentBlock::find(&mut *tx, id, block).await?.ok_or_else(not_found)?;
    tx.commit().await?;
    Ok(Data::created(created))
}
