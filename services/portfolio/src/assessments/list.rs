use axum::extract::State;
use chrono::{DateTime, Utc};
use grafikarsa_http::{ApiError, ApiResult, Page, PageEnvelope, PageWindow, Paging, Query, search_text};
use serde::{Deserialize, Serialize};
use sqlx::{Postgres, QueryBuilder};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::stats::Totals;
use crate::{
    AppState,
    capabilities::{Caller, Capability},
    totals,
    users::UserBrief,
    window,
};

#[derive(Debug, Deserialize, IntoParams)]
pub struct Filter {
    /// `all`, `pending` (without an assessment) or `assessed`.
    filter: Option<String>,
    /// Part of the title or of the owner's name.
    search: Option<String>,
}

/// A published portfolio and what is known of its assessment.
#[derive(Debug, Serialize, ToSchema)]
pub struct PortfolioForAssessment {
    id: Uuid,
    judul: String,
    slug: String,
    thumbnail_url: Option<String>,
    published_at: DateTime<Utc>,
    user: UserBrief,
    /// `null` until somebody assesses it, and for its owner.
    assessment: Option<AssessmentBrief>,
}

/// An assessment in the list.
#[derive(Debug, Serialize, ToSchema)]
pub struct AssessmentBrief {
    id: Uuid,
    total_score: f64,
    /// `null` when that account is deleted.
    assessor: Option<UserBrief>,
    /// When it was saved first.
    assessed_at: DateTime<Utc>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    All,
    Pending,
    Assessed,
}

impl Which {
    fn parse(text: Option<&str>) -> ApiResult<Self> {
        match text.map(str::trim) {
            None | Some("" | "all") => Ok(Self::All),
            Some("pending") => Ok(Self::Pending),
            Some("assessed") => Ok(Self::Assessed),
            Some(_) => Err(ApiError::syntax("filter", "Filter tidak dikenal")),
        }
    }
}

struct Filters {
    which: Which,
    search: Option<String>,
}

#[derive(Debug, sqlx::FromRow)]
struct Row {
    id: Uuid,
    judul: String,
    slug: String,
    thumbnail_url: Option<String>,
    published_at: DateTime<Utc>,
    user_id: Uuid,
    username: String,
    nama: String,
    avatar_url: Option<String>,
    assessment_id: Option<Uuid>,
    total_score: Option<f64>,
    assessed_at: Option<DateTime<Utc>>,
    assessor_id: Option<Uuid>,
    assessor_username: Option<String>,
    assessor_nama: Option<String>,
    assessor_avatar_url: Option<String>,
    #[sqlx(flatten)]
    totals: Totals,
}

impl From<Row> for PortfolioForAssessment {
    fn from(row: Row) -> Self {
        let assessor =
            UserBrief::of(row.assessor_id, row.assessor_username, row.assessor_nama, row.assessor_avatar_url);
        let assessment = match (row.assessment_id, row.total_score, row.assessed_at) {
            (Some(id), Some(total_score), Some(assessed_at)) => {
                Some(AssessmentBrief { id, total_score, assessor, assessed_at })
            }
            _ => None,
        };
        Self {
            id: row.id,
            judul: row.judul,
            slug: row.slug,
            thumbnail_url: row.thumbnail_url,
            published_at: row.published_at,
            user: UserBrief { id: row.user_id, username: row.username, nama: row.nama, avatar_url: row.avatar_url },
            assessment,
        }
    }
}

