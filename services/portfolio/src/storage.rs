//! Addresses of stored objects: which of them are ours, and what they are for.

use std::{fmt, time::Duration};

use grafikarsa_http::{ApiError, ApiResult};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use sqlx::PgConnection;
use tokio::time::timeout;
use url::Url;
use uuid::Uuid;

use crate::AppState;

/// Questions to media at once by those who hold a connection, and how long the next one waits.
pub const QUESTIONS: usize = 3;
const QUEUE_TIME: Duration = Duration::from_millis(500);

/// What an address names below the public storage address; `None` when it points elsewhere. Every spelling counts that
/// leads to the same object: another case of the host, the port that the scheme has anyway, escapes, dots, doubled
/// slashes, and `http` for `https`, which sends people on.
pub fn path_of(base: &str, address: &str) -> Option<String> {
    let (base, address) = (Url::parse(base).ok()?, Url::parse(address).ok()?);
    if host(&base)? != host(&address)? || base.port() != address.port() {
        return None;
    }
    let below = segments(&address);
    below.strip_prefix(&*segments(&base)).map(|path| path.join("/"))
}

fn host(url: &Url) -> Option<&str> {
    if matches!(url.scheme(), "http" | "https") { Some(url.host_str()?.trim_end_matches('.')) } else { None }
}

/// The path as a server understands it.
fn segments(url: &Url) -> Vec<String> {
    let decoded = percent_decode_str(url.path()).decode_utf8_lossy();
    let mut segments = Vec::new();
    for segment in decoded.split(['/', '\\']) {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            name => segments.push(name.to_owned()),
        }
    }
    segments
}

