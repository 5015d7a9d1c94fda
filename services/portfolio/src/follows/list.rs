use axum::extract::State;
use chrono::{DateTime, Utc};
use grafikarsa_http::{ApiResult, Page, PageEnvelope, PageWindow, Paging, Query, search_text};
use serde::{Deserialize, Serialize};
use sqlx::{PgPool, Postgres, QueryBuilder};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    AppState,
    capabilities::{Capability, Viewer},
    users::find::{self, UserName},
};

#[derive(Debug, Deserialize, IntoParams)]
pub struct Filter {
    /// Part of the name or user name.
    search: Option<String>,
}

/// A user in the lists of followers and followed.
#[derive(Debug, Serialize, ToSchema, sqlx::FromRow)]
pub struct FollowRow {
    id: Uuid,
    username: String,
    nama: String,
    avatar_url: Option<String>,
    role: String,
    kelas_nama: Option<String>,
    /// Whether the caller follows this user.
    is_following: bool,
    /// When this follow began.
    followed_at: DateTime<Utc>,
}

/// Who follows a user, the latest first.
#[utoipa::path(
    get,
    path = "/api/v1/users/{username}/followers",
    tag = "follows",
    params(("username" = String, Path), Filter, ("page" = Option<i64>, Query), ("limit" = Option<i64>, Query)),
    security((), ("bearer" = [])),
    responses((status = 200, body = PageEnvelope<FollowRow>)),
)]
pub async fn followers(
    State(app): State<AppState>,
    viewer: Viewer,
    username: UserName,
    filter: Query<Filter>,
    paging: Paging,
) -> ApiResult<Page<FollowRow>> {
    list(&app, &viewer, username, filter, paging, Side::Followers).await
}

/// Whom a user follows, the latest first.
#[utoipa::path(
    get,
    path = "/api/v1/users/{username}/following",
    tag = "follows",
    params(("username" = String, Path), Filter, ("page" = Option<i64>, Query), ("limit" = Option<i64>, Query)),
    security((), ("bearer" = [])),
    responses((status = 200, body = PageEnvelope<FollowRow>)),
)]
pub async fn following(
    State(app): State<AppState>,
    viewer: Viewer,
    username: UserName,
    filter: Query<Filter>,
    paging: Paging,
) -> ApiResult<Page<FollowRow>> {
    list(&app, &viewer, username, filter, paging, Side::Following).await
}

/// Which of the two lists of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Followers,
    Following,
}

impl Side {
    /// The column that holds the user, and the one that holds whom the list shows.
    fn columns(self) -> (&'static str, &'static str) {
        match self {
            Self::Followers => ("followed_id", "follower_id"),
            Self::Following => ("follower_id", "followed_id"),
        }
    }
}

async fn list(
    app: &AppState,
    viewer: &Viewer,
    UserName(username): UserName,
    Query(filter): Query<Filter>,
    paging: Paging,
    side: Side,
) -> ApiResult<Page<FollowRow>> {
    let search = search_text("search", filter.search.as_deref())?;
    let sees_inactive = viewer.0.as_ref().is_some_and(|caller| caller.has(Capability::Users));
    let user = find::by_name(&app.db, &username, sees_inactive).await?;
    let window = paging.with(100, 100);
    let rows = fetch(&app.db, side, user.id, search.as_deref(), viewer.id(), window).await?;
    let total = match (&search, side) {
        // The counters say the same.
        (None, Side::Followers) => user.follower_count,
        (None, Side::Following) => user.following_count,
        (Some(pattern), _) => count(&app.db, side, user.id, pattern).await?,
    };
    Ok(Page::new(rows, window, total))
}

async fn fetch(
    db: &PgPool,
    side: Side,
    user: Uuid,
    search: Option<&str>,
    viewer: Option<Uuid>,
    window: PageWindow,
) -> Result<Vec<FollowRow>, sqlx::Error> {
    let mut query = QueryBuilder::new(
        "
        select
            u.id,
            u.username,
            u.nama,
            u.avatar_url,
            u.role,
            k.nama as kelas_nama,
            exists (select 1 from follows v where v.followed_id = u.id and v.follower_id = ",
    );
    query.push_bind(viewer).push(") as is_following, f.created_at as followed_at ");
    from(&mut query, side, user, search);
    let (_, shown) = side.columns();
    query.push(" order by f.created_at desc, f.").push(shown);
    crate::window::push(&mut query, window);
    query.build_query_as().fetch_all(db).await
}

async fn count(db: &PgPool, side: Side, user: Uuid, search: &str) -> Result<i64, sqlx::Error> {
    let mut query = QueryBuilder::new("select count(*) ");
    from(&mut query, side, user, Some(search));
    query.build_query_scalar().fetch_one(db).await
}

fn from(query: &mut QueryBuilder<Postgres>, side: Side, user: Uuid, search: Option<&str>) {
    let (whose, shown) = side.columns();
    query.push("from follows f join users u on u.is_active and u.deleted_at is null and u.id = f.").push(shown);
    query.push(
        " left join (kelas k join jurusan j on j.id = k.jurusan_id and j.deleted_at is null)
            on k.id = u.kelas_id and k.deleted_at is null
        where f.",
    );
    query.push(whose).push(" = ").push_bind(user);
    if let Some(pattern) = search {
        query.push(" and (u.nama ilike ").push_bind(pattern.to_owned());
        query.push(" or u.username ilike ").push_bind(pattern.to_owned()).push(")");
    }
}
