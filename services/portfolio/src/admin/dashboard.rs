//! The numbers of the start page.

use axum::extract::State;
use chrono::{DateTime, Utc};
use grafikarsa_http::{ApiResult, Data, Envelope};
use serde::{Deserialize, Serialize};
use sqlx::{PgPool, types::Json};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    AppState,
    capabilities::{Caller, Capability},
};

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(stats))
}

#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
struct DashboardStats {
    users: UserStats,
    portfolios: PortfolioStats,
    jurusan: JurusanStats,
    kelas: KelasStats,
    recent_users: Vec<RecentUser>,
    recent_pending_portfolios: Vec<RecentPortfolio>,
}

#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
struct UserStats {
    total: i64,
    students: i64,
    alumni: i64,
    admins: i64,
    new_this_month: i64,
}

#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
struct PortfolioStats {
    total: i64,
    published: i64,
    pending_review: i64,
    draft: i64,
    rejected: i64,
    archived: i64,
    new_this_month: i64,
}

#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
struct JurusanStats {
    total: i64,
}

#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
struct KelasStats {
    total: i64,
    active_tahun_ajaran: i64,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct RecentUser {
    id: Uuid,
    username: String,
    nama: String,
    avatar_url: Option<String>,
    role: String,
    kelas_nama: Option<String>,
    created_at: DateTime<Utc>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct RecentPortfolio {
    id: Uuid,
    judul: String,
    slug: String,
    thumbnail_url: Option<String>,
    user_nama: String,
    user_username: String,
    user_avatar_url: Option<String>,
    created_at: DateTime<Utc>,
}

/// All numbers at one moment. Whoever only moderates gets the one that his side bar shows.
#[utoipa::path(
    get,
    path = "/api/v1/admin/dashboard/stats",
    tag = "admin dashboard",
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<DashboardStats>)),
)]
async fn stats(State(app): State<AppState>, caller: Caller) -> ApiResult<Data<DashboardStats>> {
    caller.require_any(&[Capability::Dashboard, Capability::Moderation])?;
    if caller.has(Capability::Dashboard) {
        return Ok(Data::new(load(&app.db).await?));
    }
    let pending_review = sqlx::query_scalar!(
        r#"
        select count(*) as "pending!"
        from portfolios p
        join users u on u.id = p.user_id and u.deleted_at is null
        where p.deleted_at is null and p.status = 'pending_review'
        "#,
    )
    .fetch_one(&app.db)
    .await?;
    let portfolios = PortfolioStats { pending_review, ..PortfolioStats::default() };
    Ok(Data::new(DashboardStats { portfolios, ..DashboardStats::default() }))
}

/// One round trip. Months begin in Jakarta.
async fn load(db: &PgPool) -> ApiResult<DashboardStats> {
    let stats = sqlx::query_scalar!(
        r#"
        with month as materialized (
            select date_trunc('month', now() at time zone 'Asia/Jakarta') at time zone 'Asia/Jakarta' as began
        )
        select json_build_object(
            'users', (
                select json_build_object(
                    'total', count(*),
                    'students', count(*) filter (where role = 'student'),
                    'alumni', count(*) filter (where role = 'alumni'),
                    'admins', count(*) filter (where role = 'admin'),
                    'new_this_month', count(*) filter (where created_at >= (select began from month))
                )
                from users
                where deleted_at is null
            ),
            'portfolios', (
                select json_build_object(
                    'total', count(*),
                    'published', count(*) filter (where p.status = 'published'),
                    'pending_review', count(*) filter (where p.status = 'pending_review'),
                    'draft', count(*) filter (where p.status = 'draft'),
                    'rejected', count(*) filter (where p.status = 'rejected'),
                    'archived', count(*) filter (where p.status = 'archived'),
                    'new_this_month', count(*) filter (where p.created_at >= (select began from month))
                )
                from portfolios p
                join users u on u.id = p.user_id and u.deleted_at is null
                where p.deleted_at is null
            ),
            'jurusan', (select json_build_object('total', count(*)) from jurusan where deleted_at is null),
            'kelas', (
                select json_build_object(
                    'total', count(*),
                    'active_tahun_ajaran', count(*) filter (where t.is_active and t.deleted_at is null)
                )
                from kelas k
                join tahun_ajaran t on t.id = k.tahun_ajaran_id
                where k.deleted_at is null
            ),
            'recent_users', coalesce((
                select json_agg(recent order by recent.created_at desc, recent.id desc)
                from (
                    select u.id, u.username, u.nama, u.avatar_url, u.role, k.nama as kelas_nama, u.created_at
                    from users u
                    left join kelas k on k.id = u.kelas_id and k.deleted_at is null
                    where u.deleted_at is null
                    order by u.created_at desc, u.id desc
                    limit 5
                ) recent
            ), '[]'),
            'recent_pending_portfolios', coalesce((
                select json_agg(recent order by recent.created_at desc, recent.id desc)
                from (
                    select
                        p.id,
                        p.judul,
                        p.slug,
                        p.thumbnail_url,
                        u.nama as user_nama,
                        u.username as user_username,
                        u.avatar_url as user_avatar_url,
                        p.created_at
                    from portfolios p
                    join users u on u.id = p.user_id and u.deleted_at is null
                    where p.deleted_at is null and p.status = 'pending_review'
                    order by p.created_at desc, p.id desc
                    limit 5
                ) recent
            ), '[]')
        ) as "stats!: Json<DashboardStats>"
        "#,
    )
    .fetch_one(db)
    .await?;
    Ok(stats.0)
}
