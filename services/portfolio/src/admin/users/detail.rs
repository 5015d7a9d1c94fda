use chrono::{DateTime, Utc};
use grafikarsa_http::ApiResult;
use serde::Serialize;
use sqlx::{PgPool, types::Json};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    academic::{ClassHistoryItem, JurusanRef},
    users::{SocialLink, find::not_found},
};

/// The current class of a user.
#[derive(Debug, Serialize, ToSchema)]
pub struct AdminKelas {
    id: Uuid,
    nama: String,
    tingkat: i32,
}

impl AdminKelas {
    /// From the columns of an outer join.
    pub fn of(id: Option<Uuid>, nama: Option<String>, tingkat: Option<i32>) -> Option<Self> {
        Some(Self { id: id?, nama: nama?, tingkat: tingkat? })
    }
}

/// A user as the back office sees him.
#[derive(Debug, Serialize, ToSchema)]
pub struct AdminUserDetail {
    id: Uuid,
    username: String,
    nama: String,
    role: String,
    avatar_url: Option<String>,
    kelas: Option<AdminKelas>,
    jurusan: Option<JurusanRef>,
    is_active: bool,
    created_at: DateTime<Utc>,
    email: String,
    banner_url: Option<String>,
    nisn: Option<String>,
    nis: Option<String>,
    tahun_masuk: Option<i32>,
    tahun_lulus: Option<i32>,
    last_login_at: Option<DateTime<Utc>>,
    must_change_password: bool,
    bio: Option<String>,
    class_history: Vec<ClassHistoryItem>,
    social_links: Vec<SocialLink>,
    updated_at: DateTime<Utc>,
}

pub async fn load(db: &PgPool, id: Uuid) -> ApiResult<AdminUserDetail> {
    let row = sqlx::query!(
        r#"
        select
            u.username,
            u.nama,
            u.role,
            u.avatar_url,
            u.is_active,
            u.created_at,
            u.email,
            u.banner_url,
            u.nisn,
            u.nis,
            u.tahun_masuk,
            u.tahun_lulus,
            u.last_login_at,
            u.must_change_password,
            u.bio,
            u.updated_at,
            k.id as "kelas_id?",
            k.nama as "kelas_nama?",
            k.tingkat as "tingkat?",
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
            ) as "social_links!: Json<Vec<SocialLink>>"
        from users u
        left join (kelas k join jurusan j on j.id = k.jurusan_id and j.deleted_at is null)
            on k.id = u.kelas_id and k.deleted_at is null
        where u.id = $1 and u.deleted_at is null
        "#,
        id,
    )
    .fetch_optional(db)
    .await?
    .ok_or_else(not_found)?;
    Ok(AdminUserDetail {
        id,
        username: row.username,
        nama: row.nama,
        role: row.role,
        avatar_url: row.avatar_url,
        kelas: AdminKelas::of(row.kelas_id, row.kelas_nama, row.tingkat),
        jurusan: JurusanRef::of(row.jurusan_id, row.jurusan_nama, row.jurusan_kode),
        is_active: row.is_active,
        created_at: row.created_at,
        email: row.email,
        banner_url: row.banner_url,
        nisn: row.nisn,
        nis: row.nis,
        tahun_masuk: row.tahun_masuk,
        tahun_lulus: row.tahun_lulus,
        last_login_at: row.last_login_at,
        must_change_password: row.must_change_password,
        bio: row.bio,
        class_history: row.class_history.0,
        social_links: row.social_links.0,
        updated_at: row.updated_at,
    })
}
