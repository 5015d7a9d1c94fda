use axum::extract::State;
use grafikarsa_http::{ApiError, ApiResult, Page, PageEnvelope, Paging, Query, search_text};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    AppState,
    capabilities::{Capability, Viewer},
    portfolios::filters,
    users::list::{self, Filters, Row},
};

#[derive(Debug, Deserialize, IntoParams)]
pub struct Filter {
    /// Part of name, user name, bio, or of the name of class or major.
    q: Option<String>,
    /// Major of the class.
    jurusan_id: Option<String>,
    kelas_id: Option<String>,
    /// `student`, `alumni` or `admin`.
    role: Option<String>,
}

/// A user whom somebody looked for.
#[derive(Debug, Serialize, ToSchema)]
pub struct SearchUser {
    id: Uuid,
    username: String,
    nama: String,
    avatar_url: Option<String>,
    bio: Option<String>,
    role: String,
    kelas_nama: Option<String>,
    jurusan_nama: Option<String>,
}

impl From<Row> for SearchUser {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            username: row.username,
            nama: row.nama,
            avatar_url: row.avatar_url,
            bio: row.bio,
            role: row.role,
            kelas_nama: row.kelas_nama,
            jurusan_nama: row.jurusan_nama,
        }
    }
}

/// People by name. Admins are among them for those who pick the contributors of a changelog.
#[utoipa::path(
    get,
    path = "/api/v1/search/users",
    tag = "search",
    params(Filter, ("page" = Option<i64>, Query), ("limit" = Option<i64>, Query)),
    security((), ("bearer" = [])),
    responses((status = 200, body = PageEnvelope<SearchUser>)),
)]
pub async fn search(
    State(app): State<AppState>,
    viewer: Viewer,
    Query(filter): Query<Filter>,
    paging: Paging,
) -> ApiResult<Page<SearchUser>> {
    let filters = Filters {
        search: search_text("q", filter.q.as_deref())?,
        jurusan: filters::uuid("jurusan_id", filter.jurusan_id.as_deref())?,
        kelas: filters::uuid("kelas_id", filter.kelas_id.as_deref())?,
        role: match filter.role.as_deref().map(str::trim) {
            None | Some("") => None,
            Some("student") => Some("student"),
            Some("alumni") => Some("alumni"),
            Some("admin") => Some("admin"),
            Some(_) => return Err(ApiError::syntax("role", "Role tidak dikenal")),
        },
        with_admins: viewer.0.is_some_and(|caller| caller.has(Capability::Changelog)),
    };
    let window = paging.with(20, 100);
    if filters.role == Some("admin") {
        return Ok(Page::new(Vec::new(), window, 0));
    }
    let (rows, total) = list::fetch(&app, &filters, window).await?;
    Ok(Page::new(rows.into_iter().map(SearchUser::from).collect(), window, total))
}
