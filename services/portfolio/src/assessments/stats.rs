use axum::extract::State;
use grafikarsa_http::{ApiResult, Data, Envelope};
use serde::Serialize;
use sqlx::PgExecutor;
use utoipa::ToSchema;

use crate::{
    AppState,
    capabilities::{Caller, Capability},
};

/// How much of what is published has been assessed.
#[derive(Debug, Serialize, ToSchema)]
pub struct AssessmentStats {
    total_published: i64,
    assessed: i64,
    pending: i64,
}

/// The numbers beside the list.
#[utoipa::path(
    get,
    path = "/api/v1/admin/assessments/stats",
    tag = "assessments",
    operation_id = "assessment_stats",
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<AssessmentStats>)),
)]
pub async fn stats(State(app): State<AppState>, caller: Caller) -> ApiResult<Data<AssessmentStats>> {
    caller.require(Capability::Assessments)?;
    let totals = Totals::read(&app.db).await?;
    Ok(Data::new(AssessmentStats {
        total_published: totals.published_total,
        assessed: totals.assessed_total,
        pending: totals.published_total - totals.assessed_total,
    }))
}

/// Lengths of the lists, which triggers keep.
#[derive(Clone, Copy, Debug, sqlx::FromRow)]
pub struct Totals {
    pub published_total: i64,
    pub assessed_total: i64,
}

impl Totals {
    pub async fn read(executor: impl PgExecutor<'_>) -> Result<Self, sqlx::Error> {
        sqlx::query_as!(
            Self,
            r#"
            select
                (select total from list_totals where list = 'assessable_portfolios') as "published_total!",
                (select total from list_totals where list = 'assessed_portfolios') as "assessed_total!"
            "#,
        )
        .fetch_one(executor)
        .await
    }
}
