use axum::extract::State;
use grafikarsa_http::{ApiResult, Data, Envelope};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    AppState,
    capabilities::{Caller, Capability},
};

/// How many messages there are in each status.
#[derive(Debug, Serialize, ToSchema)]
pub struct FeedbackStats {
    total: i64,
    pending: i64,
    read: i64,
    resolved: i64,
}

/// The numbers beside the list, all of one moment.
#[utoipa::path(
    get,
    path = "/api/v1/admin/feedback/stats",
    tag = "feedback",
    operation_id = "feedback_stats",
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<FeedbackStats>)),
)]
pub async fn stats(State(app): State<AppState>, caller: Caller) -> ApiResult<Data<FeedbackStats>> {
    caller.require(Capability::Feedback)?;
    let stats = sqlx::query_as!(
        FeedbackStats,
        r#"
        select
            count(*) as "total!",
            count(*) filter (where status = 'pending') as "pending!",
            count(*) filter (where status = 'read') as "read!",
            count(*) filter (where status = 'resolved') as "resolved!"
        from feedback
        "#,
    )
    .fetch_one(&app.db)
    .await?;
    Ok(Data::new(stats))
}
