use axum::extract::State;
use chrono::{DateTime, Utc};
use grafikarsa_http::{ApiError, ApiResult, Data, Envelope, Id, Page, PageEnvelope, Paging, Query, search_text};
use serde::{Deserialize, Serialize};
use sqlx::{Postgres, QueryBuilder};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::detail::{self, AdminKelas, AdminUserDetail};
use crate::{
    AppState,
    academic::JurusanRef,
    capabilities::{Caller, Capability},
    portfolios::filters,
    window,
};

#[derive(Debug, Deserialize, IntoParams)]
pub struct Filter {
    /// Part of name or user name; for holders of `users` also of e-mail, NIS and NISN.
    search: Option<String>,
    /// `student`, `alumni` or `admin`.
    role: Option<String>,
    is_active: Option<String>,
    kelas_id: Option<String>,
    jurusan_id: Option<String>,
}

/// A user; those who only pick users see no more than names and classes.
#[derive(Debug, Serialize, ToSchema)]
pub struct AdminUser {
    id: Uuid,
    username: String,
    email: Option<String>,
    nama: String,
    avatar_url: Option<String>,
    banner_url: Option<String>,
    role: String,
    nisn: Option<String>,
    nis: Option<String>,
    kelas: Option<AdminKelas>,
    jurusan: Option<JurusanRef>,
    tahun_masuk: Option<i32>,
    tahun_lulus: Option<i32>,
    is_active: bool,
    last_login_at: Option<DateTime<Utc>>,
    must_change_password: Option<bool>,
    created_at: DateTime<Utc>,
}

#[derive(Debug, sqlx::FromRow)]
struct Row {
    id: Uuid,
    username: String,
    email: String,
    nama: String,
    avatar_url: Option<String>,
    banner_url: Option<String>,
    role: String,
    nisn: Option<String>,
    nis: Option<String>,
    kelas_id: Option<Uuid>,
    kelas_nama: Option<String>,
    tingkat: Option<i32>,
    jurusan_id: Option<Uuid>,
    jurusan_nama: Option<String>,
    jurusan_kode: Option<String>,
    tahun_masuk: Option<i32>,
    tahun_lulus: Option<i32>,
    is_active: bool,
    last_login_at: Option<DateTime<Utc>>,
    must_change_password: bool,
    created_at: DateTime<Utc>,
}

impl Row {
    fn shown(self, whole: bool) -> AdminUser {
        AdminUser {
            id: self.id,
            username: self.username,
            email: whole.then_some(self.email),
            nama: self.nama,
            avatar_url: self.avatar_url,
            banner_url: self.banner_url.filter(|_| whole),
            role: self.role,
            nisn: self.nisn.filter(|_| whole),
            nis: self.nis.filter(|_| whole),
            kelas: AdminKelas::of(self.kelas_id, self.kelas_nama, self.tingkat),
            jurusan: JurusanRef::of(self.jurusan_id, self.jurusan_nama, self.jurusan_kode),
            tahun_masuk: self.tahun_masuk.filter(|_| whole),
            tahun_lulus: self.tahun_lulus.filter(|_| whole),
            is_active: self.is_active,
            last_login_at: self.last_login_at.filter(|_| whole),
            must_change_password: whole.then_some(self.must_change_password),
            created_at: self.created_at,
        }
    }
}

struct Filters {
    search: Option<String>,
    /// Whether e-mail and numbers are searched, too.
    whole: bool,
    role: Option<&'static str>,
    is_active: Option<bool>,
    kelas: Option<Uuid>,
    jurusan: Option<Uuid>,
}

impl Filters {
    fn push(&self, query: &mut QueryBuilder<Postgres>) {
        query.push(
            " from users u
              left join (kelas k join jurusan j on j.id = k.jurusan_id and j.deleted_at is null)
                  on k.id = u.kelas_id and k.deleted_at is null
              where u.deleted_at is null",
        );
        if let Some(pattern) = &self.search {
            query.push(" and (u.nama ilike ").push_bind(pattern.clone());
            query.push(" or u.username ilike ").push_bind(pattern.clone());
            if self.whole {
                for column in ["email", "nis", "nisn"] {
                    query.push(" or u.").push(column).push(" ilike ").push_bind(pattern.clone());
                }
            }
            query.push(")");
        }
        if let Some(role) = self.role {
            query.push(" and u.role = ").push_bind(role);
        }
        if let Some(active) = self.is_active {
            query.push(" and u.is_active = ").push_bind(active);
        }
        if let Some(kelas) = self.kelas {
            query.push(" and k.id = ").push_bind(kelas);
        }
        if let Some(jurusan) = self.jurusan {
            query.push(" and j.id = ").push_bind(jurusan);
        }
    }
}

/// Users, the newest first, deactivated ones among them.
#[utoipa::path(
    get,
    path = "/api/v1/admin/users",
    tag = "admin users",
    params(Filter, ("page" = Option<i64>, Query), ("limit" = Option<i64>, Query)),
    security(("bearer" = [])),
    responses((status = 200, body = PageEnvelope<AdminUser>)),
)]
pub async fn list(
    State(app): State<AppState>,
    caller: Caller,
    Query(filter): Query<Filter>,
    paging: Paging,
) -> ApiResult<Page<AdminUser>> {
    let whole = caller.has(Capability::Users);
    let filters = Filters {
        search: search_text("search", filter.search.as_deref())?,
        whole,
        role: match filter.role.as_deref().map(str::trim) {
            None | Some("") => None,
            Some("student") => Some("student"),
            Some("alumni") => Some("alumni"),
            Some("admin") => Some("admin"),
            Some(_) => return Err(ApiError::syntax("role", "Role tidak dikenal")),
        },
        is_active: filters::boolean("is_active", filter.is_active.as_deref())?,
        kelas: filters::uuid("kelas_id", filter.kelas_id.as_deref())?,
        jurusan: filters::uuid("jurusan_id", filter.jurusan_id.as_deref())?,
    };
    caller.require_any(&[Capability::Users, Capability::SpecialRoles, Capability::Portfolios])?;
    let window = paging.with(20, 100);
    let mut count = QueryBuilder::new("select count(*)");
    filters.push(&mut count);
    let total: i64 = count.build_query_scalar().fetch_one(&app.db).await?;
    let mut query = QueryBuilder::new(
        "
        select
            u.id, u.username, u.email, u.nama, u.avatar_url, u.banner_url, u.role, u.nisn, u.nis,
            k.id as kelas_id, k.nama as kelas_nama, k.tingkat,
            j.id as jurusan_id, j.nama as jurusan_nama, j.kode as jurusan_kode,
            u.tahun_masuk, u.tahun_lulus, u.is_active, u.last_login_at, u.must_change_password, u.created_at",
    );
    filters.push(&mut query);
    query.push(" order by u.created_at desc, u.id");
    window::push(&mut query, window);
    let rows: Vec<Row> = query.build_query_as().fetch_all(&app.db).await?;
    Ok(Page::new(rows.into_iter().map(|row| row.shown(whole)).collect(), window, total))
}

/// A user with all that the back office knows.
#[utoipa::path(
    get,
    path = "/api/v1/admin/users/{id}",
    tag = "admin users",
    params(("id" = Uuid, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<AdminUserDetail>)),
)]
pub async fn detail(State(app): State<AppState>, caller: Caller, Id(id): Id) -> ApiResult<Data<AdminUserDetail>> {
    caller.require(Capability::Users)?;
    Ok(Data::new(detail::load(&app.db, id).await?))
}
