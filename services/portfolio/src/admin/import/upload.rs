use axum::extract::{
    FromRequest as _, Multipart, Request,
    multipart::{Field, MultipartError},
};
use grafikarsa_http::{ApiError, ApiResult};
use http::StatusCode;

use super::{
    FILE_LIMIT,
    table::{Kind, Unreadable},
};

/// Room for `true` or `false`, and for what else somebody writes there.
const FLAG_LIMIT: usize = 64;

/// What the form holds.
pub struct Upload {
    pub kind: Kind,
    pub bytes: Vec<u8>,
    pub dry_run: Option<String>,
}

/// Reads the form. Of several files the first counts.
pub async fn read(request: Request) -> ApiResult<Upload> {
    let mut form = Multipart::from_request(request, &()).await.map_err(|_| Unreadable::Broken)?;
    let (mut file, mut dry_run) = (None, None);
    while let Some(field) = form.next_field().await.map_err(broken)? {
        match field.name() {
            Some("file") if file.is_none() && field.file_name().is_some() => {
                let name = field.file_name().unwrap_or_default().to_owned();
                let bytes = bounded(field, FILE_LIMIT).await?.ok_or(Unreadable::TooLarge)?;
                file = Some((name, bytes));
            }
            Some("dry_run") => {
                let text = bounded(field, FLAG_LIMIT).await?.and_then(|bytes| String::from_utf8(bytes).ok());
                dry_run = Some(text.ok_or_else(|| ApiError::syntax("dry_run", "Nilai harus true atau false"))?);
            }
            _ => {}
        }
    }
    let (name, bytes) = file.ok_or(Unreadable::Broken)?;
    let kind = Kind::of(&name).ok_or(Unreadable::WrongKind)?;
    Ok(Upload { kind, bytes, dry_run })
}

/// The content of a field; `None` if it is longer.
async fn bounded(mut field: Field<'_>, limit: usize) -> ApiResult<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(broken)? {
        if bytes.len() + chunk.len() > limit {
            return Ok(None);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Some(bytes))
}

fn broken(error: MultipartError) -> ApiError {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return Unreadable::TooLarge.into();
    }
    Unreadable::Broken.into()
}
