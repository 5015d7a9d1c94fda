use axum::extract::State;
use grafikarsa_http::{ApiResult, Data, Envelope, Query};
use serde::Deserialize;
use utoipa::IntoParams;

use super::AssessmentMetric;
use crate::{
    AppState,
    capabilities::{Caller, Capability},
    portfolios::filters,
};

#[derive(Debug, Deserialize, IntoParams)]
pub struct Filter {
    /// `true`: without those that are switched off.
    active_only: Option<String>,
}

/// All metrics in their order, also for those who score with them.
#[utoipa::path(
    get,
    path = "/api/v1/admin/assessment-metrics",
    tag = "assessments",
    operation_id = "list_assessment_metrics",
    params(Filter),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Vec<AssessmentMetric>>)),
)]
pub async fn list(
    State(app): State<AppState>,
    caller: Caller,
    Query(filter): Query<Filter>,
) -> ApiResult<Data<Vec<AssessmentMetric>>> {
    let active_only = filters::boolean("active_only", filter.active_only.as_deref())?.unwrap_or(false);
    caller.require_any(&[Capability::AssessmentMetrics, Capability::Assessments])?;
    let metrics = sqlx::query_as!(
        AssessmentMetric,
        "
        select id, nama, deskripsi, urutan, is_active, created_at, updated_at
        from assessment_metrics
        where deleted_at is null and (is_active or not $1)
        order by urutan, created_at, id
        limit 1000
        ",
        active_only,
    )
    .fetch_all(&app.db)
    .await?;
    Ok(Data::new(metrics))
}
