use std::time::Duration;

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use grafikarsa_http::{ApiError, ApiResult};
use tokio::time::{Instant, timeout_at};

use super::serve::{Stored, not_found};
use crate::{
    app::AppState,
    images::{self, Format, Rendering},
    uploads::{
        keys,
        publish::{etag, insert_variant, write_variant},
    },
};

/// How long a rendering may take, with all its waiting for room. Anybody can ask for one.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// How a rendering is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// In the format of its picture.
    Own,
    Webp,
}

/// The rendering of `object` at `width`: the stored one, or one made now and kept. The object itself when it has no
/// more pixels than that, or is an animation.
pub(super) async fn at_width(app: &AppState, object: Stored, width: u32, form: Form) -> ApiResult<Stored> {
    let is_smaller = object.width.is_some_and(|own| i64::from(own) <= i64::from(width));
    let format = match Format::of(&object.content_type) {
        Some(format) if format != Format::Gif && !is_smaller => format,
        _ => return Ok(object),
    };
    let known = sqlx::query!(
        "select stored_key, size, etag, webp_size, webp_etag from variants where object_key = $1 and width = $2",
        object.object_key,
        i32::try_from(width).unwrap_or(i32::MAX),
    )
    .fetch_optional(&app.db)
    .await?;
    let as_webp = form == Form::Webp && format != Format::Webp;
    match known {
        Some(variant) if !as_webp => {
            return Ok(Stored { stored_key: variant.stored_key, size: variant.size, etag: variant.etag, ..object });
        }
        Some(variant) => {
            if let (Some(size), Some(etag)) = (variant.webp_size, variant.webp_etag) {
                return Ok(webp(object, width, size, etag));
            }
        }
        None => {}
    }

    let deadline = Instant::now() + TIME_LIMIT;
    let made = timeout_at(deadline, make(app, &object, format, width, deadline)).await;
    let made = made.map_err(|_| ApiError::unavailable().because(anyhow!("a rendering took too long")))??;
    let size = |bytes: &Bytes| i64::try_from(bytes.len()).unwrap_or(i64::MAX);
    Ok(match made.webp {
        Some(bytes) if as_webp => webp(object, width, size(&bytes), etag(&bytes)),
        _ => Stored {
            stored_key: keys::variant(&object.object_key, width),
            size: size(&made.bytes),
            etag: etag(&made.bytes),
            ..object
        },
    })
}

fn webp(object: Stored, width: u32, size: i64, etag: String) -> Stored {
    let stored_key = keys::webp_variant(&object.object_key, width);
    Stored { stored_key, size, etag, content_type: "image/webp".to_owned(), ..object }
}

/// Makes the rendering in both forms: decoding takes most of the time, and the other one is asked for, too.
async fn make(app: &AppState, object: &Stored, format: Format, width: u32, deadline: Instant) -> ApiResult<Rendering> {
    let unavailable = |error: anyhow::Error| ApiError::unavailable().because(error);
    let room = app.images.room(u64::try_from(object.size).unwrap_or(0), deadline).await.map_err(unavailable)?;
    let original = app.store.get(&object.stored_key, None).await.map_err(unavailable)?;
    let original = original.context("a published object is not stored")?;
    let bytes = original.collect().await.map_err(unavailable)?;
    let memory = images::header(format, &bytes).map_err(ApiError::internal)?.memory;
    let work = move || images::render(format, &bytes, width);
    let rendered = app.images.run(memory, &room, deadline, work).await.map_err(unavailable)?;
    let rendered = rendered.map_err(ApiError::internal)?;

    let key = &object.object_key;
    write_variant(app, key, &object.content_type, &rendered).await.map_err(unavailable)?;
    if !keep(app, key, &rendered).await? {
        app.store.delete(&keys::variant(key, width)).await.map_err(unavailable)?;
        app.store.delete(&keys::webp_variant(key, width)).await.map_err(unavailable)?;
        return Err(not_found());
    }
    Ok(rendered)
}

/// Records the rendering. False when the object was deleted meanwhile, for whoever removes its bytes would not know of
/// these.
async fn keep(app: &AppState, object_key: &str, rendered: &Rendering) -> Result<bool, sqlx::Error> {
    let mut tx = app.db.begin().await?;
    let object = sqlx::query_scalar!(
        "select object_key from objects where object_key = $1 and deleted_at is null for share",
        object_key,
    )
    .fetch_optional(&mut *tx)
    .await?;
    if object.is_none() {
        return Ok(false);
    }
    insert_variant(&mut tx, object_key, rendered).await?;
    tx.commit().await?;
    Ok(true)
}
