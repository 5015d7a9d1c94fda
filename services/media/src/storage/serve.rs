use axum::{
    body::Body,
    extract::{OriginalUri, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use grafikarsa_http::{ApiError, ApiResult};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::form_urlencoded;
use uuid::Uuid;

use super::{
    conditional::Validators,
    range::{self, Wanted},
    resize::{self, Form},
    visibility,
};
use crate::{app::AppState, images::Format, uploads::keys::Key};

/// Widths that can be asked for.
pub(crate) const WIDTHS: [u32; 8] = [64, 128, 256, 320, 640, 960, 1280, 1920];

/// Pictures never change under their key.
const FOREVER: &str = "public, max-age=31536000, immutable";
/// Except that they may be deleted: nginx asks again after a minute.
const NGINX_SECONDS: &str = "60";

/// Characters that may stand in `filename*`.
const ATTRIBUTE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');

/// An object or one of its renderings.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) object_key: String,
    /// Where its bytes are.
    pub(super) stored_key: String,
    pub(super) content_type: String,
    pub(super) size: i64,
    pub(super) etag: String,
    pub(super) width: Option<i32>,
    pub(super) filename: String,
    pub(super) portfolio_id: Option<Uuid>,
    pub(super) created_at: DateTime<Utc>,
}

/// What the query asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    width: Option<String>,
    expires: Option<i64>,
    signature: Option<String>,
}

/// A published object, whole or in part, or a picture scaled down to `w` pixels.
#[utoipa::path(
    get,
    path = "/storage/{object_key}",
    operation_id = "serve",
    tag = "storage",
    params(
        ("object_key" = String, Path, description = "Key of the object, with its slashes"),
        ("w" = Option<u32>, Query, description = "64, 128, 256, 320, 640, 960, 1280 or 1920"),
    ),
    responses((status = 200), (status = 206), (status = 304), (status = 404), (status = 416))
)]
#[expect(dead_code, reason = "carries the description of `serve`, whose path is a wildcard")]
pub(super) fn document() {}

