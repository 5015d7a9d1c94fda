use axum::extract::State;
use grafikarsa_http::{
    ApiError, ApiResult, Data, DeferredBody, Envelope, FieldErrors, Id, nullable, optional_text, required_text,
};
use serde::Deserialize;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    detail::{self, AdminPortfolioDetail},
    tell_owner,
};
use crate::{
    AppState,
    admin::audit,
    capabilities::{Caller, Capability},
    portfolios::{
        Status,
        access::{self, Loaded},
        content, events, fields, filters, update,
    },
};

/// What to change; absent is unchanged.
#[derive(Debug, Deserialize, ToSchema)]
pub struct AdminPortfolioPatch {
    /// 1 to 200 characters.
    judul: Option<String>,
    /// Any of the five, from any.
    status: Option<String>,
    /// Replaces the whole set.
    tag_ids: Option<Vec<Uuid>>,
    #[serde(default, deserialize_with = "filters::clearable_uuid")]
    #[schema(value_type = Option<Uuid>)]
    series_id: Option<Option<Uuid>>,
    /// The address of a confirmed thumbnail of this portfolio.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>)]
    thumbnail_url: Option<Option<String>>,
    /// At most 2000 characters.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>)]
    admin_review_note: Option<Option<String>>,
}

/// Changes a portfolio and, if it is asked for, its status.
#[utoipa::path(
    patch,
    path = "/api/v1/admin/portfolios/{id}",
    tag = "admin portfolios",
    operation_id = "admin_update_portfolio",
    params(("id" = Uuid, Path)),
    request_body = AdminPortfolioPatch,
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<AdminPortfolioDetail>)),
)]
pub async fn update(
    State(app): State<AppState>,
    caller: Caller,
    Id(id): Id,
    body: DeferredBody<AdminPortfolioPatch>,
) -> ApiResult<Data<AdminPortfolioDetail>> {
    caller.require(Capability::Portfolios)?;
    access::find(&app.db, id).await?;
    let patch = body.read().await?;

    let mut tx = app.db.begin().await?;
    let before = access::lock(&mut tx, id).await?;
    let mut errors = FieldErrors::new();
    let judul = match &patch.judul {
        Some(judul) => required_text(&mut errors, "judul", "Judul", Some(judul), 1..=200),
        None => before.judul.clone(),
    };
    let status = match patch.status.as_deref().map(str::trim) {
        None => before.status,
        Some(text) => Status::parse(text).unwrap_or_else(|| {
            errors.add("status", "Status tidak dikenal");
            before.status
        }),
    };
    let chooses_thumbnail = patch.thumbnail_url.is_some();
    let thumbnail_url = match patch.thumbnail_url {
        Some(url) => update::thumbnail(&app, &mut tx, &mut errors, &before, url).await?,
        None => before.thumbnail_url.clone(),
    };
    let tags = match patch.tag_ids {
        Some(ids) => Some(fields::tags(&mut tx, &mut errors, ids).await?),
        None => None,
    };
    let series_id = patch.series_id.unwrap_or(before.series_id);
    if let Some(series) = series_id.filter(|_| series_id != before.series_id)
        && !series_exists(&mut tx, series).await?
    {
        errors.add("series_id", "Series tidak ditemukan");
    }
    let note = patch
        .admin_review_note
        .map(|note| optional_text(&mut errors, "admin_review_note", "Catatan", note.as_deref(), 0..=2000));
    errors.finish()?;
    if status != before.status && before.user_id == caller.id && !caller.is_admin() {
        return Err(ApiError::forbidden());
    }

    let tags_changed = match tags {
        Some(tags) => update::replace_tags(&mut tx, id, &tags).await?,
        None => false,
    };
    let row_changed = judul != before.judul || thumbnail_url != before.thumbnail_url || series_id != before.series_id;
    if row_changed {
        update::write(&mut tx, &before, &judul, thumbnail_url.as_deref(), series_id).await?;
    }
    if chooses_thumbnail {
        // Also an equal choice: an upload whose event comes late must not undo it.
        sqlx::query!("update portfolios set thumbnail_set_at = clock_timestamp() where id = $1", id)
            .execute(&mut *tx)
            .await?;
    }
    if row_changed || tags_changed {
        content::changed(&mut tx, &before, (&caller).into(), &app.rules).await?;
    }
    if let Some(old) = before.thumbnail_url.clone().filter(|old| thumbnail_url.as_ref() != Some(old)) {
        events::released(&mut tx, before.state(), vec![old]).await?;
    }
    let note_changed = match &note {
        Some(note) => write_note(&mut tx, id, note.as_deref()).await?,
        None => false,
    };
    if status != before.status {
        let renamed = Loaded { slug: slug(&mut tx, id).await?, judul: judul.clone(), ..before.clone() };
        move_to(&mut tx, &caller, &renamed, status).await?;
    }
    let changed: Vec<&str> = [
        (judul != before.judul).then_some("judul"),
        (status != before.status).then_some("status"),
        tags_changed.then_some("tag_ids"),
        (series_id != before.series_id).then_some("series_id"),
        (thumbnail_url != before.thumbnail_url).then_some("thumbnail_url"),
        note_changed.then_some("admin_review_note"),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !changed.is_empty() {
        audit::record(&mut tx, caller.id, "portfolio.update", id, &changed).await?;
    }
    let detail = detail::load(&mut tx, id, &caller).await?;
    tx.commit().await?;
    Ok(Data::new(detail).message("Portofolio berhasil diperbarui"))
}

/// Active or not.
async fn series_exists(connection: &mut PgConnection, id: Uuid) -> Result<bool, sqlx::Error> {
    let found = sqlx::query_scalar!("select id from series where id = $1 and deleted_at is null for key share", id);
    Ok(found.fetch_optional(connection).await?.is_some())
}

async fn write_note(connection: &mut PgConnection, id: Uuid, note: Option<&str>) -> Result<bool, sqlx::Error> {
    let written = sqlx::query!(
        "
        update portfolios
        set admin_review_note = $2, updated_at = clock_timestamp()
        where id = $1 and admin_review_note is distinct from $2
        ",
        id,
        note,
    )
    .execute(connection)
    .await?;
    Ok(written.rows_affected() > 0)
}

async fn slug(connection: &mut PgConnection, id: Uuid) -> Result<String, sqlx::Error> {
    sqlx::query_scalar!("select slug from portfolios where id = $1", id).fetch_one(connection).await
}

/// Published and rejected are reviews: who made them is kept, and the owner hears of them.
async fn move_to(
    connection: &mut PgConnection,
    caller: &Caller,
    portfolio: &Loaded,
    status: Status,
) -> Result<(), sqlx::Error> {
    let row = sqlx::query!(
        "
        update portfolios
        set status = $2,
            published_at = case when $2 = 'published' then now() else published_at end,
            reviewed_by = case when $2 in ('published', 'rejected') then $3 else reviewed_by end,
            reviewed_at = case when $2 in ('published', 'rejected') then now() else reviewed_at end,
            version = version + 1,
            updated_at = clock_timestamp()
        where id = $1
        returning version, admin_review_note
        ",
        portfolio.id,
        status.as_str(),
        caller.id,
    )
    .fetch_one(&mut *connection)
    .await?;
    let note = row.admin_review_note.as_deref();
    tell_owner(connection, portfolio, caller.id, status, note, row.version).await?;
    events::status_changed(connection, events::State { version: row.version, status, ..portfolio.state() }).await
}
