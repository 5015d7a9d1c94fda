use std::{
    collections::{HashMap, HashSet},
    sync::LazyLock,
};

use ammonia::{Builder, UrlRelative};
use regex::Regex;
use serde_json::json;

use super::{Fields, Normalised};

const LONGEST: usize = 50_000;
const LONGEST_PREVIEW: usize = 280;

static SANITISER: LazyLock<Builder<'static>> = LazyLock::new(|| {
    let mut builder = Builder::empty();
    builder
        .tags(HashSet::from([
            "p",
            "br",
            "strong",
            "b",
            "em",
            "i",
            "u",
            "s",
            "code",
            "pre",
            "blockquote",
            "ul",
            "ol",
            "li",
            "h1",
            "h2",
            "h3",
            "h4",
            "h5",
            "h6",
            "a",
        ]))
        .clean_content_tags(HashSet::from([
            "script", "style", "iframe", "object", "embed", "form", "svg", "math", "template",
        ]))
        .tag_attributes(HashMap::from([("a", HashSet::from(["href", "title"]))]))
        .url_schemes(HashSet::from(["http", "https", "mailto"]))
        .url_relative(UrlRelative::Deny)
        .link_rel(Some("noopener noreferrer"));
    builder
});

static NO_MARKUP: LazyLock<Builder<'static>> = LazyLock::new(Builder::empty);

/// Where a line ends: words on both sides of it do not touch.
static LINE_ENDS: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new("</?(?:p|br|pre|blockquote|ul|ol|li|h[1-6])[ />]|</?(?:p|br|pre|li)>").ok());

/// Plain text is stored as typed; what holds markup is sanitised, because the web client renders it as it is.
pub(super) fn normalise(fields: &mut Fields) -> Normalised {
    let mut content = fields.raw("content", LONGEST);
    if content.contains('<') {
        content = SANITISER.clean(&content).to_string();
        // Escaping makes it longer; what is stored must be accepted when it is sent back.
        if content.trim().chars().count() > LONGEST {
            fields.error("content", format!("Maksimal {LONGEST} karakter"));
        }
    }
    let preview = preview(&content);
    Normalised { preview: preview.clone(), ..Normalised::new(json!({ "content": content }), preview.is_none()) }
}

/// What a reader sees, in one line of at most 280 characters; `None` when that is nothing.
fn preview(content: &str) -> Option<String> {
    let spaced = match &*LINE_ENDS {
        Some(ends) if content.contains('<') => ends.replace_all(content, " $0"),
        _ => content.into(),
    };
    // The serializer of the sanitiser writes these entities and no others.
    let text = NO_MARKUP.clean(&spaced).to_string();
    let text = text.replace("&nbsp;", " ").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.is_empty() {
        return None;
    }
    if text.chars().count() <= LONGEST_PREVIEW {
        return Some(text);
    }
    Some(text.chars().take(LONGEST_PREVIEW - 3).chain("...".chars()).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{
        super::{BlockType, tests::run},
        *,
    };

    fn clean(content: &str) -> String {
        let normalised = run(BlockType::Text, &json!({ "content": content })).unwrap();
        normalised.payload["content"].as_str().unwrap().to_owned()
    }

    #[test]
    fn plain_text_is_stored_as_typed() {
        for text in ["Tom & Jerry", "a\nb", "1 > 0", "  &amp; "] {
            assert_eq!(clean(text), text);
        }
    }

    #[test]
    fn markup_is_reduced_to_the_allowed_elements() {
        for (dirty, expected) in [
            ("<p onclick=\"x()\" style=\"a\" class=\"b\" id=\"c\">Halo</p>", "<p>Halo</p>"),
            ("<script>alert(1)</script><b>x</b>", "<b>x</b>"),
            ("<style>p{}</style><iframe src=\"https://a.test\"></iframe>x<br>", "x<br>"),
            ("<svg><a href=\"https://a.test\">x</a></svg>y<i></i>", "y<i></i>"),
            ("<div><span>x</span></div>", "x"),
            ("<img src=x onerror=alert(1)>x", "x"),
            ("<a href=\"javascript:alert(1)\">x</a>", "<a rel=\"noopener noreferrer\">x</a>"),
            ("<a href=\"/me\">x</a>", "<a rel=\"noopener noreferrer\">x</a>"),
            (
                "<a href=\"https://a.test\" target=\"_blank\" title=\"t\">x</a>",
                "<a href=\"https://a.test\" title=\"t\" rel=\"noopener noreferrer\">x</a>",
            ),
        ] {
            assert_eq!(clean(dirty), expected, "{dirty}");
        }
    }

    #[test]
    fn a_block_is_empty_without_visible_characters() {
        for content in ["", "  \n", "<p></p>", "<p>&nbsp; <br></p>", "<script>x</script>"] {
            assert!(run(BlockType::Text, &json!({ "content": content })).unwrap().is_empty, "{content:?}");
        }
        assert!(!run(BlockType::Text, &json!({ "content": "<p>.</p>" })).unwrap().is_empty);
    }

    #[test]
    fn the_preview_is_plain_collapsed_and_at_most_280_characters() {
        for (content, expected) in [
            ("<p>Satu</p><p>du<b>a</b></p>", "Satu dua"),
            ("<h1>Judul</h1>Isi &amp; <i>lain</i> &lt;b&gt;", "Judul Isi & lain <b>"),
            ("a &amp; b &eacute;", "a & b é"),
            ("a\n\n  b", "a b"),
        ] {
            assert_eq!(preview(content).as_deref(), Some(expected), "{content}");
        }
        let exact = "é".repeat(280);
        assert_eq!(preview(&exact), Some(exact.clone()));
        let cut = preview(&"é".repeat(281)).unwrap();
        assert_eq!(cut, format!("{}...", "é".repeat(277)));
    }

    #[test]
    fn at_most_50_000_characters_are_stored() {
        assert!(run(BlockType::Text, &json!({ "content": "é".repeat(50_000) })).is_ok());
        assert_eq!(run(BlockType::Text, &json!({ "content": "é".repeat(50_001) })), Err(422));
        assert_eq!(run(BlockType::Text, &json!({ "content": format!("<{}", "&".repeat(49_000)) })), Err(422));
    }
}
