use std::collections::HashSet;

use axum::extract::State;
use grafikarsa_http::{ApiResult, BodyId, Data, DeferredBody, Envelope, FieldErrors, Id, optional_text};
use serde::Deserialize;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Assessment, find, load, lock, must_be_published, must_not_be_owned_by};
use crate::{
    AppState,
    admin::audit,
    capabilities::{Caller, Capability},
};

const MOST_SCORES: usize = 100;

#[derive(Debug, Deserialize, ToSchema)]
pub struct AssessmentInput {
    /// 1 to 100, each metric once.
    scores: Option<Vec<ScoreInput>>,
    /// At most 2000 characters.
    final_comment: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
struct ScoreInput {
    /// An active metric, or one that this assessment has scored already.
    #[schema(value_type = Option<Uuid>)]
    metric_id: Option<BodyId>,
    /// 1 to 10.
    score: Option<i64>,
    /// At most 500 characters.
    comment: Option<String>,
}

/// Scores as columns, each as long as the others.
#[derive(Debug, Default)]
struct Scores {
    metrics: Vec<Uuid>,
    scores: Vec<i32>,
    comments: Vec<Option<String>>,
}

/// Assesses a published portfolio, or replaces its assessment as a whole.
#[utoipa::path(
    post,
    path = "/api/v1/admin/assessments/{portfolio_id}",
    tag = "assessments",
    operation_id = "save_assessment",
    params(("portfolio_id" = Uuid, Path)),
    request_body = AssessmentInput,
    security(("bearer" = [])),
    responses(
        (status = 201, body = Envelope<Assessment>, description = "Assessed"),
        (status = 200, body = Envelope<Assessment>, description = "Replaced"),
    ),
)]
pub async fn save(
    State(app): State<AppState>,
    caller: Caller,
    Id(id): Id,
    body: DeferredBody<AssessmentInput>,
) -> ApiResult<Data<Assessment>> {
    caller.require(Capability::Assessments)?;
    must_not_be_owned_by(&caller, &find(&app.db, id).await?)?;
    let body = body.read().await?;
    let mut errors = FieldErrors::new();
    let scores = check(&mut errors, body.scores.unwrap_or_default());
    let final_comment =
        optional_text(&mut errors, "final_comment", "Komentar akhir", body.final_comment.as_deref(), 0..=2000);

    let mut tx = app.db.begin().await?;
    let portfolio = lock(&mut tx, id).await?;
    let usable = hold_metrics(&mut tx, id, &scores.metrics).await?;
    for (place, metric) in scores.metrics.iter().enumerate() {
        if !usable.contains(metric) {
            errors.add(metric_field(place), "Metrik tidak ditemukan atau tidak aktif");
        }
    }
    errors.finish()?;
    must_be_published(&portfolio)?;
    let is_new = write(&mut tx, &caller, id, final_comment.as_deref(), &scores).await?;
    audit::record(&mut tx, caller.id, "assessment.save", id, &["scores", "final_comment"]).await?;
    let assessment = load(&mut *tx, portfolio).await?.ok_or(sqlx::Error::RowNotFound)?;
    tx.commit().await?;
    let answer = if is_new { Data::created(assessment) } else { Data::new(assessment) };
    Ok(answer.message("Penilaian berhasil disimpan"))
}

fn metric_field(place: usize) -> String {
    format!("scores[{place}].metric_id")
}

/// What is broken is kept as anything: `errors` says that it is not to be used.
fn check(errors: &mut FieldErrors, input: Vec<ScoreInput>) -> Scores {
    let mut scores = Scores::default();
    if input.is_empty() || input.len() > MOST_SCORES {
        errors.add("scores", format!("Penilaian harus memiliki 1 sampai {MOST_SCORES} nilai"));
        return scores;
    }
    let mut seen = HashSet::new();
    for (place, ScoreInput { metric_id, score, comment }) in input.into_iter().enumerate() {
        let metric_id = metric_id.map(Uuid::from);
        match metric_id {
            None => errors.add(metric_field(place), "Metrik wajib diisi"),
            Some(metric) if !seen.insert(metric) => errors.add(metric_field(place), "Metrik dinilai dua kali"),
            Some(_) => {}
        }
        let score = score.and_then(|score| i32::try_from(score).ok()).filter(|score| (1..=10).contains(score));
        if score.is_none() {
            errors.add(format!("scores[{place}].score"), "Nilai harus 1 sampai 10");
        }
        let field = format!("scores[{place}].comment");
        scores.comments.push(optional_text(errors, &field, "Komentar", comment.as_deref(), 0..=500));
        scores.metrics.push(metric_id.unwrap_or_default());
        scores.scores.push(score.unwrap_or_default());
    }
    scores
}

/// Those of `metrics` that this assessment may score, kept as they are until it is saved: a deletion of one comes before
/// this and is seen here, or after it and finds the score.
async fn hold_metrics(
    connection: &mut PgConnection,
    portfolio: Uuid,
    metrics: &[Uuid],
) -> Result<HashSet<Uuid>, sqlx::Error> {
    let held = sqlx::query!(
        r#"
        select
            m.id,
            m.is_active or exists (
                select
                from assessment_scores s
                join assessments a on a.id = s.assessment_id
                where a.portfolio_id = $1 and s.metric_id = m.id
            ) as "usable!"
        from assessment_metrics m
        where m.id = any($2) and m.deleted_at is null
        order by m.id
        for share of m
        "#,
        portfolio,
        metrics,
    )
    .fetch_all(connection)
    .await?;
    Ok(held.into_iter().filter(|metric| metric.usable).map(|metric| metric.id).collect())
}

/// Header and scores; true if there was none before. PostgreSQL rounds the mean half away from zero.
async fn write(
    connection: &mut PgConnection,
    caller: &Caller,
    portfolio: Uuid,
    final_comment: Option<&str>,
    scores: &Scores,
) -> Result<bool, sqlx::Error> {
    let new = Uuid::now_v7();
    let id = sqlx::query_scalar!(
        "
        insert into assessments (id, portfolio_id, assessed_by, final_comment, total_score)
        select $1, $2, $3, $4, round(avg(score), 2)
        from unnest($5::integer[]) as score
        on conflict on constraint assessments_portfolio_id_key do update set
            assessed_by = excluded.assessed_by,
            final_comment = excluded.final_comment,
            total_score = excluded.total_score,
            updated_at = clock_timestamp()
        returning id
        ",
        new,
        portfolio,
        caller.id,
        final_comment,
        &scores.scores,
    )
    .fetch_one(&mut *connection)
    .await?;
    sqlx::query!("delete from assessment_scores where assessment_id = $1", id).execute(&mut *connection).await?;
    let ids: Vec<Uuid> = scores.metrics.iter().map(|_| Uuid::now_v7()).collect();
    sqlx::query!(
        "
        insert into assessment_scores (id, assessment_id, metric_id, score, comment)
        select s.id, $1, s.metric_id, s.score, s.comment
        from unnest($2::uuid[], $3::uuid[], $4::integer[], $5::text[]) as s (id, metric_id, score, comment)
        ",
        id,
        &ids,
        &scores.metrics,
        &scores.scores,
        &scores.comments as &[Option<String>],
    )
    .execute(connection)
    .await?;
    Ok(id == new)
}
