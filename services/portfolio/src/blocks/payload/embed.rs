use std::{
    collections::{HashMap, HashSet},
    sync::LazyLock,
};

use ammonia::Builder;
use regex::Regex;
use serde_json::json;

use super::{
    Context, Fields, Normalised,
    url::{self, Rule},
};

const LONGEST: usize = 10_000;
const MOST_FRAMES: usize = 3;
const PERMISSIONS: [&str; 5] = ["fullscreen", "autoplay", "encrypted-media", "picture-in-picture", "clipboard-write"];
/// What a frame may have, in the order in which it is written: always the same, or equal payloads would differ.
const KEPT: [&str; 6] = ["src", "width", "height", "title", "allowfullscreen", "allow"];
const FORCED: &str = concat!(
    r#" sandbox="allow-scripts allow-same-origin allow-popups allow-forms allow-presentation""#,
    r#" loading="lazy" referrerpolicy="strict-origin-when-cross-origin""#,
);

/// The sanitiser writes nothing but frames and text; text between frames is dropped.
static FRAME: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r#"<iframe(?: [a-z]+="[^"]*")*>"#).ok());
/// An attribute as the sanitiser writes it, with its value escaped.
static ATTRIBUTE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r#" ([a-z]+)="([^"]*)""#).ok());
static SIZE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("^[0-9]{1,5}(?:px|%)?$").ok());

/// Pasted frame code: at most three frames of other people's pages over https, each in a sandbox.
pub(super) fn normalise(fields: &mut Fields, context: &Context) -> Normalised {
    let raw = fields.text("html", LONGEST);
    let title = fields.text("title", 200);
    let html = frames(&raw, context.own_hosts);
    if html.chars().count() > LONGEST {
        fields.error("html", format!("Maksimal {LONGEST} karakter"));
    }
    let is_empty = html.is_empty();
    Normalised::new(json!({ "html": html, "title": title }), is_empty)
}

fn frames(raw: &str, own_hosts: &[String]) -> String {
    let own: Vec<String> = own_hosts.to_vec();
    let mut builder = Builder::empty();
    builder
        .tags(HashSet::from(["iframe"]))
        .clean_content_tags(HashSet::from(["script", "style"]))
        .url_schemes(HashSet::from(["https"]))
        .link_rel(None)
        .tag_attributes(HashMap::from([("iframe", HashSet::from(KEPT))]))
        .attribute_filter(move |_, attribute, value| match attribute {
            "src" => source(value, &own).map(Into::into),
            "width" | "height" => SIZE.as_ref()?.is_match(value).then(|| value.into()),
            "allow" => Some(permissions(value).into()),
            "allowfullscreen" => Some("".into()),
            _ => Some(value.into()),
        });
    let clean = builder.clean(raw).to_string();
    let Some(frame) = &*FRAME else { return String::new() };
    frame.find_iter(&clean).filter_map(|found| rewritten(found.as_str())).take(MOST_FRAMES).collect()
}

/// A frame with its attributes in order and the forced ones; `None` without a source.
fn rewritten(tag: &str) -> Option<String> {
    let found: HashMap<&str, &str> = ATTRIBUTE
        .as_ref()?
        .captures_iter(tag)
        .map(|captures| captures.extract().1)
        .map(|[name, value]| (name, value))
        .collect();
    found.get("src")?;
    let kept = KEPT.iter().filter_map(|name| Some(format!(" {name}=\"{}\"", found.get(name)?)));
    Some(format!("<iframe{}{FORCED}></iframe>", kept.collect::<String>()))
}

fn source(value: &str, own_hosts: &[String]) -> Option<String> {
    let address = url::address(value.trim(), Rule::Https).filter(|address| !address.is_empty())?;
    let host = url::host(&address)?;
    (!own_hosts.contains(&host)).then_some(address)
}

fn permissions(value: &str) -> String {
    let wanted = value.split(';').filter_map(|item| item.split_whitespace().next());
    wanted.filter(|item| PERMISSIONS.contains(item)).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{BlockType, tests::run};

    fn html(raw: &str) -> String {
        let normalised = run(BlockType::Embed, &json!({ "html": raw })).unwrap();
        normalised.payload["html"].as_str().unwrap().to_owned()
    }

    #[test]
    fn frames_are_kept_with_the_listed_attributes_in_a_sandbox() {
        let kept = html(concat!(
            r#"Halo <b>x</b><iframe src="https://a.test/x" width="100%" onload="x()" allow="camera; autoplay *" "#,
            r#"style="x" allowfullscreen sandbox=""></iframe><script>alert(1)</script>"#,
        ));
        assert!(kept.starts_with("<iframe ") && kept.ends_with("></iframe>"), "{kept}");
        for part in [
            r#"src="https://a.test/x""#,
            r#"width="100%""#,
            r#"allow="autoplay""#,
            r#"allowfullscreen="""#,
            r#"sandbox="allow-scripts allow-same-origin allow-popups allow-forms allow-presentation""#,
            r#"loading="lazy""#,
        ] {
            assert!(kept.contains(part), "{part} in {kept}");
        }
        assert!(!kept.contains("onload") && !kept.contains("style") && !kept.contains("Halo"));
    }

    #[test]
    fn frames_of_our_own_hosts_or_without_https_are_dropped() {
        for source in
            ["http://a.test", "javascript:alert(1)", "https://grafikarsa.com/x", "https://storage.grafikarsa.com/x", ""]
        {
            assert_eq!(html(&format!(r#"<iframe src="{source}"></iframe>"#)), "", "{source}");
        }
    }

    #[test]
    fn at_most_three_frames_are_kept() {
        let four = r#"<iframe src="https://a.test"></iframe>"#.repeat(4);
        assert_eq!(html(&four).matches("<iframe").count(), 3);
    }
}
