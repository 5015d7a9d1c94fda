use axum::extract::State;
use grafikarsa_http::{ApiError, ApiResult, MaybeUser, Page, PageEnvelope, PageWindow, Paging, Query, search_text};
use serde::{Deserialize, Serialize};
use sqlx::{Postgres, QueryBuilder};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    AppState,
    academic::{JurusanRef, KelasRef},
    portfolios::filters,
    totals::{self, Counted},
};

#[derive(Debug, Deserialize, IntoParams)]
pub struct Filter {
    /// Part of name, user name, bio, or of the name of class or major.
    search: Option<String>,
    /// Major of the class.
    jurusan_id: Option<String>,
    kelas_id: Option<String>,
    /// `student` or `alumni`.
    role: Option<String>,
}

/// A user in the public list.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserListItem {
    id: Uuid,
    username: String,
    nama: String,
    avatar_url: Option<String>,
    banner_url: Option<String>,
    role: String,
    tahun_masuk: Option<i32>,
    tahun_lulus: Option<i32>,
    kelas: Option<KelasRef>,
    jurusan: Option<JurusanRef>,
}

/// People of the school, by name.
#[utoipa::path(
    get,
    path = "/api/v1/users",
    tag = "users",
    params(Filter, ("page" = Option<i64>, Query), ("limit" = Option<i64>, Query)),
    security((), ("bearer" = [])),
    responses((status = 200, body = PageEnvelope<UserListItem>)),
)]
pub async fn list(
    State(app): State<AppState>,
    _viewer: MaybeUser,
    Query(filter): Query<Filter>,
    paging: Paging,
) -> ApiResult<Page<UserListItem>> {
    let filters = Filters {
        search: search_text("search", filter.search.as_deref())?,
        jurusan: filters::uuid("jurusan_id", filter.jurusan_id.as_deref())?,
        kelas: filters::uuid("kelas_id", filter.kelas_id.as_deref())?,
        role: match filter.role.as_deref().map(str::trim) {
            None | Some("") => None,
            Some("student") => Some("student"),
            Some("alumni") => Some("alumni"),
            // Admins are no people to be browsed.
            Some(_) => return Err(ApiError::syntax("role", "Role tidak dikenal")),
        },
        with_admins: false,
    };
    let window = paging.with(20, 50);
    let (rows, total) = fetch(&app, &filters, window).await?;
    Ok(Page::new(rows.into_iter().map(UserListItem::from).collect(), window, total))
}

/// Who is asked for, among active users.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Filters {
    /// A pattern.
    pub search: Option<String>,
    pub jurusan: Option<Uuid>,
    pub kelas: Option<Uuid>,
    pub role: Option<&'static str>,
    /// Whether admins are among them.
    pub with_admins: bool,
}

/// A user of a page, with what is known of the whole list in the same snapshot.
#[derive(Debug, sqlx::FromRow)]
pub struct Row {
    pub id: Uuid,
    pub username: String,
    pub nama: String,
    pub avatar_url: Option<String>,
    pub banner_url: Option<String>,
    pub bio: Option<String>,
    pub role: String,
    pub tahun_masuk: Option<i32>,
    pub tahun_lulus: Option<i32>,
    pub kelas_id: Option<Uuid>,
    pub kelas_nama: Option<String>,
    pub jurusan_id: Option<Uuid>,
    pub jurusan_nama: Option<String>,
    pub jurusan_kode: Option<String>,
    /// The length of the list that nobody filters.
    listed_total: i64,
    changes: i64,
}

impl From<Row> for UserListItem {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            username: row.username,
            nama: row.nama,
            avatar_url: row.avatar_url,
            banner_url: row.banner_url,
            role: row.role,
            tahun_masuk: row.tahun_masuk,
            tahun_lulus: row.tahun_lulus,
            kelas: KelasRef::of(row.kelas_id, row.kelas_nama),
            jurusan: JurusanRef::of(row.jurusan_id, row.jurusan_nama, row.jurusan_kode),
        }
    }
}

