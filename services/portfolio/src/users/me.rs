use axum::extract::State;
use chrono::{DateTime, Utc};
use grafikarsa_http::{ApiResult, Data, Envelope};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    AppState,
    academic::{JurusanRef, KelasRef},
    capabilities::Caller,
};

/// A link to a profile elsewhere.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct SocialLink {
    pub platform: String,
    pub url: String,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
struct MeSpecialRole {
    id: Uuid,
    nama: String,
    color: String,
    capabilities: Vec<String>,
    is_active: bool,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Me {
    id: Uuid,
    username: String,
    email: String,
    nama: String,
    bio: Option<String>,
    avatar_url: Option<String>,
    banner_url: Option<String>,
    role: String,
    nisn: Option<String>,
    nis: Option<String>,
    tahun_masuk: Option<i32>,
    tahun_lulus: Option<i32>,
    kelas: Option<KelasRef>,
    jurusan: Option<JurusanRef>,
    social_links: Vec<SocialLink>,
    follower_count: i64,
    following_count: i64,
    special_roles: Vec<MeSpecialRole>,
    capabilities: Vec<String>,
    must_change_password: bool,
    created_at: DateTime<Utc>,
}

/// The caller's own profile.
#[utoipa::path(
    get,
    path = "/api/v1/me",
    tag = "users",
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Me>)),
)]
pub async fn me(State(app): State<AppState>, caller: Caller) -> ApiResult<Data<Me>> {
    let row = sqlx::query!(
        r#"
        select
            u.username,
            u.email,
            u.nama,
            u.bio,
            u.avatar_url,
            u.banner_url,
            u.role,
            u.nisn,
            u.nis,
            u.tahun_masuk,
            coalesce(u.tahun_lulus, u.tahun_masuk + 3) as tahun_lulus,
            u.follower_count,
            u.following_count,
            u.must_change_password,
            u.created_at,
            k.id as "kelas_id?",
            k.nama as "kelas_nama?",
            j.id as "jurusan_id?",
            j.nama as "jurusan_nama?",
            j.kode as "jurusan_kode?",
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
                        json_build_object(
                            'id', r.id,
                            'nama', r.nama,
                            'color', r.color,
                            'capabilities', r.capabilities,
                            'is_active', r.is_active
                        )
                        order by r.nama, r.id
                    )
                    from user_special_roles a
                    join special_roles r on r.id = a.special_role_id
                    where a.user_id = u.id and r.is_active and r.deleted_at is null
                ),
                '[]'
            ) as "special_roles!: Json<Vec<MeSpecialRole>>"
        from users u
        left join (kelas k join jurusan j on j.id = k.jurusan_id and j.deleted_at is null)
            on k.id = u.kelas_id and k.deleted_at is null
        where u.id = $1 and u.is_active and u.deleted_at is null
        "#,
        caller.id,
    )
    .fetch_optional(&app.db)
    .await?
    // Deactivated within the last seconds: a matter of the token, never a 404.
    .ok_or_else(super::revoked)?;

    let Json(special_roles) = row.special_roles;
    let mut capabilities: Vec<String> =
        special_roles.iter().flat_map(|role| role.capabilities.iter().cloned()).collect();
    capabilities.sort_unstable();
    capabilities.dedup();
    Ok(Data::new(Me {
        id: caller.id,
        username: row.username,
        email: row.email,
        nama: row.nama,
        bio: row.bio,
        avatar_url: row.avatar_url,
        banner_url: row.banner_url,
        role: row.role,
        nisn: row.nisn,
        nis: row.nis,
        tahun_masuk: row.tahun_masuk,
        tahun_lulus: row.tahun_lulus,
        kelas: KelasRef::of(row.kelas_id, row.kelas_nama),
        jurusan: JurusanRef::of(row.jurusan_id, row.jurusan_nama, row.jurusan_kode),
        social_links: row.social_links.0,
        follower_count: row.follower_count,
        following_count: row.following_count,
        special_roles,
        capabilities,
        must_change_password: row.must_change_password,
        created_at: row.created_at,
    }))
}
