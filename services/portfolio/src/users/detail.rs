use axum::extract::State;
use chrono::{DateTime, Utc};
use grafikarsa_http::{ApiResult, Data, Envelope};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    SocialLink,
    find::{UserName, not_found},
};
use crate::{
    AppState,
    academic::{ClassHistoryItem, JurusanRef, KelasRef},
    capabilities::{Capability, Viewer},
};

#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct PublicSpecialRole {
    id: Uuid,
    nama: String,
    color: String,
}

/// A profile as everybody sees it.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserDetail {
    id: Uuid,
    username: String,
    nama: String,
    bio: Option<String>,
    avatar_url: Option<String>,
    banner_url: Option<String>,
    role: String,
    /// False only for staff: others do not see a deactivated account at all.
    is_active: bool,
    tahun_masuk: Option<i32>,
    tahun_lulus: Option<i32>,
    kelas: Option<KelasRef>,
    jurusan: Option<JurusanRef>,
    class_history: Vec<ClassHistoryItem>,
    social_links: Vec<SocialLink>,
    special_roles: Vec<PublicSpecialRole>,
    follower_count: i64,
    following_count: i64,
    /// Published ones.
    portfolio_count: i64,
    /// Whether the caller follows this user.
    is_following: bool,
    created_at: DateTime<Utc>,
}

/// The profile of a user.
#[utoipa::path(
    get,
    path = "/api/v1/users/{username}",
    tag = "users",
    params(("username" = String, Path)),
    security((), ("bearer" = [])),
    responses((status = 200, body = Envelope<UserDetail>)),
)]
pub async fn detail(
    State(app): State<AppState>,
    viewer: Viewer,
    UserName(username): UserName,
) -> ApiResult<Data<UserDetail>> {
    let sees_inactive = viewer.0.as_ref().is_some_and(|caller| caller.has(Capability::Users));
    let row = sqlx::query!(
        r#"
        select
            u.id,
            u.username,
            u.nama,
            u.bio,
            u.avatar_url,
            u.banner_url,
            u.role,
            u.is_active,
            u.tahun_masuk,
            coalesce(u.tahun_lulus, u.tahun_masuk + 3) as tahun_lulus,
            u.follower_count,
            u.following_count,
            u.created_at,
            k.id as "kelas_id?",
            k.nama as "kelas_nama?",
            j.id as "jurusan_id?",
            j.nama as "jurusan_nama?",
            j.kode as "jurusan_kode?",
            coalesce(
                (
                    select json_agg(
                        json_build_object('kelas_nama', hk.nama, 'tahun_ajaran', t.tahun_mulai)
                        order by t.tahun_mulai, h.created_at, h.id
                    )
                    from riwayat_kelas h
                    join kelas hk on hk.id = h.kelas_id
                    join tahun_ajaran t on t.id = h.tahun_ajaran_id
                    where h.user_id = u.id
                ),
                '[]'
            ) as "class_history!: Json<Vec<ClassHistoryItem>>",
            coalesce(
                (
                    select json_agg(json_build_object('platform', l.platform, 'url', l.url) order by l.position)
                    from social_links l
                    where l.user_id = u.id
                ),
                '[]'
            ) as "social_links!: Json<Vec<SocialLink>>",
            coalesce(
                (
                    select json_agg(
                        json_build_object('id', r.id, 'nama', r.nama, 'color', r.color) order by r.nama, r.id
                    )
                    from user_special_roles a
                    join special_roles r on r.id = a.special_role_id
                    where a.user_id = u.id and r.is_active and r.deleted_at is null
                ),
                '[]'
            ) as "special_roles!: Json<Vec<PublicSpecialRole>>",
            (
                select count(*)
                from portfolios p
                where p.user_id = u.id and p.status = 'published' and p.deleted_at is null
            ) as "portfolio_count!",
            exists (
                select 1 from follows f where f.follower_id = $2 and f.followed_id = u.id
            ) as "is_following!"
        from users u
        left join (kelas k join jurusan j on j.id = k.jurusan_id and j.deleted_at is null)
            on k.id = u.kelas_id and k.deleted_at is null
        where lower(u.username) = lower($1) and u.deleted_at is null and (u.is_active or $3)
        order by u.account_version desc
        limit 1
        "#,
        username,
        viewer.id(),
        sees_inactive,
    )
    .fetch_optional(&app.db)
    .await?
    .ok_or_else(not_found)?;
    Ok(Data::new(UserDetail {
        id: row.id,
        username: row.username,
        nama: row.nama,
        bio: row.bio,
        avatar_url: row.avatar_url,
        banner_url: row.banner_url,
        role: row.role,
        is_active: row.is_active,
        tahun_masuk: row.tahun_masuk,
        tahun_lulus: row.tahun_lulus,
        kelas: KelasRef::of(row.kelas_id, row.kelas_nama),
        jurusan: JurusanRef::of(row.jurusan_id, row.jurusan_nama, row.jurusan_kode),
        class_history: row.class_history.0,
        social_links: row.social_links.0,
        special_roles: row.special_roles.0,
        follower_count: row.follower_count,
        following_count: row.following_count,
        portfolio_count: row.portfolio_count,
        is_following: row.is_following,
        created_at: row.created_at,
    }))
}
