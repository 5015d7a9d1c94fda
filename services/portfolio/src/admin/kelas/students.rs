use axum::extract::State;
use grafikarsa_http::{ApiResult, Id, Page, PageEnvelope, Paging};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    AppState,
    capabilities::{Caller, Capability},
};

#[derive(Debug, Serialize, ToSchema)]
pub struct KelasStudent {
    id: Uuid,
    username: String,
    nama: String,
    nisn: Option<String>,
    nis: Option<String>,
    avatar_url: Option<String>,
}

/// Who is in a class now, by name.
#[utoipa::path(
    get,
    path = "/api/v1/admin/kelas/{id}/students",
    tag = "admin academic",
    params(("id" = Uuid, Path), ("page" = Option<i64>, Query), ("limit" = Option<i64>, Query)),
    security(("bearer" = [])),
    responses((status = 200, body = PageEnvelope<KelasStudent>)),
)]
pub async fn students(
    State(app): State<AppState>,
    caller: Caller,
    Id(id): Id,
    paging: Paging,
) -> ApiResult<Page<KelasStudent>> {
    caller.require(Capability::Classes)?;
    let window = paging.with(100, 100);
    let total = sqlx::query_scalar!(
        r#"
        select (select count(*) from users u where u.kelas_id = k.id and u.deleted_at is null) as "total!"
        from kelas k
        where k.id = $1 and k.deleted_at is null
        "#,
        id,
    )
    .fetch_optional(&app.db)
    .await?
    .ok_or_else(super::not_found)?;
    let students = sqlx::query_as!(
        KelasStudent,
        "
        select id, username, nama, nisn, nis, avatar_url
        from users
        where kelas_id = $1 and deleted_at is null
        order by lower(nama), id
        limit $2
        offset $3
        ",
        id,
        window.limit(),
        window.offset(),
    )
    .fetch_all(&app.db)
    .await?;
    Ok(Page::new(students, window, total))
}