pub(super) async fn serve(
    State(app): State<AppState>,
    method: Method,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Response {
    let answered = match method {
        Method::OPTIONS => Ok(preflight()),
        Method::GET | Method::HEAD => {
            let key = uri.path().strip_prefix("/storage/").unwrap_or_default();
            object(&app, &method, key, uri.query().unwrap_or_default(), &headers).await
        }
        _ => {
            let error = ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "Metode tidak diizinkan");
            Err(error.with_header(header::ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS")))
        }
    };
    let mut response = answered.unwrap_or_else(|error| {
        error.with_header(header::CACHE_CONTROL, HeaderValue::from_static("no-store")).into_response()
    });
    let headers = response.headers_mut();
    // Scripts of the admin pages fetch pictures for their PDF export.
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("cross-origin"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn preflight() -> Response {
    (
        StatusCode::NO_CONTENT,
        [
            (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, OPTIONS"),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, "*"),
            (header::ACCESS_CONTROL_MAX_AGE, "3600"),
        ],
    )
        .into_response()
}

async fn object(app: &AppState, method: &Method, key: &str, query: &str, headers: &HeaderMap) -> ApiResult<Response> {
    // The path as it was sent: a key needs no escapes, so an escaped one is none.
    let key = Key::parse(key).ok_or_else(not_found)?;
    let asked = asked(query);
    let width = width(&asked, key)?;
    let stored = find(app, key.text).await?;
    let signed = is_signed(app, key, &asked);
    if key.is_document() && !signed {
        let portfolio = stored.portfolio_id.ok_or_else(not_found)?;
        if !visibility::is_public(app, portfolio).await? {
            return Err(not_found());
        }
    }
    let Some(width) = width else { return answer(app, method, headers, &stored, signed).await };
    let stored = resize::at_width(app, stored, width, form(headers)).await?;
    let mut response = answer(app, method, headers, &stored, signed).await?;
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
    Ok(response)
}

/// WebP for those who name it. `*/*` is no such wish: whoever fetches a picture to work on it sends that.
fn form(headers: &HeaderMap) -> Form {
    let mut accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let names_webp = |accepted: &str| {
        accepted.split(',').any(|range| {
            let mut parts = range.split(';').map(str::trim);
            let is_webp = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("image/webp"));
            let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
            is_webp && weight.is_none_or(|weight| weight.parse::<f32>().is_ok_and(|weight| weight > 0.0))
        })
    };
    if accepted.any(names_webp) { Form::Webp } else { Form::Own }
}

/// 400 for a width that is not on the list, and for widths of documents.
fn width(asked: &Asked, key: Key<'_>) -> ApiResult<Option<u32>> {
    let Some(text) = &asked.width else { return Ok(None) };
    let width = text.parse().ok().filter(|width| WIDTHS.contains(width) && !key.is_document());
    width.map(Some).ok_or_else(|| ApiError::syntax("w", "Lebar gambar tidak didukung"))
}

fn asked(query: &str) -> Asked {
    let mut asked = Asked::default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "w" => asked.width = Some(value.into_owned()),
            "expires" => asked.expires = value.parse().ok(),
            "signature" => asked.signature = Some(value.into_owned()),
            _ => {}
        }
    }
    asked
}

fn is_signed(app: &AppState, key: Key<'_>, asked: &Asked) -> bool {
    match (asked.expires, &asked.signature) {
        (Some(expires), Some(signature)) => app.signatures.admits(key.text, expires, signature, Utc::now().timestamp()),
        _ => false,
    }
}

pub(super) fn not_found() -> ApiError {
    ApiError::not_found("NOT_FOUND", "File tidak ditemukan")
}

async fn find(app: &AppState, key: &str) -> ApiResult<Stored> {
    let stored = sqlx::query_as!(
        Stored,
        "
        select
            object_key,
            object_key as stored_key,
            content_type,
            size,
            etag,
            width,
            filename,
            portfolio_id,
            created_at
        from objects
        where object_key = $1
          and deleted_at is null
        ",
        key,
    )
    .fetch_optional(&app.db)
    .await?;
    stored.ok_or_else(not_found)
}

async fn answer(
    app: &AppState,
    method: &Method,
    headers: &HeaderMap,
    stored: &Stored,
    signed: bool,
) -> ApiResult<Response> {
    let etag = format!("\"{}\"", stored.etag);
    let validators = Validators { etag: &etag, modified: stored.created_at };
    let mut response = Response::builder()
        .header(header::ETAG, &etag)
        .header(header::LAST_MODIFIED, httpdate::fmt_http_date(validators.modified_second()))
        .header(header::ACCEPT_RANGES, "bytes");
    if Format::of(&stored.content_type).is_some() {
        response = response
            .header(header::CACHE_CONTROL, FOREVER)
            .header("x-accel-expires", NGINX_SECONDS)
            // Would break the PDF viewers of browsers.
            .header(header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox");
    } else {
        let caching = if signed { "private, no-store" } else { "private, no-cache" };
        response = response.header(header::CACHE_CONTROL, caching).header("x-accel-expires", "0");
    }
    if validators.not_modified(headers) {
        return response.status(StatusCode::NOT_MODIFIED).body(Body::empty()).map_err(ApiError::internal);
    }

    let size = u64::try_from(stored.size).unwrap_or(0);
    let range = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let range = range.filter(|_| method == Method::GET && validators.range_holds(headers));
    let (status, part, length) = match range::parse(range, size) {
        Wanted::Whole => (StatusCode::OK, None, size),
        Wanted::Part(first, last) => {
            response = response.header(header::CONTENT_RANGE, format!("bytes {first}-{last}/{size}"));
            (StatusCode::PARTIAL_CONTENT, Some(format!("bytes={first}-{last}")), last - first + 1)
        }
        Wanted::Unsatisfiable => return Err(unsatisfiable(size)),
    };
    let body = if method == Method::HEAD {
        Body::empty()
    } else {
        let unavailable = |error: anyhow::Error| ApiError::unavailable().because(error);
        let object = app.store.get(&stored.stored_key, part).await.map_err(unavailable)?;
        // The row is there and the bytes are not: a deletion is just taking place.
        let object = object.ok_or_else(not_found)?;
        Body::new(object.body.into_inner())
    };
    response
        .status(status)
        .header(header::CONTENT_TYPE, &stored.content_type)
        .header(header::CONTENT_LENGTH, length)
        .header(header::CONTENT_DISPOSITION, disposition(&stored.content_type, &stored.filename))
        .body(body)
        .map_err(ApiError::internal)
}

fn unsatisfiable(size: u64) -> ApiError {
    let error = ApiError::new(
        StatusCode::RANGE_NOT_SATISFIABLE,
        "RANGE_NOT_SATISFIABLE",
        "Bagian file yang diminta tidak tersedia",
    );
    match HeaderValue::try_from(format!("bytes */{size}")) {
        Ok(value) => error.with_header(header::CONTENT_RANGE, value),
        Err(_) => error,
    }
}

/// Pictures and PDF are shown, other documents downloaded by their own name.
fn disposition(content_type: &str, filename: &str) -> String {
    if Format::of(content_type).is_some() || content_type == "application/pdf" {
        return "inline".to_owned();
    }
    let name: String = filename
        .rsplit(['/', '\\'])
        .next()
        .unwrap_or_default()
        .chars()
        // Control characters, also the ones that turn the direction of writing around and so hide the real ending.
        .filter(|c| {
            !c.is_control() && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        })
        .collect();
    let name = if name.trim_matches(['.', ' ']).is_empty() { "dokumen" } else { name.trim() };
    let plain: String =
        name.chars().map(|c| if c.is_ascii() && !matches!(c, '"' | '\\' | '%') { c } else { '_' }).collect();
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{}", utf8_percent_encode(name, ATTRIBUTE))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOC: &str = "application/msword";

    #[test]
    fn pictures_and_pdf_are_shown_and_other_documents_downloaded() {
        assert_eq!(disposition("image/png", "x.png"), "inline");
        assert_eq!(disposition("application/pdf", "x.pdf"), "inline");
        assert!(disposition(DOC, "laporan.doc").starts_with("attachment; filename=\"laporan.doc\""));
    }

    #[test]
    fn names_cannot_break_out_of_the_header() {
        for (name, plain) in [
            ("a\"; b=\"c.doc", "a_; b=_c.doc"),
            ("../../etc/passwd.doc", "passwd.doc"),
            ("C:\\rahasia.doc", "rahasia.doc"),
            ("a\r\nSet-Cookie: x.doc", "aSet-Cookie: x.doc"),
            ("\u{202e}cod.exe", "cod.exe"),
            ("...", "dokumen"),
        ] {
            let header = disposition(DOC, name);
            assert!(header.contains(&format!("filename=\"{plain}\"")), "{header}");
            assert!(HeaderValue::try_from(&header).is_ok());
        }
        assert!(disposition(DOC, "日本 語.doc").ends_with("filename*=UTF-8''%E6%97%A5%E6%9C%AC%20%E8%AA%9E.doc"));
    }

    #[test]
    fn only_the_listed_widths_of_pictures_can_be_asked_for() {
        let id = "0f6c2a10-0000-4000-8000-000000000001";
        let (picture, document) = (format!("avatars/{id}/{id}.jpg"), format!("documents/{id}/{id}.pdf"));
        let (picture, document) = (Key::parse(&picture).unwrap(), Key::parse(&document).unwrap());
        let of = |query| width(&asked(query), picture);
        assert_eq!(of("").unwrap(), None);
        assert_eq!(of("v=1").unwrap(), None);
        assert_eq!(of("w=640").unwrap(), Some(640));
        for bad in ["w=", "w=0", "w=65", "w=-64", "w=100000", "w=abc", "w=64.0"] {
            assert_eq!(of(bad).unwrap_err().status(), 400, "{bad}");
        }
        assert_eq!(width(&asked("w=64"), document).unwrap_err().status(), 400);
    }
}
