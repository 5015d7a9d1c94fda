use std::collections::BTreeSet;

use axum::extract::State;
use chrono::{DateTime, Utc};
use grafikarsa_http::{ApiError, ApiResult, Data, DeferredBody, Envelope, FieldErrors, Id, nullable, required_text};
use serde::{Deserialize, Serialize};
use sqlx::{Acquire as _, PgConnection};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    Status,
    access::{self, Loaded},
    content,
    create::taken_slugs,
    events, fields, filters, slug,
};
use crate::{AppState, capabilities::Caller, storage};

#[derive(Debug, Deserialize, ToSchema)]
pub struct PortfolioPatch {
    /// 1 to 200 characters.
    judul: Option<String>,
    /// `null` and the empty text clear it; else the address of a confirmed thumbnail of this portfolio.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>)]
    thumbnail_url: Option<Option<String>>,
    /// Replaces the whole set.
    tag_ids: Option<Vec<Uuid>>,
    #[serde(default, deserialize_with = "filters::clearable_uuid")]
    #[schema(value_type = Option<Uuid>)]
    series_id: Option<Option<Uuid>>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Updated {
    id: Uuid,
    judul: String,
    slug: String,
    status: Status,
    updated_at: DateTime<Utc>,
}

/// Changes title, picture, tags or series. Equal values are no change.
#[utoipa::path(
    patch,
    path = "/api/v1/portfolios/{id}",
    tag = "portfolios",
    params(("id" = Uuid, Path)),
    request_body = PortfolioPatch,
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Updated>)),
)]
pub async fn update(
    State(app): State<AppState>,
    caller: Caller,
    Id(id): Id,
    body: DeferredBody<PortfolioPatch>,
) -> ApiResult<Data<Updated>> {
    access::find(&app.db, id).await?.must_be_editable_by(&caller)?;
    let patch = body.read().await?;

    let mut tx = app.db.begin().await?;
    let before = access::lock(&mut tx, id).await?;
    let mut errors = FieldErrors::new();
    let judul = match &patch.judul {
        Some(judul) => required_text(&mut errors, "judul", "Judul", Some(judul), 1..=200),
        None => before.judul.clone(),
    };
    let chooses_thumbnail = patch.thumbnail_url.is_some();
    let thumbnail_url = match patch.thumbnail_url {
        Some(url) => thumbnail(&app, &mut tx, &mut errors, &before, url).await?,
        None => before.thumbnail_url.clone(),
    };
    let tags = match patch.tag_ids {
        Some(ids) => Some(fields::tags(&mut tx, &mut errors, ids).await?),
        None => None,
    };
    let series_id = patch.series_id.unwrap_or(before.series_id);
    if let Some(series) = series_id.filter(|_| series_id != before.series_id) {
        fields::series(&mut tx, &mut errors, series, before.series_id).await?;
    }
    errors.finish()?;

    let tags_changed = match tags {
        Some(tags) => replace_tags(&mut tx, id, &tags).await?,
        None => false,
    };
    let row_changed = judul != before.judul || thumbnail_url != before.thumbnail_url || series_id != before.series_id;
    if row_changed {
        write(&mut tx, &before, &judul, thumbnail_url.as_deref(), series_id).await?;
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
    let updated = sqlx::query_as!(
        Updated,
        r#"select id, judul, slug, status as "status: Status", updated_at from portfolios where id = $1"#,
        id,
    )
    .fetch_one(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Data::new(updated))
}

/// The picture to store: none, the same as before, or a confirmed thumbnail of this portfolio.
pub async fn thumbnail(
    app: &AppState,
    connection: &mut PgConnection,
    errors: &mut FieldErrors,
    portfolio: &Loaded,
    url: Option<String>,
) -> ApiResult<Option<String>> {
    let url = url.map(|url| url.trim().to_owned()).filter(|url| !url.is_empty());
    let Some(wanted) = url else { return Ok(None) };
    if portfolio.thumbnail_url.as_ref() == Some(&wanted) {
        return Ok(Some(wanted));
    }
    let object = match storage::Key::at(&app.rules.storage_base, &wanted, "thumbnails", portfolio.id) {
        Some(key) => storage::confirmed_object(app, connection, &key).await?,
        None => None,
    };
    if object.is_some_and(|object| object.kind == "thumbnail" && object.portfolio_id == Some(portfolio.id)) {
        Ok(Some(wanted))
    } else {
        errors.add("thumbnail_url", "Thumbnail harus berupa gambar yang telah diunggah untuk portofolio ini");
        Ok(None)
    }
}

/// Makes `tags` the tags of the portfolio; true if they were others before. Deleted tags are as good as absent.
pub async fn replace_tags(connection: &mut PgConnection, portfolio: Uuid, tags: &[Uuid]) -> ApiResult<bool> {
    let before: BTreeSet<Uuid> = sqlx::query_scalar!(
        "
        select t.id
        from portfolio_tags pt
        join tags t on t.id = pt.tag_id and t.deleted_at is null
        where pt.portfolio_id = $1
        ",
        portfolio,
    )
    .fetch_all(&mut *connection)
    .await?
    .into_iter()
    .collect();
    if before.iter().copied().eq(tags.iter().copied()) {
        return Ok(false);
    }
    sqlx::query!("delete from portfolio_tags where portfolio_id = $1 and tag_id <> all($2)", portfolio, tags)
        .execute(&mut *connection)
        .await?;
    sqlx::query!(
        "insert into portfolio_tags (portfolio_id, tag_id) select $1, unnest($2::uuid[]) on conflict do nothing",
        portfolio,
        tags,
    )
    .execute(connection)
    .await?;
    Ok(true)
}

/// Writes the row. The slug follows the title only when the titles' bases differ; when somebody takes the same slug at
/// the same time the index decides, and the next number is tried.
pub async fn write(
    connection: &mut PgConnection,
    before: &Loaded,
    judul: &str,
    thumbnail_url: Option<&str>,
    series_id: Option<Uuid>,
) -> ApiResult<()> {
    let base = slug::base(judul);
    let renamed = base != slug::base(&before.judul);
    for _ in 0..10 {
        let slug = if renamed {
            slug::unique(&base, &taken_slugs(connection, before.user_id, before.id).await?)
        } else {
            before.slug.clone()
        };
        let mut attempt = connection.begin().await?;
        let written = sqlx::query!(
            "update portfolios set judul = $2, slug = $3, thumbnail_url = $4, series_id = $5 where id = $1",
            before.id,
            judul,
            slug,
            thumbnail_url,
            series_id,
        )
        .execute(&mut *attempt)
        .await;
        match written {
            Ok(_) => {
                attempt.commit().await?;
                return Ok(());
            }
            Err(error) if is_slug_taken(&error) => attempt.rollback().await?,
            Err(error) => return Err(error.into()),
        }
    }
    Err(ApiError::unavailable())
}

fn is_slug_taken(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.constraint() == Some("portfolios_slug_key"))
}
