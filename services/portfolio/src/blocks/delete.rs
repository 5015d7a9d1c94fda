use axum::extract::State;
use grafikarsa_http::{ApiResult, Data, Envelope, Nothing, Path};
use uuid::Uuid;

use super::unreferenced;
use crate::{
    AppState,
    capabilities::Caller,
    portfolios::{access, content, events},
};

/// Removes a block; later ones move down. A block that is gone already is no error: the editor repeats its deletes when
/// a save failed half-way.
#[utoipa::path(
    delete,
    path = "/api/v1/portfolios/{id}/blocks/{block_id}",
    tag = "blocks",
    params(("id" = Uuid, Path), ("block_id" = Uuid, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Nothing>)),
)]
pub async fn delete(
    State(app): State<AppState>,
    caller: Caller,
    Path((id, block_id)): Path<(Uuid, Uuid)>,
) -> ApiResult<Data<()>> {
    let mut tx = app.db.begin().await?;
    let portfolio = access::lock(&mut tx, id).await?;
    portfolio.must_be_editable_by(&caller)?;
    let removed = sqlx::query!(
        "delete from content_blocks where portfolio_id = $1 and id = $2 returning block_order, payload",
        id,
        block_id,
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(removed) = removed else { return Ok(Data::none()) };
    sqlx::query!(
        "update content_blocks set block_order = block_order - 1 where portfolio_id = $1 and block_order > $2",
        id,
        removed.block_order,
    )
    .execute(&mut *tx)
    .await?;
    content::changed(&mut tx, &portfolio, (&caller).into(), &app.rules).await?;
    let dropped = unreferenced(&mut tx, id, &removed.payload, &app.rules.storage_base).await?;
    events::released(&mut tx, portfolio.state(), dropped).await?;
    tx.commit().await?;
    Ok(Data::none())
}
