use axum::extract::State;
use grafikarsa_http::{
    ApiResult, Data, DeferredBody, Envelope, FieldErrors, Id, OnConstraint as _, nullable, optional_text, required_line,
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{AssessmentMetric, duplicate, load};
use crate::{
    AppState,
    admin::audit,
    capabilities::{Caller, Capability},
};

/// What to change; absent is unchanged.
#[derive(Debug, Deserialize, ToSchema)]
pub struct MetricPatch {
    /// 2 to 100 characters.
    nama: Option<String>,
    /// At most 1000 characters.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>)]
    deskripsi: Option<Option<String>>,
    is_active: Option<bool>,
}

/// Changes a metric. What was scored by it stays.
#[utoipa::path(
    patch,
    path = "/api/v1/admin/assessment-metrics/{id}",
    tag = "assessments",
    operation_id = "update_assessment_metric",
    params(("id" = uuid::Uuid, Path)),
    request_body = MetricPatch,
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<AssessmentMetric>)),
)]
pub async fn update(
    State(app): State<AppState>,
    caller: Caller,
    Id(id): Id,
    body: DeferredBody<MetricPatch>,
) -> ApiResult<Data<AssessmentMetric>> {
    caller.require(Capability::AssessmentMetrics)?;
    load(&app.db, id).await?;
    let patch = body.read().await?;
    let mut errors = FieldErrors::new();
    let nama = patch.nama.as_deref().map(|nama| required_line(&mut errors, "nama", "Nama", Some(nama), 2..=100));
    let deskripsi = patch
        .deskripsi
        .map(|deskripsi| optional_text(&mut errors, "deskripsi", "Deskripsi", deskripsi.as_deref(), 0..=1000));
    errors.finish()?;
    let sent: Vec<&str> = [
        nama.is_some().then_some("nama"),
        deskripsi.is_some().then_some("deskripsi"),
        patch.is_active.is_some().then_some("is_active"),
    ]
    .into_iter()
    .flatten()
    .collect();

    let mut tx = app.db.begin().await?;
    let changed = sqlx::query!(
        "
        update assessment_metrics
        set nama = coalesce($2, nama),
            deskripsi = case when $3 then $4 else deskripsi end,
            is_active = coalesce($5, is_active),
            updated_at = now()
        where id = $1
            and deleted_at is null
            and (nama, deskripsi, is_active) is distinct from
                (coalesce($2, nama), case when $3 then $4 else deskripsi end, coalesce($5, is_active))
        ",
        id,
        nama,
        deskripsi.is_some(),
        deskripsi.flatten(),
        patch.is_active,
    )
    .execute(&mut *tx)
    .await
    .on_constraint("assessment_metrics_nama_key", duplicate)?;
    if changed.rows_affected() > 0 {
        audit::record(&mut tx, caller.id, "assessment_metric.update", id, &sent).await?;
    }
    let metric = load(&mut *tx, id).await?;
    tx.commit().await?;
    Ok(Data::new(metric).message("Metrik berhasil diperbarui"))
}
