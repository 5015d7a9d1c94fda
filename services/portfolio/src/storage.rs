//! Addresses of stored objects: which of them are ours, and what they are for.

use grafikarsa_http::ApiResult;
use serde::Deserialize;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::AppState;

/// The key of the object at `url`, if it lies below the public storage address.
pub fn key_of<'a>(base: &str, url: &'a str) -> Option<&'a str> {
    let rest = url.strip_prefix(base)?.strip_prefix('/')?;
    Some(rest.split(['?', '#']).next().unwrap_or_default())
}

/// True when `key` is `{folder}/{owner}/{uuid}.{ext}`, the only shape of keys there is.
pub fn is_key_of(key: &str, folder: &str, owner: Uuid) -> bool {
    let mut parts = key.split('/');
    let shape = (parts.next(), parts.next(), parts.next(), parts.next());
    let (Some(first), Some(second), Some(name), None) = shape else { return false };
    let Some((id, extension)) = name.split_once('.') else { return false };
    first == folder
        && second == owner.to_string()
        && Uuid::try_parse(id).is_ok()
        && !extension.is_empty()
        && extension.bytes().all(|b| b.is_ascii_lowercase())
}

/// A stored object as far as rules ask.
#[derive(Debug, Deserialize)]
pub struct Object {
    pub object_key: String,
    pub kind: String,
    pub owner_id: Uuid,
    pub portfolio_id: Option<Uuid>,
    pub content_type: String,
}

/// The confirmed object at `url`: from the copy that events keep, else from media itself, because a client uses an
/// address right after the confirmation that made it.
pub async fn confirmed_object(app: &AppState, connection: &mut PgConnection, url: &str) -> ApiResult<Option<Object>> {
    let Some(key) = key_of(&app.rules.storage_base, url) else { return Ok(None) };
    let known = sqlx::query!(
        "
        select object_key, kind, owner_id, portfolio_id, content_type, deleted_at
        from media_objects
        where object_key = $1
        ",
        key,
    )
    .fetch_optional(connection)
    .await?;
    if let Some(row) = known {
        return Ok(row.deleted_at.is_none().then_some(Object {
            object_key: row.object_key,
            kind: row.kind,
            owner_id: row.owner_id,
            portfolio_id: row.portfolio_id,
            content_type: row.content_type,
        }));
    }
    match app.media.get::<Object>(&format!("/internal/objects/{key}")).await {
        Ok(object) => Ok(Some(object)),
        Err(grafikarsa_http::InternalError::Api { status, .. }) if status.is_client_error() => Ok(None),
        // A router's own 404 is no envelope: this media does not answer such questions.
        Err(grafikarsa_http::InternalError::Unreadable(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_taken_from_addresses_below_the_storage_base_only() {
        let base = "http://localhost:8080/storage";
        assert_eq!(key_of(base, "http://localhost:8080/storage/a/b/c.webp"), Some("a/b/c.webp"));
        assert_eq!(key_of(base, "http://localhost:8080/storage/a/b/c.webp?w=320"), Some("a/b/c.webp"));
        assert_eq!(key_of(base, "http://localhost:8080/storages/a"), None);
        assert_eq!(key_of(base, "https://elsewhere.test/storage/a"), None);
    }

    #[test]
    fn a_key_has_exactly_one_shape() {
        let owner = Uuid::now_v7();
        let good = format!("thumbnails/{owner}/{}.webp", Uuid::now_v7());
        assert!(is_key_of(&good, "thumbnails", owner));
        assert!(!is_key_of(&good, "avatars", owner));
        assert!(!is_key_of(&good, "thumbnails", Uuid::now_v7()));
        assert!(!is_key_of(&format!("thumbnails/{owner}/../x.webp"), "thumbnails", owner));
        assert!(!is_key_of(&format!("thumbnails/{owner}/x.webp"), "thumbnails", owner));
    }
}
