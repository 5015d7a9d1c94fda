use std::convert::Infallible;

use axum::{
    extract::{FromRequestParts, Query},
    http::request::Parts,
};

/// `page` and `limit` of the query, as sent. Nonsense becomes the default, too large the maximum: never an error.
#[derive(Clone, Copy, Debug, Default)]
pub struct Paging {
    page: Option<i64>,
    limit: Option<i64>,
}

impl Paging {
    /// The window with the route's default and maximum.
    pub fn with(self, default: i64, max: i64) -> PageWindow {
        PageWindow {
            // The bound keeps the offset within what PostgreSQL counts in.
            page: self.page.filter(|page| *page >= 1).unwrap_or(1).min(i64::from(u32::MAX)),
            per_page: self.limit.filter(|limit| *limit >= 1).unwrap_or(default).min(max),
        }
    }
}

/// One page of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageWindow {
    /// From 1.
    pub page: i64,
    /// At least 1.
    pub per_page: i64,
}

impl PageWindow {
    /// Rows before this page.
    pub fn offset(self) -> i64 {
        (self.page - 1) * self.per_page
    }

    /// Rows of this page.
    pub fn limit(self) -> i64 {
        self.per_page
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Paging {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let Ok(Query(pairs)) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri) else {
            return Ok(Self::default());
        };
        let sent = |name| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.trim());
        Ok(Self { page: sent("page").and_then(|text| text.parse().ok()), limit: sent("limit").and_then(limit) })
    }
}

/// One that is too large to be counted in is still too large.
fn limit(text: &str) -> Option<i64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().or(is_number.then_some(i64::MAX))
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    #[tokio::test]
    async fn nonsense_is_the_default_and_too_much_the_maximum() {
        for (query, expected) in [
            ("", (1, 20)),
            ("page=NaN&limit=x", (1, 20)),
            ("page=0&limit=0", (1, 20)),
            ("page=-3&limit=-1", (1, 20)),
            ("page=2&limit=50", (2, 50)),
            ("page=99999999999999999999&limit=1000", (1, 100)),
            ("limit=99999999999999999999", (1, 100)),
            ("limit=-99999999999999999999", (1, 20)),
            ("limit=1e20", (1, 20)),
        ] {
            let request = Request::get(format!("/x?{query}")).body(()).unwrap();
            let (mut parts, ()) = request.into_parts();
            let window = Paging::from_request_parts(&mut parts, &()).await.unwrap().with(20, 100);
            assert_eq!((window.page, window.per_page), expected, "{query}");
        }
    }
}
