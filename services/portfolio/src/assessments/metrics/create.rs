use axum::extract::State;
use grafikarsa_http::{
    ApiResult, Data, DeferredBody, Envelope, FieldErrors, OnConstraint as _, optional_text, required_line,
};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{AssessmentMetric, duplicate, serialise_places};
use crate::{
    AppState,
    admin::audit,
    capabilities::{Caller, Capability},
};

#[derive(Debug, Deserialize, ToSchema)]
pub struct NewMetric {
    /// 2 to 100 characters.
    nama: Option<String>,
    /// At most 1000 characters.
    deskripsi: Option<String>,
}

/// Creates a metric behind all others.
#[utoipa::path(
    post,
    path = "/api/v1/admin/assessment-metrics",
    tag = "assessments",
    operation_id = "create_assessment_metric",
    request_body = NewMetric,
    security(("bearer" = [])),
    responses((status = 201, body = Envelope<AssessmentMetric>)),
)]
pub async fn create(
    State(app): State<AppState>,
    caller: Caller,
    body: DeferredBody<NewMetric>,
) -> ApiResult<Data<AssessmentMetric>> {
    caller.require(Capability::AssessmentMetrics)?;
    let body = body.read().await?;
    let mut errors = FieldErrors::new();
    let nama = required_line(&mut errors, "nama", "Nama", body.nama.as_deref(), 2..=100);
    let deskripsi = optional_text(&mut errors, "deskripsi", "Deskripsi", body.deskripsi.as_deref(), 0..=1000);
    errors.finish()?;

    let mut tx = app.db.begin().await?;
    serialise_places(&mut tx).await?;
    let metric = sqlx::query_as!(
        AssessmentMetric,
        "
        insert into assessment_metrics (id, nama, deskripsi, urutan)
        select $1, $2, $3, coalesce(max(urutan), 0) + 1
        from assessment_metrics
        where deleted_at is null
        returning id, nama, deskripsi, urutan, is_active, created_at, updated_at
        ",
        Uuid::now_v7(),
        nama,
        deskripsi,
    )
    .fetch_one(&mut *tx)
    .await
    .on_constraint("assessment_metrics_nama_key", duplicate)?;
    audit::record(&mut tx, caller.id, "assessment_metric.create", metric.id, &["nama", "deskripsi"]).await?;
    tx.commit().await?;
    Ok(Data::created(metric).message("Metrik berhasil dibuat"))
}
