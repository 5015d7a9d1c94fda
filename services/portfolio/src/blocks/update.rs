use axum::extract::State;
use grafikarsa_http::{ApiResult, Data, DeferredBody, Envelope, FieldErrors, Path};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{ContentBlock, normalise, not_found, payload::BlockType, unreferenced};
use crate::{
    AppState,
    capabilities::Caller,
    portfolios::{access, content, events},
};

#[derive(Debug, Deserialize, ToSchema)]
pub struct BlockPatch {
    /// Replaces the whole payload.
    payload: Option<Map<String, Value>>,
}

/// Replaces the payload of a block. An equal payload is no change.
#[utoipa::path(
    patch,
    path = "/api/v1/portfolios/{id}/blocks/{block_id}",
    tag = "blocks",
    params(("id" = Uuid, Path), ("block_id" = Uuid, Path)),
    request_body = BlockPatch,
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<ContentBlock>)),
)]
pub async fn update(
    State(app): State<AppState>,
    caller: Caller,
    Path((id, block_id)): Path<(Uuid, Uuid)>,
    body: DeferredBody<BlockPatch>,
) -> ApiResult<Data<ContentBlock>> {
    access::find(&app.db, id).await?.must_be_editable_by(&caller)?;
    ContentBlock::find(&app.db, id, block_id).await?.ok_or_else(not_found)?;
    let patch = body.read().await?;

    let mut tx = app.db.begin().await?;
    let portfolio = access::lock(&mut tx, id).await?;
    let before = ContentBlock::find(&mut *tx, id, block_id).await?.ok_or_else(not_found)?;
    let block_type = BlockType::parse(&before.block_type).ok_or_else(not_found)?;
    let mut errors = FieldErrors::new();
    let Some(payload) = patch.payload.map(Value::Object) else {
        errors.add("payload", "Payload wajib diisi");
        errors.finish()?;
        return Ok(Data::new(before));
    };
    let normalised =
        normalise(&app, &mut tx, &mut errors, &portfolio, block_type, &payload, Some(&before.payload)).await?;
    errors.finish()?;
    if normalised.payload == before.payload {
        return Ok(Data::new(before));
    }
    sqlx::query!(
        "
        update content_blocks
        set payload = $2, is_empty = $3, preview = $4, updated_at = clock_timestamp()
        where id = $1
        ",
        block_id,
        normalised.payload,
        normalised.is_empty,
        normalised.preview,
    )
    .execute(&mut *tx)
    .await?;
    content::changed(&mut tx, &portfolio, (&caller).into(), &app.rules).await?;
    let dropped = unreferenced(&mut tx, id, &before.payload, &app.rules.storage_base).await?;
    events::released(&mut tx, portfolio.state(), dropped).await?;
    let after = ContentBlock::find(&mut *tx, id, block_id).await?.ok_or_else(not_found)?;
    tx.commit().await?;
    Ok(Data::new(after))
}
