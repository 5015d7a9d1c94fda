//! What portfolio asks synchronously.
//!
//! What these routes write is promised first, as an upload is: should the process die in between, the sweep of expired
//! uploads removes the bytes.

mod changelog;
mod copy;
mod find;

use axum::{
    Router,
    routing::{get, post},
};
use serde::Serialize;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::{app::AppState, uploads::confirm::Upload};

pub(crate) fn router() -> Router<AppState> {
    Router::new()
        .route("/internal/objects/{*object_key}", get(find::object))
        .route("/internal/pictures/copy", post(copy::copy))
        .route("/internal/changelogs/{changelog_id}/images", post(changelog::store))
}

/// An object that was just stored.
#[derive(Debug, Serialize)]
struct Stored {
    object_key: String,
    /// Absolute.
    url: String,
    upload_id: Uuid,
    content_type: String,
    size: i64,
    width: i32,
    height: i32,
    /// ThumbHash in base64.
    placeholder: String,
}

async fn promise(db: &PgPool, upload: &Upload, content_type: &str) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "
        insert into uploads (id, kind, owner_id, filename, declared_type, declared_size, object_key)
        values ($1, $2, $3, $4, $5, $6, $7)
        ",
        upload.id,
        upload.kind.as_str(),
        upload.owner_id,
        upload.filename,
        content_type,
        upload.declared_size,
        upload.object_key,
    )
    .execute(db)
    .await
    .map(drop)
}

/// False when it took so long that a sweep has given the promise up.
async fn keep(connection: &mut PgConnection, upload: &Upload) -> Result<bool, sqlx::Error> {
    let kept = sqlx::query!(
        "update uploads set state = 'confirmed', settled_at = now() where id = $1 and state = 'issued'",
        upload.id,
    )
    .execute(connection)
    .await?;
    Ok(kept.rows_affected() == 1)
}
