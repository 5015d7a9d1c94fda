//! The cookie that carries the refresh token.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::FromRequestParts,
    http::{HeaderValue, header, request::Parts},
};
use axum_extra::extract::CookieJar;
use cookie::{Cookie, SameSite};
use grafikarsa_http::{ApiError, Data};

use super::tokens::RefreshToken;
use crate::settings::SessionSettings;

const NAME: &str = "refresh_token";
const PATH: &str = "/api/v1/auth";

/// The presented refresh token, if there is any.
pub(crate) struct RefreshCookie(pub(crate) Option<RefreshToken>);

impl<S: Send + Sync> FromRequestParts<S> for RefreshCookie {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let jar = CookieJar::from_headers(&parts.headers);
        let value = jar.get(NAME).map(Cookie::value_trimmed).filter(|value| !value.is_empty());
        Ok(Self(value.map(RefreshToken::from)))
    }
}

/// `Set-Cookie` with a new token.
fn set(settings: &SessionSettings, token: &RefreshToken) -> HeaderValue {
    cookie(settings, token.expose(), settings.lifetime)
}

/// `Set-Cookie` that makes the browser forget the token.
fn clear(settings: &SessionSettings) -> HeaderValue {
    cookie(settings, "", Duration::ZERO)
}

fn cookie(settings: &SessionSettings, value: &str, max_age: Duration) -> HeaderValue {
    let max_age = i64::try_from(max_age.as_secs()).unwrap_or(i64::MAX);
    let cookie = Cookie::build((NAME, value))
        .path(PATH)
        .max_age(cookie::time::Duration::seconds(max_age))
        .http_only(true)
        .secure(settings.cookie_secure)
        .same_site(SameSite::Strict)
        .build();
    // Name, value and attributes are ASCII: the value is base64url.
    HeaderValue::try_from(cookie.to_string()).unwrap_or(HeaderValue::from_static(""))
}

/// Answers that set or clear the cookie.
pub(crate) trait WithCookie: Sized {
    fn header_value(self, value: HeaderValue) -> Self;

    fn set_cookie(self, settings: &SessionSettings, token: &RefreshToken) -> Self {
        self.header_value(set(settings, token))
    }

    fn clear_cookie(self, settings: &SessionSettings) -> Self {
        self.header_value(clear(settings))
    }
}

impl<T> WithCookie for Data<T> {
    fn header_value(self, value: HeaderValue) -> Self {
        self.header(header::SET_COOKIE, value)
    }
}

impl WithCookie for ApiError {
    fn header_value(self, value: HeaderValue) -> Self {
        self.with_header(header::SET_COOKIE, value)
    }
}

#[cfg(test)]
mod tests {
    use grafikarsa_config::Secret;

    use super::*;

    fn settings(cookie_secure: bool) -> SessionSettings {
        SessionSettings {
            refresh_secret: Secret::new("s"),
            lifetime: Duration::from_hours(168),
            reuse_grace: Duration::from_secs(10),
            cookie_secure,
        }
    }

    fn attributes(value: &HeaderValue) -> Vec<String> {
        let mut parts: Vec<String> = value.to_str().unwrap().split("; ").map(str::to_owned).collect();
        parts.sort();
        parts
    }

    #[test]
    fn the_cookie_has_the_contracts_attributes() {
        let value = set(&settings(true), &RefreshToken::from("abc"));
        assert_eq!(
            attributes(&value),
            ["HttpOnly", "Max-Age=604800", "Path=/api/v1/auth", "SameSite=Strict", "Secure", "refresh_token=abc"]
        );
    }

    #[test]
    fn clearing_uses_the_same_attributes() {
        let value = clear(&settings(true));
        assert_eq!(
            attributes(&value),
            ["HttpOnly", "Max-Age=0", "Path=/api/v1/auth", "SameSite=Strict", "Secure", "refresh_token="]
        );
    }

    #[test]
    fn secure_is_off_only_when_the_settings_say_so() {
        assert!(!attributes(&clear(&settings(false))).contains(&"Secure".to_owned()));
    }
}
