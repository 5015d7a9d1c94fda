//! New pictures: read from `data:` URLs, stored by media, released again when nothing comes of them.

use std::time::Duration;

use bytes::Bytes;
use data_encoding::BASE64;
use grafikarsa_events::outbox;
use grafikarsa_http::{ApiError, ApiResult, FieldError, InternalError};
use http::StatusCode;
use proto_events::portfolio::v1::MediaReleased;
use serde::Deserialize;
use sqlx::PgConnection;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Turn, input::Section};
use crate::AppState;

const TYPES: [&str; 4] = ["image/jpeg", "image/png", "image/webp", "image/gif"];
const LARGEST: usize = 10 * 1024 * 1024;
const LARGEST_ENCODED: usize = LARGEST.div_ceil(3) * 4;

/// Media waits for room and works at most 20 s.
const LONGEST: Duration = Duration::from_secs(22);

/// A picture that is not stored yet.
#[derive(Debug)]
pub struct Picture {
    bytes: Bytes,
    content_type: &'static str,
}

pub fn is_data_url(url: &str) -> bool {
    url.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"))
}

/// The picture in a `data:` URL as browsers write it; otherwise what is wrong with it.
pub fn decode(url: &str) -> Result<Picture, &'static str> {
    const NO_PICTURE: &str = "Gambar harus berupa JPEG, PNG, WebP, atau GIF";
    let (head, data) = url.split_once(',').ok_or(NO_PICTURE)?;
    let head = head.to_ascii_lowercase();
    let declared = head.strip_prefix("data:").and_then(|head| head.strip_suffix(";base64")).ok_or(NO_PICTURE)?;
    if !TYPES.contains(&declared) {
        return Err(NO_PICTURE);
    }
    let too_large = "Ukuran gambar maksimal 10 MB";
    if data.len() > LARGEST_ENCODED {
        return Err(too_large);
    }
    let bytes = BASE64.decode(data.as_bytes()).map_err(|_| "Data gambar rusak")?;
    if bytes.len() > LARGEST {
        return Err(too_large);
    }
    // Browsers declare what the name of the file says; the bytes decide.
    let found = infer::get(&bytes).map(|found| found.mime_type());
    let content_type = TYPES.into_iter().find(|&name| found == Some(name)).ok_or(NO_PICTURE)?;
    Ok(Picture { bytes: bytes.into(), content_type })
}

#[derive(Debug, Deserialize)]
struct Stored {
    object_key: String,
    url: String,
}

/// Stores the new pictures of a changelog and puts their addresses where they belong. The keys of what is stored come
/// back; when one of them fails, the others are released.
pub async fn store(app: &AppState, turn: &Turn, changelog: Uuid, sections: &mut [Section]) -> ApiResult<Vec<String>> {
    let mut stored = Vec::new();
    let outcome = store_each(app, turn.deadline, changelog, sections, &mut stored).await;
    settle(app, changelog, stored.clone(), outcome).await?;
    Ok(stored)
}

/// The outcome of a save; when that has failed, what was stored for it is released.
pub async fn settle<T>(app: &AppState, changelog: Uuid, stored: Vec<String>, outcome: ApiResult<T>) -> ApiResult<T> {
    if outcome.is_err() {
        let written = async {
            let mut tx = app.db.begin().await?;
            release(&mut tx, changelog, stored).await?;
            tx.commit().await
        };
        if let Err(error) = written.await {
            tracing::warn!(%changelog, %error, "pictures that were not saved are left to the sweep of media");
        }
    }
    outcome
}

/// One after the other.
async fn store_each(
    app: &AppState,
    deadline: Instant,
    changelog: Uuid,
    sections: &mut [Section],
    stored: &mut Vec<String>,
) -> ApiResult<()> {
    let path = format!("/internal/changelogs/{changelog}/images");
    for (place, section) in sections.iter_mut().enumerate() {
        for (place_of_block, block) in section.blocks.iter_mut().enumerate() {
            let Some(Picture { bytes, content_type }) = block.picture.take() else { continue };
            let left = deadline.saturating_duration_since(Instant::now()).min(LONGEST);
            let answer: Result<Stored, _> = app.media.within(left).post_bytes(&path, content_type, bytes).await;
            let picture = answer
                .map_err(|error| refusal(error, format!("sections[{place}].blocks[{place_of_block}].payload.url")))?;
            stored.push(picture.object_key.clone());
            block.show(picture.url, picture.object_key);
        }
    }
    if Instant::now() < deadline { Ok(()) } else { Err(ApiError::unavailable()) }
}

/// What media finds wrong with a picture is wrong with the request.
fn refusal(error: InternalError, field: String) -> ApiError {
    match error {
        InternalError::Api { status: StatusCode::BAD_REQUEST, message, .. } => {
            ApiError::invalid(vec![FieldError { field, message }])
        }
        error => error.into(),
    }
}

/// Tells media that nothing in the changelog shows these objects any more.
pub async fn release(
    connection: &mut PgConnection,
    changelog: Uuid,
    object_keys: Vec<String>,
) -> Result<(), sqlx::Error> {
    if object_keys.is_empty() {
        return Ok(());
    }
    let event = MediaReleased { owner_id: changelog.to_string(), portfolio_id: None, object_keys, urls: Vec::new() };
    outbox::append(connection, &event, changelog, 0).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";

    fn url(head: &str, bytes: &[u8]) -> String {
        format!("{head},{}", BASE64.encode(bytes))
    }

    #[test]
    fn the_four_types_are_read_whatever_their_file_is_called() {
        for (bytes, content_type) in [
            (PNG, "image/png"),
            (b"\xff\xd8\xff\xe0", "image/jpeg"),
            (b"RIFF\x24\0\0\0WEBPVP8 ", "image/webp"),
            (b"GIF89a\x01\0\x01\0", "image/gif"),
        ] {
            for head in ["data:image/png;base64", "DATA:image/JPEG;Base64"] {
                let picture = decode(&url(head, bytes)).unwrap();
                assert_eq!((&picture.bytes[..], picture.content_type), (bytes, content_type));
            }
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for bad in [
            url("data:image/svg+xml;base64", b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>"),
            url("data:image/png;base64", b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>"),
            url("data:image/png;base64", b"BM\x46\0\0\0"),
            url("data:image/svg+xml;base64", PNG),
            url("data:text/html;base64", PNG),
            url("data:;base64", PNG),
            url("data:image/png", PNG),
            url("data:image/png;base64;charset=x", PNG),
            "data:image/png;base64".to_owned(),
            "data:image/png;base64,".to_owned(),
            "data:image/png;base64,%89PNG".to_owned(),
            format!("{}=", url("data:image/png;base64", PNG)),
            url("blob:image/png;base64", PNG),
        ] {
            assert!(decode(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ten_mebibytes_are_the_most() {
        let sized = |size| {
            let mut bytes = PNG.to_vec();
            bytes.resize(size, 0);
            decode(&url("data:image/png;base64", &bytes))
        };
        assert!(sized(LARGEST).is_ok());
        for size in [LARGEST + 1, LARGEST + 2, LARGEST + 3] {
            assert_eq!(sized(size).unwrap_err(), "Ukuran gambar maksimal 10 MB");
        }
    }
}
