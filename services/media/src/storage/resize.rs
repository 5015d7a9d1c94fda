use grafikarsa_http::{ApiError, ApiResult};

use super::serve::Stored;
use crate::{
    app::AppState,
    images::{self, Format},
    uploads::{
        keys,
        publish::{etag, insert_variant},
    },
};

/// The rendering of `object` at `width`: the stored one, or one made now and kept. The object itself when it has no
/// more pixels than that, or is an animation.
pub(super) async fn at_width(app: &AppState, object: Stored, width: u32) -> ApiResult<Stored> {
    let is_smaller = object.width.is_some_and(|own| i64::from(own) <= i64::from(width));
    let format = match Format::of(&object.content_type) {
        Some(format) if format != Format::Gif && !is_smaller => format,
        _ => return Ok(object),
    };
    let known = sqlx::query!(
        "select stored_key, size, etag from variants where object_key = $1 and width = $2",
        object.object_key,
        i32::try_from(width).unwrap_or(i32::MAX),
    )
    .fetch_optional(&app.db)
    .await?;
    if let Some(variant) = known {
        return Ok(Stored { stored_key: variant.stored_key, size: variant.size, etag: variant.etag, ..object });
    }

    let unavailable = |error: anyhow::Error| ApiError::unavailable().because(error);
    let original = app.store.get(&object.stored_key, None).await.map_err(unavailable)?;
    let original = original.ok_or_else(|| ApiError::internal(anyhow::anyhow!("a published object is not stored")))?;
    let bytes = original.collect().await.map_err(unavailable)?;
    let header = images::header(format, &bytes).map_err(ApiError::internal)?;
    let length = bytes.len();
    let rendered = app.images.run(header, length, move || images::render(format, &bytes, width)).await?;
    let rendered = rendered.map_err(ApiError::internal)?;
    let stored_key = keys::variant(&object.object_key, width);
    app.store.put(&stored_key, &object.content_type, rendered.bytes.clone()).await.map_err(unavailable)?;
    let mut connection = app.db.acquire().await?;
    insert_variant(&mut connection, &object.object_key, &rendered).await?;
    let size = i64::try_from(rendered.bytes.len()).unwrap_or(i64::MAX);
    Ok(Stored { stored_key, size, etag: etag(&rendered.bytes), ..object })
}
