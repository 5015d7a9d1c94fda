//! Labels of portfolios.

use axum::extract::State;
use chrono::{DateTime, Utc};
use grafikarsa_http::{
    ApiError, ApiResult, Data, DeferredBody, Envelope, FieldErrors, Id, Nothing, Query, required_line, search_text,
};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{audit, taken};
use crate::{
    AppState,
    capabilities::{Caller, Capability},
};

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(update, delete))
}

#[derive(Debug, Serialize, ToSchema)]
struct AdminTag {
    id: Uuid,
    nama: String,
    portfolio_count: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

#[derive(Debug, Deserialize, IntoParams)]
struct Filter {
    /// Part of the name.
    search: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
struct TagInput {
    /// 1 to 50 characters.
    nama: Option<String>,
}

/// All tags, by name.
#[utoipa::path(
    get,
    path = "/api/v1/admin/tags",
    tag = "admin content",
    params(Filter),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Vec<AdminTag>>)),
)]
async fn list(
    State(app): State<AppState>,
    caller: Caller,
    Query(filter): Query<Filter>,
) -> ApiResult<Data<Vec<AdminTag>>> {
    let search = search_text("search", filter.search.as_deref())?;
    caller.require_any(&[Capability::Tags, Capability::Portfolios])?;
    let tags = sqlx::query_as!(
        AdminTag,
        r#"
        select t.id, t.nama, coalesce(used.portfolios, 0) as "portfolio_count!", t.created_at, t.updated_at
        from tags t
        left join (
            select pt.tag_id, count(*) as portfolios
            from portfolio_tags pt
            join portfolios p on p.id = pt.portfolio_id and p.deleted_at is null
            group by pt.tag_id
        ) used on used.tag_id = t.id
        where t.deleted_at is null and ($1::text is null or t.nama ilike $1)
        order by t.nama, t.id
        limit 5000
        "#,
        search,
    )
    .fetch_all(&app.db)
    .await?;
    Ok(Data::new(tags))
}

/// Creates a tag.
#[utoipa::path(
    post,
    path = "/api/v1/admin/tags",
    tag = "admin content",
    request_body = TagInput,
    security(("bearer" = [])),
    responses((status = 201, body = Envelope<AdminTag>)),
)]
async fn create(
    State(app): State<AppState>,
    caller: Caller,
    body: DeferredBody<TagInput>,
) -> ApiResult<Data<AdminTag>> {
    caller.require(Capability::Tags)?;
    let body = body.read().await?;
    let mut errors = FieldErrors::new();
    let nama = required_line(&mut errors, "nama", "Nama", body.nama.as_deref(), 1..=50);
    errors.finish()?;

    let id = Uuid::now_v7();
    let mut tx = app.db.begin().await?;
    sqlx::query!("insert into tags (id, nama) values ($1, $2)", id, nama).execute(&mut *tx).await.map_err(duplicate)?;
    audit::record(&mut tx, caller.id, "tag.create", id, &["nama"]).await?;
    let tag = load(&mut tx, id).await?;
    tx.commit().await?;
    Ok(Data::created(tag).message("Tag berhasil dibuat"))
}

/// Renames a tag.
#[utoipa::path(
    patch,
    path = "/api/v1/admin/tags/{id}",
    tag = "admin content",
    params(("id" = Uuid, Path)),
    request_body = TagInput,
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<AdminTag>)),
)]
async fn update(
    State(app): State<AppState>,
    caller: Caller,
    Id(id): Id,
    body: DeferredBody<TagInput>,
) -> ApiResult<Data<AdminTag>> {
    caller.require(Capability::Tags)?;
    load(&mut *app.db.acquire().await?, id).await?;
    let body = body.read().await?;
    let mut errors = FieldErrors::new();
    let nama = body.nama.as_deref().map(|nama| required_line(&mut errors, "nama", "Nama", Some(nama), 1..=50));
    errors.finish()?;

    let mut tx = app.db.begin().await?;
    let changed = sqlx::query!(
        "
        update tags
        set nama = $2, updated_at = now()
        where id = $1 and deleted_at is null and nama <> $2
        ",
        id,
        nama,
    )
    .execute(&mut *tx)
    .await
    .map_err(duplicate)?;
    if changed.rows_affected() > 0 {
        audit::record(&mut tx, caller.id, "tag.update", id, &["nama"]).await?;
    }
    let tag = load(&mut tx, id).await?;
    tx.commit().await?;
    Ok(Data::new(tag).message("Tag berhasil diperbarui"))
}

/// Deletes a tag and takes it off all portfolios.
#[utoipa::path(
    delete,
    path = "/api/v1/admin/tags/{id}",
    tag = "admin content",
    params(("id" = Uuid, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Nothing>)),
)]
async fn delete(State(app): State<AppState>, caller: Caller, Id(id): Id) -> ApiResult<Data<()>> {
    caller.require(Capability::Tags)?;
    let mut tx = app.db.begin().await?;
    // Portfolios first and in the order of their ids, as views and likes lock them; then the tag, against whoever is just
    // choosing it.
    sqlx::query!(
        "
        select id
        from portfolios
        where id in (select portfolio_id from portfolio_tags where tag_id = $1)
        order by id
        for no key update
        ",
        id,
    )
    .fetch_all(&mut *tx)
    .await?;
    sqlx::query!("select id from tags where id = $1 for update", id).fetch_optional(&mut *tx).await?;
    let deleted = sqlx::query!("update tags set deleted_at = now() where id = $1 and deleted_at is null", id)
        .execute(&mut *tx)
        .await?;
    if deleted.rows_affected() == 0 {
        return Err(not_found());
    }
    sqlx::query!("delete from portfolio_tags where tag_id = $1", id).execute(&mut *tx).await?;
    audit::record(&mut tx, caller.id, "tag.delete", id, &[]).await?;
    tx.commit().await?;
    Ok(Data::none().message("Tag berhasil dihapus"))
}

async fn load(connection: &mut PgConnection, id: Uuid) -> ApiResult<AdminTag> {
    let found = sqlx::query_as!(
        AdminTag,
        r#"
        select
            t.id,
            t.nama,
            (
                select count(*)
                from portfolio_tags pt
                join portfolios p on p.id = pt.portfolio_id and p.deleted_at is null
                where pt.tag_id = t.id
            ) as "portfolio_count!",
            t.created_at,
            t.updated_at
        from tags t
        where t.id = $1 and t.deleted_at is null
        "#,
        id,
    )
    .fetch_optional(connection)
    .await?;
    found.ok_or_else(not_found)
}

fn not_found() -> ApiError {
    ApiError::not_found("NOT_FOUND", "Tag tidak ditemukan")
}

fn duplicate(error: sqlx::Error) -> ApiError {
    taken(error, "tags_nama_key", "DUPLICATE_TAG", "Nama tag sudah digunakan")
}
