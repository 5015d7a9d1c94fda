use std::collections::HashSet;

use axum::extract::State;
use grafikarsa_http::{ApiError, ApiResult, Data, DeferredBody, Envelope, FieldErrors, Id, Nothing};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::order;
use crate::{
    AppState,
    capabilities::Caller,
    portfolios::{access, content},
};

#[derive(Debug, Deserialize, ToSchema)]
pub struct BlockOrders {
    /// 1 to 100, ids and orders each unique.
    block_orders: Option<Vec<BlockOrder>>,
}

#[derive(Debug, Deserialize, ToSchema)]
struct BlockOrder {
    id: Option<Uuid>,
    /// Only compared with the others: gaps are fine.
    order: Option<i64>,
}

/// Sorts the listed blocks within the positions they occupy.
#[utoipa::path(
    put,
    path = "/api/v1/portfolios/{id}/blocks/reorder",
    tag = "blocks",
    params(("id" = Uuid, Path)),
    request_body = BlockOrders,
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Nothing>)),
)]
pub async fn reorder(
    State(app): State<AppState>,
    caller: Caller,
    Id(id): Id,
    body: DeferredBody<BlockOrders>,
) -> ApiResult<Data<()>> {
    access::find(&app.db, id).await?.must_be_editable_by(&caller)?;
    let listed = check(body.read().await?)?;

    let mut tx = app.db.begin().await?;
    let portfolio = access::lock(&mut tx, id).await?;
    let current = sqlx::query_scalar!("select id from content_blocks where portfolio_id = $1 order by block_order", id)
        .fetch_all(&mut *tx)
        .await?;
    let Some(after) = order::reordered(&current, &listed) else {
        return Err(invalid("Blok tidak ditemukan pada portofolio ini"));
    };
    if after == current {
        return Ok(Data::none());
    }
    sqlx::query!(
        "
        update content_blocks b
        set block_order = o.position - 1
        from unnest($2::uuid[]) with ordinality as o (id, position)
        where b.portfolio_id = $1 and b.id = o.id and b.block_order <> o.position - 1
        ",
        id,
        &after,
    )
    .execute(&mut *tx)
    .await?;
    content::changed(&mut tx, &portfolio, (&caller).into(), &app.rules).await?;
    tx.commit().await?;
    Ok(Data::none())
}

fn check(body: BlockOrders) -> ApiResult<Vec<(Uuid, i64)>> {
    let items = body.block_orders.unwrap_or_default();
    if items.is_empty() || items.len() > 100 {
        return Err(invalid("Urutan blok harus berisi 1 sampai 100 blok"));
    }
    let listed: Option<Vec<(Uuid, i64)>> =
        items.into_iter().map(|item| item.id.zip(item.order.filter(|&order| order >= 0))).collect();
    let listed = listed.ok_or_else(|| invalid("Setiap blok memerlukan id dan urutan yang tidak negatif"))?;
    let ids: HashSet<Uuid> = listed.iter().map(|&(id, _)| id).collect();
    let orders: HashSet<i64> = listed.iter().map(|&(_, order)| order).collect();
    if ids.len() < listed.len() || orders.len() < listed.len() {
        return Err(invalid("Blok dan urutan tidak boleh berulang"));
    }
    Ok(listed)
}

fn invalid(message: &str) -> ApiError {
    let mut errors = FieldErrors::new();
    errors.add("block_orders", message);
    errors.finish().err().unwrap_or_else(ApiError::unavailable)
}
