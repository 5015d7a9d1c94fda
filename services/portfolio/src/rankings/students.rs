use std::sync::Arc;

use axum::extract::State;
use grafikarsa_http::{ApiResult, Data, Envelope};
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;
use uuid::Uuid;

use super::PLACES;
use crate::AppState;

/// One of the best students.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TopStudent {
    id: Uuid,
    username: String,
    nama: String,
    avatar_url: Option<String>,
    banner_url: Option<String>,
    kelas_nama: Option<String>,
    jurusan_nama: Option<String>,
    /// Published ones.
    portfolio_count: i64,
    /// Of these portfolios.
    total_likes: i64,
    /// 0 to 10; 0 when none was assessed.
    avg_assessment_score: f64,
    follower_count: i64,
    /// 0 to 100.
    score: f64,
}

/// The best students.
#[utoipa::path(
    get,
    path = "/api/v1/top-students",
    tag = "rankings",
    responses((status = 200, body = Envelope<Vec<TopStudent>>)),
)]
pub async fn top(State(app): State<AppState>) -> ApiResult<Data<Arc<[TopStudent]>>> {
    app.rankings.students(&app.db).await.map(Data::new)
}

/// Whoever may be ranked, with what counts.
#[derive(Clone, Debug)]
struct Candidate {
    id: Uuid,
    nama: String,
    portfolio_count: i64,
    total_likes: i64,
    avg_assessment_score: f64,
    follower_count: i64,
}

/// The highest of each, at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Maxima {
    portfolios: i64,
    likes: i64,
    followers: i64,
}

impl Maxima {
    fn of(candidates: &[Candidate]) -> Self {
        let highest = |value: fn(&Candidate) -> i64| candidates.iter().map(value).max().unwrap_or(1).max(1);
        Self {
            portfolios: highest(|candidate| candidate.portfolio_count),
            likes: highest(|candidate| candidate.total_likes),
            followers: highest(|candidate| candidate.follower_count),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn score(candidate: &Candidate, max: Maxima) -> f64 {
    let share = |value: i64, max: i64| value as f64 / max as f64;
    100.0
        * (0.30 * share(candidate.portfolio_count, max.portfolios)
            + 0.25 * share(candidate.total_likes, max.likes)
            + 0.30 * candidate.avg_assessment_score / 10.0
            + 0.15 * share(candidate.follower_count, max.followers))
}

/// The best first, with their scores.
fn order(candidates: Vec<Candidate>) -> Vec<(f64, Candidate)> {
    let max = Maxima::of(&candidates);
    let mut scored: Vec<(f64, Candidate)> =
        candidates.into_iter().map(|candidate| (score(&candidate, max), candidate)).collect();
    scored.sort_unstable_by(|(a, first), (b, second)| {
        b.total_cmp(a).then_with(|| first.nama.cmp(&second.nama)).then_with(|| first.id.cmp(&second.id))
    });
    scored.truncate(usize::try_from(PLACES).unwrap_or(0));
    scored
}

pub async fn rank(db: &PgPool) -> Result<Arc<[TopStudent]>, sqlx::Error> {
    let candidates = sqlx::query_as!(
        Candidate,
        r#"
        select
            u.id,
            u.nama,
            count(*) as "portfolio_count!",
            sum(p.like_count)::bigint as "total_likes!",
            coalesce(avg(a.total_score), 0)::float8 as "avg_assessment_score!",
            u.follower_count
        from portfolios p
        join users u on u.id = p.user_id and u.role = 'student' and u.is_active and u.deleted_at is null
        left join assessments a on a.portfolio_id = p.id
        where p.is_public
        group by u.id
        "#,
    )
    .fetch_all(db)
    .await?;
    let best = order(candidates);
    let ids: Vec<Uuid> = best.iter().map(|(_, candidate)| candidate.id).collect();
    let people = sqlx::query!(
        r#"
        select
            u.id,
            u.username,
            u.avatar_url,
            u.banner_url,
            k.nama as "kelas_nama?",
            j.nama as "jurusan_nama?"
        from users u
        left join (kelas k join jurusan j on j.id = k.jurusan_id and j.deleted_at is null)
            on k.id = u.kelas_id and k.deleted_at is null
        where u.id = any($1)
        "#,
        &ids,
    )
    .fetch_all(db)
    .await?;
    let places = best.into_iter().filter_map(|(score, candidate)| {
        let person = people.iter().find(|person| person.id == candidate.id)?;
        Some(TopStudent {
            id: candidate.id,
            username: person.username.clone(),
            nama: candidate.nama,
            avatar_url: person.avatar_url.clone(),
            banner_url: person.banner_url.clone(),
            kelas_nama: person.kelas_nama.clone(),
            jurusan_nama: person.jurusan_nama.clone(),
            portfolio_count: candidate.portfolio_count,
            total_likes: candidate.total_likes,
            avg_assessment_score: candidate.avg_assessment_score,
            follower_count: candidate.follower_count,
            score,
        })
    });
    Ok(places.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(nama: &str, portfolios: i64, likes: i64, assessment: f64, followers: i64) -> Candidate {
        Candidate {
            id: Uuid::now_v7(),
            nama: nama.to_owned(),
            portfolio_count: portfolios,
            total_likes: likes,
            avg_assessment_score: assessment,
            follower_count: followers,
        }
    }

    #[test]
    fn scores_are_those_of_the_example() {
        let best = order(vec![candidate("Y", 1, 6, 0.0, 4), candidate("X", 2, 3, 8.0, 1)]);
        let scores: Vec<(&str, f64)> = best.iter().map(|(score, who)| (who.nama.as_str(), *score)).collect();
        assert_eq!(scores[0].0, "X");
        assert!((scores[0].1 - 70.25).abs() < 1e-9, "{scores:?}");
        assert!((scores[1].1 - 55.00).abs() < 1e-9, "{scores:?}");
    }

    #[test]
    fn nobody_divides_by_zero_and_equal_scores_are_ordered_by_name_then_id() {
        let (a, b) = (candidate("B", 1, 0, 0.0, 0), candidate("A", 1, 0, 0.0, 0));
        let again = Candidate { id: Uuid::max(), ..b.clone() };
        let best = order(vec![a, again, b.clone(), candidate("C", 1, 0, 0.0, 0)]);
        let names: Vec<&str> = best.iter().map(|(_, who)| who.nama.as_str()).collect();
        assert_eq!((names, best[0].1.id), (vec!["A", "A", "B"], b.id));
        assert!((best[0].0 - 30.0).abs() < 1e-9);
    }
}
