use anyhow::anyhow;
use axum::extract::State;
use futures_util::future::{try_join, try_join_all};
use grafikarsa_http::{ApiError, ApiResult, Body, Data};
use serde::Deserialize;
use uuid::Uuid;

use super::{Stored, keep, promise};
use crate::{
    app::AppState,
    uploads::{
        confirm::Upload,
        keys,
        kinds::{Kind, extension},
    },
};

#[derive(Debug, Deserialize)]
pub(super) struct Copy {
    object_key: String,
    /// Who gets it.
    user_id: Uuid,
}

/// Copies a profile picture under the prefix of another user, with its renderings. Each call makes a copy of its own;
/// one that is never shown goes like every picture that nothing refers to.
pub(super) async fn copy(State(app): State<AppState>, Body(wanted): Body<Copy>) -> ApiResult<Data<Stored>> {
    let not_found = || ApiError::not_found("OBJECT_NOT_FOUND", "File tidak ditemukan");
    let source = sqlx::query!(
        r#"
        select
            kind,
            content_type,
            size,
            filename,
            width as "width!",
            height as "height!",
            placeholder as "placeholder!",
            array(select width from variants v where v.object_key = objects.object_key) as "widths!"
        from objects
        where object_key = $1
          and kind in ('avatar', 'banner')
          and deleted_at is null
        "#,
        wanted.object_key,
    )
    .fetch_optional(&app.db)
    .await?
    .ok_or_else(not_found)?;
    let kind: Kind = source.kind.parse().map_err(|_| anyhow!("an object of an unknown kind"))?;
    // The ending says what was declared, which may be another format than what was found.
    let ending = wanted.object_key.rsplit('.').next().unwrap_or_default();
    let declared = kind.content_types().iter().find(|name| extension(name) == Some(ending));
    let object_key = declared.and_then(|name| keys::new(kind, wanted.user_id, name)).ok_or_else(not_found)?;
    let upload = Upload {
        id: Uuid::now_v7(),
        kind,
        owner_id: wanted.user_id,
        portfolio_id: None,
        block_id: None,
        filename: source.filename,
        declared_size: source.size,
        object_key,
    };
    promise(&app.db, &upload, &source.content_type).await?;

    let unavailable = |error: anyhow::Error| ApiError::unavailable().because(error);
    let (from, to) = (&wanted.object_key, &upload.object_key);
    let renderings = source.widths.iter().filter_map(|&width| u32::try_from(width).ok()).map(async |width| {
        app.store.copy(&keys::variant(from, width), &keys::variant(to, width)).await?;
        // Absent of a WebP.
        app.store.copy(&keys::webp_variant(from, width), &keys::webp_variant(to, width)).await
    });
    let (copied, _) = try_join(app.store.copy(from, to), try_join_all(renderings)).await.map_err(unavailable)?;
    if !copied {
        return Err(not_found());
    }

    let mut tx = app.db.begin().await?;
    let inserted = sqlx::query!(
        "
        insert into objects
            (object_key, upload_id, kind, owner_id, content_type, size, etag, width, height, placeholder, filename,
             look_again_at)
        select $2, $3, kind, $4, content_type, size, etag, width, height, placeholder, filename, now() + grace(kind)
        from objects
        where object_key = $1
          and deleted_at is null
        ",
        from,
        to,
        upload.id,
        upload.owner_id,
    )
    .execute(&mut *tx)
    .await?;
    if inserted.rows_affected() == 0 {
        return Err(not_found());
    }
    sqlx::query!(
        "
        insert into variants (object_key, width, height, stored_key, size, etag, webp_size, webp_etag)
        select $2, width, height, replace(stored_key, $1, $2), size, etag, webp_size, webp_etag
        from variants
        where object_key = $1
          and width = any($3)
        ",
        from,
        to,
        &source.widths,
    )
    .execute(&mut *tx)
    .await?;
    if !keep(&mut tx, &upload).await? {
        return Err(ApiError::unavailable().because(anyhow!("a copy took too long")));
    }
    tx.commit().await?;
    tracing::info!(upload = %upload.id, kind = source.kind, "a picture was copied for another user");
    Ok(Data::new(Stored {
        url: app.url(&upload.object_key),
        object_key: upload.object_key,
        upload_id: upload.id,
        content_type: source.content_type,
        size: source.size,
        width: source.width,
        height: source.height,
        placeholder: source.placeholder,
    }))
}