/// A key of the only shape there is: `{folder}/{owner}/{uuid}.{ending}`. It is safe in any address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// `text` as a key of this folder and owner.
    pub fn of(text: &str, folder: &str, owner: Uuid) -> Option<Self> {
        let mut parts = text.split('/');
        let shape = (parts.next(), parts.next(), parts.next(), parts.next());
        let (Some(first), Some(second), Some(name), None) = shape else { return None };
        let (id, ending) = name.split_once('.')?;
        // The parser of UUIDs takes other spellings, too, which are no keys.
        let is_id = Uuid::try_parse(id).is_ok_and(|parsed| parsed.to_string() == id);
        let is_ending = (1..=4).contains(&ending.len()) && ending.bytes().all(|byte| byte.is_ascii_lowercase());
        let fits = first == folder && second == owner.to_string() && is_id && is_ending;
        fits.then(|| Self(text.to_owned()))
    }

    /// The key in `address`, which must be the very address that media gives its object.
    pub fn at(base: &str, address: &str, folder: &str, owner: Uuid) -> Option<Self> {
        Self::of(address.strip_prefix(base)?.strip_prefix('/')?, folder, owner)
    }

    /// The address that media gives its object.
    pub fn address(&self, base: &str) -> String {
        format!("{base}/{self}")
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A stored object as far as rules ask.
#[derive(Debug, Deserialize)]
pub struct Object {
    pub kind: String,
    pub owner_id: Uuid,
    pub portfolio_id: Option<Uuid>,
    pub content_type: String,
    /// The user to whom its owner gave it; what media itself does not know.
    #[serde(skip)]
    pub given_to: Option<Uuid>,
}

/// The confirmed object of `key`: from the copy that events keep, else from media itself, because a client uses an
/// address right after the confirmation that made it.
pub async fn confirmed_object(app: &AppState, connection: &mut PgConnection, key: &Key) -> ApiResult<Option<Object>> {
    let known = sqlx::query!(
        "
        select kind, owner_id, portfolio_id, content_type, given_to, deleted_at
        from media_objects
        where object_key = $1
        ",
        key.0,
    )
    .fetch_optional(connection)
    .await?;
    if let Some(row) = known {
        return Ok(row.deleted_at.is_none().then_some(Object {
            kind: row.kind,
            owner_id: row.owner_id,
            portfolio_id: row.portfolio_id,
            content_type: row.content_type,
            given_to: row.given_to,
        }));
    }
    // Whoever asks may hold a connection and locks meanwhile: while media hangs, others need what is left of the pool.
    let place = timeout(QUEUE_TIME, app.media_questions.acquire()).await;
    let Ok(Ok(_place)) = place else { return Err(ApiError::unavailable()) };
    ask_media(app, key).await
}

/// The same from media itself.
pub async fn ask_media(app: &AppState, key: &Key) -> ApiResult<Option<Object>> {
    match app.media.get::<Object>(&format!("/internal/objects/{key}")).await {
        Ok(object) => Ok(Some(object)),
        Err(grafikarsa_http::InternalError::Api { status, .. }) if status.is_client_error() => Ok(None),
        // A router's own 404 is no envelope: this media does not answer such questions.
        Err(grafikarsa_http::InternalError::Unreadable(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether the copy has the object of `key`, be it gone by now.
pub async fn is_known(connection: &mut PgConnection, key: &Key) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(r#"select exists (select from media_objects where object_key = $1) as "known!""#, key.0,)
        .fetch_one(connection)
        .await
}

/// Puts into the copy what media has told of an object, so that its row can be locked before its confirmation arrives,
/// which adds the rest.
pub async fn remember(
    connection: &mut PgConnection,
    key: &Key,
    object: &Object,
    storage_base: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "
        insert into media_objects (
            object_key, upload_id, url, kind, owner_id, portfolio_id, content_type, size, width, height, placeholder,
            confirmed_at
        )
        values ($1, '00000000-0000-0000-0000-000000000000', $2, $3, $4, $5, $6, 0, 0, 0, '', now())
        on conflict on constraint media_objects_pkey do nothing
        ",
        key.0,
        key.address(storage_base),
        object.kind,
        object.owner_id,
        object.portfolio_id,
        object.content_type,
    )
    .execute(connection)
    .await
    .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_an_address_below_the_storage_is_known() {
        let base = "https://storage.grafikarsa.com/files";
        for address in [
            "https://storage.grafikarsa.com/files/a/b/c.webp",
            "https://storage.grafikarsa.com/files/a/b/c.webp?w=320#x",
            "https://STORAGE.Grafikarsa.com/files/a/b/c.webp",
            "https://storage.grafikarsa.com./files/a/b/c.webp",
            "https://storage.grafikarsa.com:443/files/a/b/c.webp",
            "http://storage.grafikarsa.com:80/files/a/b/c.webp",
            "https://storage%2Egrafikarsa.com/files/a/b/c.webp",
            "https://storage.grafikarsa.com/files/a/b/c%2ewebp",
            "https://storage.grafikarsa.com/files/%61/b/c.webp",
            "https://storage.grafikarsa.com/%66iles/a/b/c.webp",
            "https://storage.grafikarsa.com/files/a%2Fb/c.webp",
            "https://storage.grafikarsa.com/files/x/%2e%2E/a/./b/c.webp",
            "https://storage.grafikarsa.com/x/%2e%2e%2ffiles/a/b/c.webp",
            "https://storage.grafikarsa.com//files//a/b/c.webp",
            r"https:\\storage.grafikarsa.com\files\a\b\c.webp",
        ] {
            assert_eq!(path_of(base, address).as_deref(), Some("a/b/c.webp"), "{address}");
        }
        assert_eq!(path_of(base, "https://storage.grafikarsa.com/files").as_deref(), Some(""));
        for address in [
            "https://storage.grafikarsa.com/filesystem/a",
            "https://storage.grafikarsa.com/files/../a",
            "https://storage.grafikarsa.com:8443/files/a",
            "https://elsewhere.test/files/a",
            "ftp://storage.grafikarsa.com/files/a",
            "/files/a",
            "",
        ] {
            assert_eq!(path_of(base, address), None, "{address}");
        }
        assert_eq!(path_of("http://localhost:8080/storage", "http://localhost:3000/storage/a"), None);
        assert_eq!(path_of("https://cdn.test", "https://cdn.test/a/b").as_deref(), Some("a/b"));
    }

    #[test]
    fn a_key_has_exactly_one_shape() {
        let owner = Uuid::now_v7();
        let id = Uuid::now_v7();
        let good = format!("thumbnails/{owner}/{id}.webp");
        assert!(Key::of(&good, "thumbnails", owner).is_some());
        for bad in [
            good.replace("thumbnails", "avatars"),
            good.replace(&owner.to_string(), &Uuid::now_v7().to_string()),
            good.to_uppercase(),
            format!("{good}/x"),
            format!("{good}?x"),
            format!("{good}\0"),
            format!("thumbnails/{owner}/../x.webp"),
            format!("thumbnails/{owner}/x.webp"),
            format!("thumbnails/{owner}/{}.webp", id.simple()),
            format!("thumbnails/{owner}/{{{id}}}.webp"),
            format!("thumbnails/{owner}/{id}."),
            format!("thumbnails/{owner}/{id}.webpwebp"),
            format!("thumbnails/{owner}/{id}"),
        ] {
            assert_eq!(Key::of(&bad, "thumbnails", owner), None, "{bad:?}");
        }
    }

    #[test]
    fn an_exact_address_is_the_base_and_the_key_and_nothing_else() {
        let base = "https://storage.grafikarsa.com";
        let owner = Uuid::now_v7();
        let good = format!("{base}/avatars/{owner}/{}.webp", Uuid::now_v7());
        let key = Key::at(base, &good, "avatars", owner).unwrap();
        assert_eq!(key.address(base), good);
        for bad in [format!("{good}?w=64"), good.replace("https", "HTTPS"), good.replace(".com/", ".com//")] {
            assert_eq!(Key::at(base, &bad, "avatars", owner), None, "{bad}");
        }
    }
}
