use std::marker::PhantomData;

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{HeaderMap, header},
};
use http_body_util::{BodyExt as _, LengthLimitError};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};

use crate::ApiError;

/// A JSON body, read before the handler runs: for routes whose body is checked first (login).
///
/// Not JSON, no JSON content type or a wrong type: 400 with the field's path. Over the limit of the route: 413.
#[derive(Debug)]
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        DeferredBody { request, kind: PhantomData }.read().await.map(Self)
    }
}

/// A JSON body that the handler reads itself, after it has loaded the object and checked the caller's rights: the
/// contract puts 404 and 403 before errors of the body.
#[derive(Debug)]
pub struct DeferredBody<T> {
    request: Request,
    kind: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> DeferredBody<T> {
    /// Reads the body.
    ///
    /// # Errors
    /// As [`Body`].
    pub async fn read(self) -> Result<T, ApiError> {
        if !is_json(self.request.headers()) {
            return Err(ApiError::syntax("body", "Data harus berupa JSON"));
        }
        let bytes = collect(self.request).await?;
        parse(&bytes)
    }
}

impl<T, S: Send + Sync> FromRequest<S> for DeferredBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        Ok(Self { request, kind: PhantomData })
    }
}

/// A JSON body that may be absent altogether, with or without a content type.
#[derive(Debug)]
pub struct OptionalBody<T> {
    request: Request,
    kind: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> OptionalBody<T> {
    /// Reads the body; `None` when there is none.
    ///
    /// # Errors
    /// As [`Body`], when something was sent.
    pub async fn read(self) -> Result<Option<T>, ApiError> {
        let json = is_json(self.request.headers());
        let bytes = collect(self.request).await?;
        match bytes.trim_ascii() {
            [] => Ok(None),
            _ if !json => Err(ApiError::syntax("body", "Data harus berupa JSON")),
            sent => parse(sent).map(Some),
        }
    }
}

impl<T, S: Send + Sync> FromRequest<S> for OptionalBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        Ok(Self { request, kind: PhantomData })
    }
}

/// For `Option<Option<T>>` in PATCH bodies: absent is `None`, `null` is `Some(None)`.
///
/// Used as `#[serde(default, deserialize_with = "grafikarsa_http::nullable")]`.
///
/// # Errors
/// Those of `T`.
pub fn nullable<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    let kind = value.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

async fn collect(request: Request) -> Result<Bytes, ApiError> {
    use axum::RequestExt as _;
    let body = request.with_limited_body().into_body();
    match body.collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if caused_by_limit(&error) => Err(ApiError::payload_too_large()),
        // The client went away or sent broken chunks.
        Err(_) => Err(ApiError::syntax("body", "Data tidak dapat dibaca")),
    }
}

fn caused_by_limit(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<LengthLimitError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { "body".to_owned() } else { path };
        let message = if error.inner().is_data() { "Tipe data tidak sesuai" } else { "Data bukan JSON yang valid" };
        ApiError::syntax(field, message)
    })?;
    deserializer.end().map_err(|_| ApiError::syntax("body", "Data bukan JSON yang valid"))?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Patch {
        #[serde(default, deserialize_with = "nullable")]
        bio: Option<Option<String>>,
    }

    #[test]
    fn absent_and_null_differ() {
        assert_eq!(parse::<Patch>(b"{}").unwrap().bio, None);
        assert_eq!(parse::<Patch>(br#"{"bio":null}"#).unwrap().bio, Some(None));
        assert_eq!(parse::<Patch>(br#"{"bio":"x"}"#).unwrap().bio, Some(Some("x".to_owned())));
    }

    #[test]
    fn bad_json_is_400_and_names_the_field() {
        for body in [&br#"{"bio":1}"#[..], b"{", b"", b"{} {}", b"[[[["] {
            assert_eq!(parse::<Patch>(body).unwrap_err().status(), 400);
        }
    }
}
