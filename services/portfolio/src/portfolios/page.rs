//! Lists of portfolios: filters that vary, in a constant number of queries.

use grafikarsa_http::{ApiResult, PageWindow};
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

use super::{Status, card};
use crate::{
    AppState,
    totals::{self, Counted},
};

/// Which portfolios are asked for. Those of deleted owners never are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Filters {
    /// Published, owner active.
    pub public: bool,
    pub status: Option<Status>,
    pub owner: Option<Uuid>,
    /// A pattern for title, name of the owner and, for staff, user name.
    pub search: Option<String>,
    pub search_usernames: bool,
    /// Any of them.
    pub tags: Vec<Uuid>,
    pub jurusan: Option<Uuid>,
    pub kelas: Option<Uuid>,
    pub series: Option<Series>,
    /// Of users whom this user follows.
    pub followed_by: Option<Uuid>,
}

/// With this template, or without any; one that was deleted is as good as none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Series {
    Is(Uuid),
    None,
}

/// Each order ends with the id and has an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    NewestPublished,
    MostLiked,
    Judul,
    NewestCreated,
    OldestCreated,
}

impl Order {
    fn sql(self) -> &'static str {
        match self {
            Self::NewestPublished => "p.published_at desc, p.id desc",
            Self::MostLiked => "p.like_count desc, p.published_at desc, p.id desc",
            Self::Judul => "lower(p.judul), p.id",
            Self::NewestCreated => "p.created_at desc, p.id desc",
            Self::OldestCreated => "p.created_at, p.id",
        }
    }
}

/// A row of a page, with what is known of the whole list in the same snapshot.
#[derive(Debug, sqlx::FromRow)]
struct PageRow {
    #[sqlx(flatten)]
    card: card::Row,
    /// The length of the list that nobody filters.
    public_total: i64,
    changes: i64,
}

/// One page and the length of the whole list.
pub async fn fetch(
    app: &AppState,
    viewer: Option<Uuid>,
    filters: &Filters,
    order: Order,
    window: PageWindow,
) -> ApiResult<(Vec<card::Row>, i64)> {
    // The page is cut out first, on the order's index; only its rows are decorated.
    let mut query = QueryBuilder::new("with page as materialized (select p.id ");
    filters.push(&mut query);
    query.push(" order by ").push(order.sql());
    crate::window::push(&mut query, window);
    query.push(")");
    let of_list = "
            (select total from list_totals where list = 'public_portfolios') as public_total,
            (select lists from list_changes) as changes,";
    card::select(&mut query, of_list, "page join portfolios p on p.id = page.id", viewer);
    query.push(" order by ").push(order.sql());
    let rows: Vec<PageRow> = query.build_query_as().fetch_all(&app.db).await?;
    let total = match totals::of_last_page(window, rows.len()) {
        Some(total) => total,
        None => count(app, filters, rows.first()).await?,
    };
    Ok((rows.into_iter().map(|row| row.card).collect(), total))
}

async fn count(app: &AppState, filters: &Filters, row: Option<&PageRow>) -> ApiResult<i64> {
    if filters.are_none() {
        if let Some(row) = row {
            return Ok(row.public_total);
        }
        let total = sqlx::query_scalar!("select total from list_totals where list = 'public_portfolios'");
        return Ok(total.fetch_one(&app.db).await?);
    }
    // Other statuses, and who follows whom, change without moving the number.
    let remembered = filters.public && filters.followed_by.is_none();
    if let Some(row) = row.filter(|_| remembered)
        && let Some(total) = app.portfolio_totals.at(filters, row.changes).await
    {
        return Ok(total);
    }
    let mut query = QueryBuilder::new("select count(*) as total, (select lists from list_changes) as changes ");
    filters.push(&mut query);
    let counted: Counted = query.build_query_as().fetch_one(&app.db).await?;
    if remembered {
        app.portfolio_totals.keep(filters, counted).await;
    }
    Ok(counted.total)
}

impl Filters {
    /// The whole public list, whose length is kept in a row of its own.
    fn are_none(&self) -> bool {
        self.public
            && self.status.is_none()
            && self.owner.is_none()
            && self.search.is_none()
            && self.tags.is_empty()
            && self.jurusan.is_none()
            && self.kelas.is_none()
            && self.series.is_none()
            && self.followed_by.is_none()
    }

    fn push(&self, query: &mut QueryBuilder<Postgres>) {
        query.push("from portfolios p ");
        // Public portfolios have a living owner by definition; the join is left out where the index alone decides.
        let by_owner = !self.public || self.jurusan.is_some() || self.kelas.is_some();
        if by_owner {
            query.push("join users u on u.id = p.user_id and u.deleted_at is null ");
        }
        if self.jurusan.is_some() || self.kelas.is_some() {
            query.push(
                "join kelas k on k.id = u.kelas_id and k.deleted_at is null
                 join jurusan j on j.id = k.jurusan_id and j.deleted_at is null ",
            );
        }
        query.push(if self.public { "where p.is_public" } else { "where p.deleted_at is null" });
        if let Some(status) = self.status {
            query.push(" and p.status = ").push_bind(status.as_str());
        }
        if let Some(owner) = self.owner {
            query.push(" and p.user_id = ").push_bind(owner);
        }
        if let Some(pattern) = &self.search {
            // Owners as an array, found before the portfolios are looked at: so both sides of the `or` have an index.
            query.push(" and p.deleted_at is null and (p.judul ilike ").push_bind(pattern.clone());
            query.push(
                " or p.user_id = any(array(select o.id from users o where o.deleted_at is null and (o.nama ilike ",
            );
            query.push_bind(pattern.clone());
            if self.search_usernames {
                query.push(" or o.username ilike ").push_bind(pattern.clone());
            }
            query.push("))))");
        }
        if !self.tags.is_empty() {
            // Deleted tags are not among a portfolio's.
            query.push(" and p.tag_ids && ").push_bind(self.tags.clone());
        }
        if let Some(jurusan) = self.jurusan {
            query.push(" and j.id = ").push_bind(jurusan);
        }
        if let Some(kelas) = self.kelas {
            query.push(" and k.id = ").push_bind(kelas);
        }
        match self.series {
            None => {}
            Some(Series::Is(series)) => {
                query.push(" and p.series_id = ").push_bind(series);
                query.push(" and exists (select 1 from series s where s.id = p.series_id and s.deleted_at is null)");
            }
            Some(Series::None) => {
                query
                    .push(" and not exists (select 1 from series s where s.id = p.series_id and s.deleted_at is null)");
            }
        }
        if let Some(follower) = self.followed_by {
            query.push(" and p.user_id in (select f.followed_id from follows f where f.follower_id = ");
            query.push_bind(follower).push(")");
        }
    }
}
