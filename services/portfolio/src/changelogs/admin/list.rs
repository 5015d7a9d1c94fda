use axum::extract::State;
use chrono::{DateTime, NaiveDate, Utc};
use grafikarsa_http::{ApiResult, Page, PageEnvelope, PageWindow, Paging, Query, search_text};
use serde::{Deserialize, Serialize};
use sqlx::{PgPool, Postgres, QueryBuilder};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    AppState,
    capabilities::{Caller, Capability},
    changelogs::view::{Audience, ORDER},
    window,
};

#[derive(Debug, Deserialize, IntoParams)]
pub struct Search {
    /// Part of the title or the version.
    search: Option<String>,
}

/// A changelog without its content.
#[derive(Debug, Serialize, ToSchema, sqlx::FromRow)]
pub struct ChangelogListItem {
    id: Uuid,
    version: String,
    title: String,
    description: Option<String>,
    release_date: NaiveDate,
    is_published: bool,
    /// Of its sections, in their order.
    categories: Vec<String>,
    created_at: DateTime<Utc>,
}

#[derive(Debug, sqlx::FromRow)]
struct Row {
    #[sqlx(flatten)]
    item: ChangelogListItem,
    total: i64,
}

/// All changelogs, drafts among them, in the order of the public list.
#[utoipa::path(
    get,
    path = "/api/v1/admin/changelogs",
    tag = "admin changelogs",
    params(Search, ("page" = Option<i64>, Query), ("limit" = Option<i64>, Query)),
    security(("bearer" = [])),
    responses((status = 200, body = PageEnvelope<ChangelogListItem>)),
)]
pub async fn list(
    State(app): State<AppState>,
    caller: Caller,
    Query(search): Query<Search>,
    paging: Paging,
) -> ApiResult<Page<ChangelogListItem>> {
    let pattern = search_text("search", search.search.as_deref())?;
    caller.require(Capability::Changelog)?;
    let window = paging.with(20, 100);
    let rows = fetch(&app.db, pattern.as_deref(), window).await?;
    let total = match rows.first() {
        Some(row) => row.total,
        // Beyond the end, or there are none.
        None => count(&app.db, pattern.as_deref()).await?,
    };
    Ok(Page::new(rows.into_iter().map(|row| row.item).collect(), window, total))
}

async fn fetch(db: &PgPool, pattern: Option<&str>, window: PageWindow) -> Result<Vec<Row>, sqlx::Error> {
    let mut query = QueryBuilder::new(
        "
        select
            id,
            version,
            title,
            description,
            release_date,
            is_published,
            array(select category from changelog_sections where changelog_id = changelogs.id order by place)
                as categories,
            created_at,
            (select count(*)",
    );
    filter(&mut query, pattern);
    query.push(") as total");
    filter(&mut query, pattern);
    query.push(ORDER);
    window::push(&mut query, window);
    query.build_query_as().fetch_all(db).await
}

async fn count(db: &PgPool, pattern: Option<&str>) -> Result<i64, sqlx::Error> {
    let mut query = QueryBuilder::new("select count(*)");
    filter(&mut query, pattern);
    query.build_query_scalar().fetch_one(db).await
}

fn filter(query: &mut QueryBuilder<Postgres>, pattern: Option<&str>) {
    query.push(" from changelogs where ").push(Audience::Staff.exists());
    if let Some(pattern) = pattern {
        query.push(" and (title ilike ").push_bind(pattern.to_owned());
        query.push(" or version ilike ").push_bind(pattern.to_owned()).push(")");
    }
}
