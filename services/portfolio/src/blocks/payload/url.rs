//! Rules of addresses that people type or paste.

use std::sync::LazyLock;

use ::url::Url;
use regex::Regex;

use super::{Context, Fields};
use crate::storage::{self, Key};

const LONGEST: usize = 2048;

/// Which addresses are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// `http` and `https`.
    Web,
    /// `https` alone.
    Https,
    /// `http`, `https` and `mailto`.
    WebOrMail,
    /// `http`, `https` and paths of the site, which begin with one slash.
    WebOrPath,
}

/// What is typed by hand: `host.tld`, perhaps with port and path.
static BARE_HOST: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"^(?i:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+(?i:[a-z]{2,})(?::[0-9]{1,5})?(?:[/?#].*)?$").ok()
});

/// The address at `key`: empty, or one that keeps the rule. An address without scheme gets `https://`.
pub fn read(fields: &mut Fields, key: &str, rule: Rule) -> String {
    let text = fields.text(key, LONGEST);
    match address(&text, rule) {
        Some(address) => address,
        None => {
            fields.error(key, "URL tidak valid");
            String::new()
        }
    }
}

/// The address meant by `text`; `None` when it breaks the rule.
pub fn address(text: &str, rule: Rule) -> Option<String> {
    if text.is_empty() {
        return Some(String::new());
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return None;
    }
    if rule == Rule::WebOrPath && text.starts_with('/') {
        // Two slashes begin a host, and browsers take a backslash for a slash.
        return (!text[1..].starts_with('/') && !text.contains('\\')).then(|| text.to_owned());
    }
    let bare = BARE_HOST.as_ref().is_some_and(|pattern| pattern.is_match(text));
    let address = if bare { format!("https://{text}") } else { text.to_owned() };
    if address.chars().count() > LONGEST {
        return None;
    }
    let lower = address.to_ascii_lowercase();
    let parsed = Url::parse(&address).ok()?;
    match parsed.scheme() {
        "mailto" if rule == Rule::WebOrMail => parsed.path().contains('@').then_some(address),
        // The parser forgives missing slashes; browsers in other places do not.
        "http" if rule != Rule::Https && lower.starts_with("http://") => with_host(&parsed).then_some(address),
        "https" if lower.starts_with("https://") => with_host(&parsed).then_some(address),
        _ => None,
    }
}

/// What an address that [`address`] has accepted means to our own storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Somebody else's.
    Elsewhere,
    /// An object of this portfolio, and its address as media spells it. A width may follow.
    Own(Key, String),
    /// Anything else of ours: for other portfolios, for people, for nobody.
    Foreign,
}

/// Where `address` points; below our storage only objects in this portfolio's part of `folder` may be shown.
pub fn place(address: &str, folder: &str, context: &Context) -> Place {
    let base = context.storage_base;
    let Some(path) = storage::path_of(base, address) else { return Place::Elsewhere };
    let Some(key) = Key::of(&path, folder, context.portfolio) else { return Place::Foreign };
    let rest = address.find(['?', '#']).map_or("", |at| &address[at..]);
    let spelled = format!("{}{rest}", key.address(base));
    // What is stored must be accepted when it is sent back.
    if spelled.chars().count() > LONGEST { Place::Foreign } else { Place::Own(key, spelled) }
}

fn with_host(url: &Url) -> bool {
    url.host_str().is_some_and(|host| !host.is_empty()) && url.username().is_empty() && url.password().is_none()
}

/// The host of an address that [`address`] has accepted.
pub fn host(address: &str) -> Option<String> {
    Url::parse(address).ok()?.host_str().map(|host| host.trim_end_matches('.').to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn web_addresses() {
        for (text, expected) in [
            ("", Some("")),
            ("https://a.test/x?y#z", Some("https://a.test/x?y#z")),
            ("http://localhost:3000/x", Some("http://localhost:3000/x")),
            ("github.com/siti", Some("https://github.com/siti")),
            ("example.com:8080/x", Some("https://example.com:8080/x")),
            ("javascript:alert(1)", None),
            ("data:text/html,x", None),
            ("blob:https://a.test/1", None),
            ("vbscript:x", None),
            ("//a.test/x", None),
            ("/x", None),
            ("https:/a.test", None),
            ("https://user:pw@a.test", None),
            ("https://a.test/a b", None),
            ("https://", None),
            ("ftp://a.test", None),
            ("mailto:a@b.test", None),
            ("halo", None),
        ] {
            assert_eq!(address(text, Rule::Web).as_deref(), expected, "{text}");
        }
        assert_eq!(address(&format!("https://a.test/{}", "x".repeat(2048)), Rule::Web), None);
    }

    #[test]
    fn paths_of_the_site() {
        for path in ["/", "/tentang", "/a/b?c=/d#e", "/x//y"] {
            assert_eq!(address(path, Rule::WebOrPath).as_deref(), Some(path));
            assert_eq!(address(path, Rule::Web), None, "{path}");
        }
        for bad in
            ["//evil.test", "/\\evil.test", "/\t/evil.test", "/a b", "\\/evil.test", "javascript:/x", "mailto:a@b.test"]
        {
            assert_eq!(address(bad, Rule::WebOrPath), None, "{bad}");
        }
        assert_eq!(address("a.test/x", Rule::WebOrPath).as_deref(), Some("https://a.test/x"));
    }

    #[test]
    fn https_and_mail_rules() {
        assert_eq!(address("http://a.test", Rule::Https), None);
        assert_eq!(address("a.test/x", Rule::Https).as_deref(), Some("https://a.test/x"));
        assert_eq!(address("mailto:a@b.test", Rule::WebOrMail).as_deref(), Some("mailto:a@b.test"));
        assert_eq!(address("mailto:x", Rule::WebOrMail), None);
    }
}