/// Published portfolios, the newest first, with their assessments.
#[utoipa::path(
    get,
    path = "/api/v1/admin/assessments",
    tag = "assessments",
    operation_id = "list_assessments",
    params(Filter, ("page" = Option<i64>, Query), ("limit" = Option<i64>, Query)),
    security(("bearer" = [])),
    responses((status = 200, body = PageEnvelope<PortfolioForAssessment>)),
)]
pub async fn list(
    State(app): State<AppState>,
    caller: Caller,
    Query(filter): Query<Filter>,
    paging: Paging,
) -> ApiResult<Page<PortfolioForAssessment>> {
    let filters = Filters {
        which: Which::parse(filter.filter.as_deref())?,
        search: search_text("search", filter.search.as_deref())?,
    };
    caller.require(Capability::Assessments)?;
    let window = paging.with(20, 100);
    let rows = fetch(&app, &caller, &filters, window).await?;
    let total = match totals::of_last_page(window, rows.len()) {
        Some(total) => total,
        None => count(&app, &filters, rows.first()).await?,
    };
    Ok(Page::new(rows.into_iter().map(PortfolioForAssessment::from).collect(), window, total))
}

async fn fetch(
    app: &AppState,
    caller: &Caller,
    filters: &Filters,
    window: PageWindow,
) -> Result<Vec<Row>, sqlx::Error> {
    // The page is cut out first, on the order's index; only its rows are decorated.
    let mut query = QueryBuilder::new("with page as materialized (select p.id ");
    filters.push(&mut query);
    query.push(" order by p.published_at desc, p.id");
    window::push(&mut query, window);
    query.push(
        ")
        select
            p.id,
            p.judul,
            p.slug,
            p.thumbnail_url,
            p.published_at,
            p.user_id,
            u.username,
            u.nama,
            u.avatar_url,
            a.id as assessment_id,
            a.total_score::float8 as total_score,
            a.created_at as assessed_at,
            s.id as assessor_id,
            s.username as assessor_username,
            s.nama as assessor_nama,
            s.avatar_url as assessor_avatar_url,
            (select total from list_totals where list = 'assessable_portfolios') as published_total,
            (select total from list_totals where list = 'assessed_portfolios') as assessed_total
        from page
        join portfolios p on p.id = page.id
        join users u on u.id = p.user_id
        -- The caller's own work is in the list, what others think of it is not.
        left join assessments a on a.portfolio_id = p.id and p.user_id <> ",
    );
    query.push_bind(caller.id);
    query.push(
        "
        left join users s on s.id = a.assessed_by and s.deleted_at is null
        order by p.published_at desc, p.id",
    );
    query.build_query_as().fetch_all(&app.db).await
}

async fn count(app: &AppState, filters: &Filters, row: Option<&Row>) -> Result<i64, sqlx::Error> {
    if filters.search.is_some() {
        let mut query = QueryBuilder::new("select count(*) ");
        filters.push(&mut query);
        return query.build_query_scalar().fetch_one(&app.db).await;
    }
    let totals = match row {
        Some(row) => row.totals,
        None => Totals::read(&app.db).await?,
    };
    Ok(match filters.which {
        Which::All => totals.published_total,
        Which::Pending => totals.published_total - totals.assessed_total,
        Which::Assessed => totals.assessed_total,
    })
}

impl Filters {
    fn push(&self, query: &mut QueryBuilder<Postgres>) {
        query.push("from portfolios p where p.status = 'published' and p.deleted_at is null and not p.owner_deleted");
        match self.which {
            Which::All => {}
            Which::Pending => {
                query.push(" and not p.is_assessed");
            }
            Which::Assessed => {
                query.push(" and p.is_assessed");
            }
        }
        if let Some(pattern) = &self.search {
            // Owners as an array, found before the portfolios are looked at: so both sides of the `or` have an index.
            query.push(" and (p.judul ilike ").push_bind(pattern.clone());
            query.push(
                " or p.user_id = any(array(select o.id from users o where o.deleted_at is null and o.nama ilike ",
            );
            query.push_bind(pattern.clone()).push(")))");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_is_one_of_three_words() {
        for (text, expected) in [
            (None, Which::All),
            (Some(""), Which::All),
            (Some(" all "), Which::All),
            (Some("pending"), Which::Pending),
            (Some("assessed"), Which::Assessed),
        ] {
            assert_eq!(Which::parse(text).unwrap(), expected, "{text:?}");
        }
        assert_eq!(Which::parse(Some("Pending")).unwrap_err().status(), 400);
    }
}
