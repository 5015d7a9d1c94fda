use std::sync::Arc;

use axum::extract::State;
use chrono::{DateTime, Utc};
use grafikarsa_http::{ApiResult, Data, Envelope};
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;
use uuid::Uuid;

use super::PLACES;
use crate::AppState;

/// One of the best projects.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TopProject {
    id: Uuid,
    judul: String,
    slug: String,
    thumbnail_url: Option<String>,
    published_at: Option<DateTime<Utc>>,
    user_id: Uuid,
    username: String,
    user_nama: String,
    user_avatar: Option<String>,
    /// 0 to 10; 0 without an assessment.
    assessment_score: f64,
    like_count: i64,
    /// 0 to 100.
    score: f64,
}

/// The best projects of students.
#[utoipa::path(
    get,
    path = "/api/v1/top-projects",
    tag = "rankings",
    responses((status = 200, body = Envelope<Vec<TopProject>>)),
)]
pub async fn top(State(app): State<AppState>) -> ApiResult<Data<Arc<[TopProject]>>> {
    app.rankings.projects(&app.db).await.map(Data::new)
}

/// Half assessment, 0.3 likes compared with the most liked, 0.2 youth. Computed where the rows are: there may be tens of
/// thousands of them, and three are wanted.
pub async fn rank(db: &PgPool) -> Result<Arc<[TopProject]>, sqlx::Error> {
    let best = sqlx::query_as!(
        TopProject,
        r#"
        with eligible as (
            select
                p.id,
                p.user_id,
                p.published_at,
                p.like_count,
                coalesce(a.total_score, 0)::float8 as assessment_score,
                greatest(max(p.like_count) over (), 1)::float8 as most_likes,
                case
                    when p.published_at > now() - interval '7 days' then 1.0
                    when p.published_at > now() - interval '30 days' then 0.8
                    when p.published_at > now() - interval '90 days' then 0.5
                    else 0.2
                end::float8 as recency
            from portfolios p
            join users u on u.id = p.user_id and u.role = 'student' and u.is_active and u.deleted_at is null
            left join assessments a on a.portfolio_id = p.id
            where p.is_public
        ),
        best as (
            select
                id,
                assessment_score,
                100 * (0.5 * assessment_score / 10 + 0.3 * like_count / most_likes + 0.2 * recency) as score
            from eligible
            order by score desc, published_at desc nulls last, id
            limit $1
        )
        select
            p.id,
            p.judul,
            p.slug,
            p.thumbnail_url,
            p.published_at,
            p.user_id,
            u.username,
            u.nama as user_nama,
            u.avatar_url as user_avatar,
            best.assessment_score as "assessment_score!",
            p.like_count,
            best.score as "score!"
        from best
        join portfolios p on p.id = best.id
        join users u on u.id = p.user_id
        order by best.score desc, p.published_at desc nulls last, p.id
        "#,
        PLACES,
    )
    .fetch_all(db)
    .await?;
    Ok(best.into())
}