/// One page by name, and the length of the whole list.
pub async fn fetch(app: &AppState, filters: &Filters, window: PageWindow) -> ApiResult<(Vec<Row>, i64)> {
    // The page is cut out first, on the order's index; only its rows are decorated.
    let mut query = QueryBuilder::new("with page as materialized (select u.id ");
    filters.push(&mut query);
    query.push(" order by lower(u.nama), u.id");
    crate::window::push(&mut query, window);
    query.push(
        ")
        select
            u.id,
            u.username,
            u.nama,
            u.avatar_url,
            u.banner_url,
            u.bio,
            u.role,
            u.tahun_masuk,
            coalesce(u.tahun_lulus, u.tahun_masuk + 3) as tahun_lulus,
            k.id as kelas_id,
            k.nama as kelas_nama,
            j.id as jurusan_id,
            j.nama as jurusan_nama,
            j.kode as jurusan_kode,
            (select total from list_totals where list = 'listed_users') as listed_total,
            (select lists from list_changes) as changes
        from page
        join users u on u.id = page.id
        left join (kelas k join jurusan j on j.id = k.jurusan_id and j.deleted_at is null)
            on k.id = u.kelas_id and k.deleted_at is null
        order by lower(u.nama), u.id",
    );
    let rows: Vec<Row> = query.build_query_as().fetch_all(&app.db).await?;
    let total = match totals::of_last_page(window, rows.len()) {
        Some(total) => total,
        None => count(app, filters, rows.first()).await?,
    };
    Ok((rows, total))
}

async fn count(app: &AppState, filters: &Filters, row: Option<&Row>) -> ApiResult<i64> {
    if filters.are_none() {
        if let Some(row) = row {
            return Ok(row.listed_total);
        }
        let total = sqlx::query_scalar!("select total from list_totals where list = 'listed_users'");
        return Ok(total.fetch_one(&app.db).await?);
    }
    if let Some(row) = row
        && let Some(total) = app.user_totals.at(filters, row.changes).await
    {
        return Ok(total);
    }
    let mut query = QueryBuilder::new("select count(*) as total, (select lists from list_changes) as changes ");
    filters.push(&mut query);
    let counted: Counted = query.build_query_as().fetch_one(&app.db).await?;
    app.user_totals.keep(filters, counted).await;
    Ok(counted.total)
}

impl Filters {
    /// The whole list, whose length is kept in a row of its own.
    fn are_none(&self) -> bool {
        let Self { search, jurusan, kelas, role, with_admins } = self;
        search.is_none() && jurusan.is_none() && kelas.is_none() && role.is_none() && !with_admins
    }

    fn push(&self, query: &mut QueryBuilder<Postgres>) {
        // Classes as arrays, found before the users are looked at: so both sides of the `or` have an index.
        const CLASSES: &str = "array(
            select k.id
            from kelas k
            join jurusan j on j.id = k.jurusan_id and j.deleted_at is null
            where k.deleted_at is null";
        query.push("from users u where u.deleted_at is null and ");
        query.push(if self.with_admins { "u.is_active" } else { "u.is_listed" });
        if let Some(pattern) = &self.search {
            query.push(" and (u.search_text ilike ").push_bind(pattern.clone());
            query.push(" or u.kelas_id = any(").push(CLASSES);
            query.push(" and (k.nama ilike ").push_bind(pattern.clone());
            query.push(" or j.nama ilike ").push_bind(pattern.clone());
            query.push(" or j.kode ilike ").push_bind(pattern.clone()).push("))))");
        }
        if let Some(jurusan) = self.jurusan {
            query.push(" and u.kelas_id = any(").push(CLASSES);
            query.push(" and j.id = ").push_bind(jurusan).push("))");
        }
        if let Some(kelas) = self.kelas {
            query.push(" and u.kelas_id = any(").push(CLASSES);
            query.push(" and k.id = ").push_bind(kelas).push("))");
        }
        if let Some(role) = self.role {
            query.push(" and u.role = ").push_bind(role);
        }
    }
}
