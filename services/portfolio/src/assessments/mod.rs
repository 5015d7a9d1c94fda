//! What staff thinks of published portfolios: the criteria and the scores. The owner of a portfolio never sees any of it.

use chrono::{DateTime, Utc};
use grafikarsa_http::{ApiError, ApiResult};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgExecutor, types::Json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    AppState,
    capabilities::Caller,
    portfolios::{
        Status,
        access::{self, Loaded},
    },
    users::UserBrief,
};

mod delete;
mod detail;
mod list;
mod metrics;
mod save;
mod stats;

use metrics::AssessmentMetric;

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .merge(metrics::router())
        .routes(routes!(list::list))
        .routes(routes!(stats::stats))
        .routes(routes!(detail::detail, save::save, delete::delete))
}

/// The portfolio beside its assessment.
#[derive(Debug, Serialize, ToSchema)]
pub struct PortfolioBrief {
    id: Uuid,
    judul: String,
    slug: String,
    thumbnail_url: Option<String>,
}

impl From<Loaded> for PortfolioBrief {
    fn from(portfolio: Loaded) -> Self {
        Self { id: portfolio.id, judul: portfolio.judul, slug: portfolio.slug, thumbnail_url: portfolio.thumbnail_url }
    }
}

/// What staff thinks of a portfolio.
#[derive(Debug, Serialize, ToSchema)]
pub struct Assessment {
    id: Uuid,
    portfolio_id: Uuid,
    portfolio: PortfolioBrief,
    /// Whoever saved it last.
    assessed_by: Uuid,
    /// `null` when that account is deleted.
    assessor: Option<UserBrief>,
    /// In the order of their metrics.
    #[schema(value_type = Vec<AssessmentScore>)]
    scores: Json<Vec<AssessmentScore>>,
    final_comment: Option<String>,
    /// The mean of all scores with two decimals: 1 to 10.
    total_score: f64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// The score of one metric.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct AssessmentScore {
    id: Uuid,
    metric_id: Uuid,
    metric: AssessmentMetric,
    /// 1 to 10.
    score: i32,
    comment: Option<String>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// The assessment of `portfolio`, if there is one. One statement: a save at the same time is seen as a whole or not.
async fn load(executor: impl PgExecutor<'_>, portfolio: Loaded) -> Result<Option<Assessment>, sqlx::Error> {
    let found = sqlx::query!(
        r#"
        select
            a.id,
            a.assessed_by,
            u.id as "assessor_id?",
            u.username as "username?",
            u.nama as "nama?",
            u.avatar_url,
            coalesce(
                (
                    select json_agg(
                        json_build_object(
                            'id', s.id,
                            'metric_id', s.metric_id,
                            'metric', json_build_object(
                                'id', m.id,
                                'nama', m.nama,
                                'deskripsi', m.deskripsi,
                                'urutan', m.urutan,
                                'is_active', m.is_active,
                                'created_at', m.created_at,
                                'updated_at', m.updated_at
                            ),
                            'score', s.score,
                            'comment', s.comment,
                            'created_at', s.created_at,
                            'updated_at', s.updated_at
                        )
                        order by m.urutan, m.created_at, m.id
                    )
                    from assessment_scores s
                    join assessment_metrics m on m.id = s.metric_id
                    where s.assessment_id = a.id
                ),
                '[]'
            ) as "scores!: Json<Vec<AssessmentScore>>",
            a.final_comment,
            a.total_score::float8 as "total_score!",
            a.created_at,
            a.updated_at
        from assessments a
        left join users u on u.id = a.assessed_by and u.deleted_at is null
        where a.portfolio_id = $1
        "#,
        portfolio.id,
    )
    .fetch_optional(executor)
    .await?;
    Ok(found.map(|row| Assessment {
        id: row.id,
        portfolio_id: portfolio.id,
        portfolio: portfolio.into(),
        assessed_by: row.assessed_by,
        assessor: UserBrief::of(row.assessor_id, row.username, row.nama, row.avatar_url),
        scores: row.scores,
        final_comment: row.final_comment,
        total_score: row.total_score,
        created_at: row.created_at,
        updated_at: row.updated_at,
    }))
}

/// The portfolio that is to be assessed, neither deleted nor of a deleted owner.
async fn find(executor: impl PgExecutor<'_>, id: Uuid) -> ApiResult<Loaded> {
    access::find(executor, id).await.map_err(renamed)
}

/// The same with its row locked: it keeps its status, and saves of its assessment come one after another.
async fn lock(connection: &mut PgConnection, id: Uuid) -> ApiResult<Loaded> {
    access::lock(connection, id).await.map_err(renamed)
}

/// This chapter knows one code for everything that is not there.
fn renamed(error: ApiError) -> ApiError {
    if error.status() == 404 { ApiError::not_found("NOT_FOUND", "Portofolio tidak ditemukan") } else { error }
}

fn must_be_published(portfolio: &Loaded) -> ApiResult<()> {
    if portfolio.status == Status::Published {
        Ok(())
    } else {
        Err(ApiError::bad_request("INVALID_STATUS", "Hanya portofolio yang terbit dapat dinilai"))
    }
}

/// Nobody assesses himself or reads what others think of his work, not even an admin.
fn must_not_be_owned_by(caller: &Caller, portfolio: &Loaded) -> ApiResult<()> {
    if portfolio.user_id == caller.id { Err(ApiError::forbidden()) } else { Ok(()) }
}
