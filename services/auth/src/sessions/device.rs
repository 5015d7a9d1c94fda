use axum::{
    extract::FromRequestParts,
    http::{header, request::Parts},
};
use serde::Serialize;
use std::convert::Infallible;
use utoipa::ToSchema;
use woothee::parser::Parser;

/// Longer `User-Agent` headers are cut.
const USER_AGENT_CHARS: usize = 512;

/// The device of a login, as far as its `User-Agent` tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Device {
    pub(crate) user_agent: String,
    /// `desktop`, `mobile`, `tablet` or `unknown`.
    pub(crate) device_type: String,
    pub(crate) browser: Option<String>,
    pub(crate) os: Option<String>,
}

impl Device {
    fn of(user_agent: &str) -> Self {
        let user_agent: String = user_agent.chars().filter(|c| !c.is_control()).take(USER_AGENT_CHARS).collect();
        let found = Parser::new().parse(&user_agent).unwrap_or_default();
        let known = |name: &str| (!name.is_empty() && name != "UNKNOWN").then(|| name.to_owned());
        // The library counts tablets among the smartphones.
        let tablet = ["iPad", "Tablet"].iter().any(|word| user_agent.contains(word))
            || (user_agent.contains("Android") && !user_agent.contains("Mobile"));
        let device_type = match found.category {
            "pc" | "smartphone" if tablet => "tablet",
            "smartphone" | "mobilephone" => "mobile",
            "pc" => "desktop",
            _ => "unknown",
        };
        Self { device_type: device_type.to_owned(), browser: known(found.name), os: known(found.os), user_agent }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Device {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let user_agent = parts.headers.get(header::USER_AGENT).map(|value| String::from_utf8_lossy(value.as_bytes()));
        Ok(Self::of(&user_agent.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_told_apart() {
        for (user_agent, device_type, browser, os) in [
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
                "desktop",
                Some("Chrome"),
                Some("Windows 10"),
            ),
            (
                "Mozilla/5.0 (Linux; Android 14; SM-A546E) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36",
                "mobile",
                Some("Chrome"),
                Some("Android"),
            ),
            (
                "Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
                "tablet",
                Some("Safari"),
                Some("iPad"),
            ),
            (
                "Mozilla/5.0 (Linux; Android 13; SM-X205) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
                "tablet",
                Some("Chrome"),
                Some("Android"),
            ),
            ("", "unknown", None, None),
            ("something else", "unknown", None, None),
        ] {
            let device = Device::of(user_agent);
            assert_eq!(
                (device.device_type.as_str(), device.browser.as_deref(), device.os.as_deref()),
                (device_type, browser, os),
                "{user_agent}"
            );
        }
    }

    #[test]
    fn long_headers_are_cut() {
        assert_eq!(Device::of(&"é".repeat(600)).user_agent.chars().count(), 512);
    }
}
