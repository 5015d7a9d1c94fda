//! Conditional requests: what the client has already is not sent again.

use std::time::{Duration, SystemTime};

use axum::http::{HeaderMap, HeaderName, header};
use chrono::{DateTime, Utc};

/// What identifies the bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Validators<'a> {
    /// With its quotes.
    pub(super) etag: &'a str,
    pub(super) modified: DateTime<Utc>,
}

impl Validators<'_> {
    /// True when the client has these bytes: `If-None-Match` decides, and `If-Modified-Since` only without it.
    pub(super) fn not_modified(&self, headers: &HeaderMap) -> bool {
        let mut tags = headers.get_all(header::IF_NONE_MATCH).iter().peekable();
        if tags.peek().is_some() {
            return tags
                .filter_map(|value| value.to_str().ok())
                .flat_map(|value| value.split(','))
                .map(str::trim)
                .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == self.etag);
        }
        date(headers, &header::IF_MODIFIED_SINCE).is_some_and(|since| self.modified_second() <= since)
    }

    /// True when a range may be served: `If-Range` is absent or names these very bytes.
    pub(super) fn range_holds(&self, headers: &HeaderMap) -> bool {
        let Some(condition) = headers.get(header::IF_RANGE) else { return true };
        condition.as_bytes() == self.etag.as_bytes()
            || date(headers, &header::IF_RANGE).is_some_and(|date| date == self.modified_second())
    }

    /// For `Last-Modified`, which has no fractions of a second.
    pub(super) fn modified_second(&self) -> SystemTime {
        let seconds = u64::try_from(self.modified.timestamp()).unwrap_or(0);
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn validators() -> Validators<'static> {
        Validators { etag: "\"abc\"", modified: DateTime::from_timestamp(1_700_000_000, 900_000_000).unwrap() }
    }

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_matching_tag_is_not_modified_whatever_the_date_says() {
        for (value, expected) in [
            ("\"abc\"", true),
            ("W/\"abc\"", true),
            ("\"x\", \"abc\"", true),
            ("*", true),
            ("\"x\"", false),
            ("abc", false),
        ] {
            let sent = headers(&[
                (header::IF_NONE_MATCH, value),
                (header::IF_MODIFIED_SINCE, "Tue, 14 Nov 2023 22:13:20 GMT"),
            ]);
            assert_eq!(validators().not_modified(&sent), expected, "{value}");
        }
    }

    #[test]
    fn dates_count_in_whole_seconds() {
        for (value, expected) in [
            ("Tue, 14 Nov 2023 22:13:20 GMT", true),
            ("Tue, 14 Nov 2023 22:13:21 GMT", true),
            ("Tue, 14 Nov 2023 22:13:19 GMT", false),
            ("yesterday", false),
        ] {
            assert_eq!(validators().not_modified(&headers(&[(header::IF_MODIFIED_SINCE, value)])), expected, "{value}");
        }
        assert!(!validators().not_modified(&HeaderMap::new()));
    }

    #[test]
    fn a_range_of_other_bytes_is_not_served() {
        for (value, expected) in [
            ("\"abc\"", true),
            ("W/\"abc\"", false),
            ("\"old\"", false),
            ("Tue, 14 Nov 2023 22:13:20 GMT", true),
            ("Tue, 14 Nov 2023 22:13:21 GMT", false),
        ] {
            assert_eq!(validators().range_holds(&headers(&[(header::IF_RANGE, value)])), expected, "{value}");
        }
        assert!(validators().range_holds(&HeaderMap::new()));
    }
}
