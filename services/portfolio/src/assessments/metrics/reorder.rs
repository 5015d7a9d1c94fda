use std::collections::HashSet;

use axum::extract::State;
use grafikarsa_http::{ApiResult, BodyId, Data, DeferredBody, Envelope, FieldErrors, Nothing};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{not_found, serialise_places};
use crate::{
    AppState,
    admin::audit,
    capabilities::{Caller, Capability},
};

const MOST_ORDERS: usize = 200;
const LAST_PLACE: i32 = 10_000;

#[derive(Debug, Deserialize, ToSchema)]
pub struct MetricOrders {
    /// 1 to 200; metrics that are not among them keep their places.
    orders: Option<Vec<MetricOrder>>,
}

#[derive(Debug, Deserialize, ToSchema)]
struct MetricOrder {
    #[schema(value_type = Option<Uuid>)]
    id: Option<BodyId>,
    /// 0 to 10000.
    urutan: Option<i64>,
}

/// Gives metrics new places, all of them or none.
#[utoipa::path(
    put,
    path = "/api/v1/admin/assessment-metrics/reorder",
    tag = "assessments",
    operation_id = "reorder_assessment_metrics",
    request_body = MetricOrders,
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Nothing>)),
)]
pub async fn reorder(
    State(app): State<AppState>,
    caller: Caller,
    body: DeferredBody<MetricOrders>,
) -> ApiResult<Data<()>> {
    caller.require(Capability::AssessmentMetrics)?;
    let (ids, places) = check(body.read().await?.orders.unwrap_or_default())?;

    let mut tx = app.db.begin().await?;
    serialise_places(&mut tx).await?;
    let held = sqlx::query!(
        "
        select id
        from assessment_metrics
        where id = any($1) and deleted_at is null
        order by id
        for no key update
        ",
        &ids,
    )
    .fetch_all(&mut *tx)
    .await?;
    if held.len() < ids.len() {
        return Err(not_found());
    }
    let moved = sqlx::query_scalar!(
        "
        update assessment_metrics m
        set urutan = place.urutan, updated_at = now()
        from unnest($1::uuid[], $2::integer[]) as place (id, urutan)
        where m.id = place.id and m.urutan <> place.urutan
        returning m.id
        ",
        &ids,
        &places,
    )
    .fetch_all(&mut *tx)
    .await?;
    audit::record_each(&mut tx, caller.id, "assessment_metric.reorder", &moved, &["urutan"]).await?;
    tx.commit().await?;
    Ok(Data::none().message("Urutan metrik berhasil disimpan"))
}

/// Ids and places, each as long as the other.
fn check(orders: Vec<MetricOrder>) -> ApiResult<(Vec<Uuid>, Vec<i32>)> {
    let mut errors = FieldErrors::new();
    if orders.is_empty() || orders.len() > MOST_ORDERS {
        errors.add("orders", format!("Urutan harus berisi 1 sampai {MOST_ORDERS} metrik"));
    }
    let of_each = orders.into_iter().take(MOST_ORDERS).enumerate();
    let (mut ids, mut places) = (HashSet::new(), HashSet::new());
    let check = |(position, order): (usize, MetricOrder)| {
        let field = format!("orders[{position}].id");
        let id = order.id.map(Uuid::from);
        match id {
            None => errors.add(field, "Metrik wajib diisi"),
            Some(id) if !ids.insert(id) => errors.add(field, "Metrik disebut dua kali"),
            Some(_) => {}
        }
        let field = format!("orders[{position}].urutan");
        let place = order.urutan.and_then(|place| i32::try_from(place).ok());
        match place.filter(|place| (0..=LAST_PLACE).contains(place)) {
            None => errors.add(field, format!("Urutan harus 0 sampai {LAST_PLACE}")),
            Some(place) if !places.insert(place) => errors.add(field, "Urutan disebut dua kali"),
            Some(_) => {}
        }
        // What is broken is not used.
        (id.unwrap_or_default(), place.unwrap_or_default())
    };
    let checked = of_each.map(check).unzip();
    errors.finish()?;
    Ok(checked)
}
