use std::{
    collections::{HashMap, HashSet},
    sync::LazyLock,
};

use ammonia::{Builder, UrlRelative};
use regex::Regex;
use serde_json::json;

use super::{Fields, Normalised, without_controls};

const LONGEST_PREVIEW: usize = 280;
/// Almost every text settles in two.
const ROUNDS: usize = 8;
/// A parser needs the square of the depth.
const DEEPEST: i32 = 100;

/// What an open one of does not prevent the next from standing beside it.
const UNNESTED: [&str; 13] = ["p", "li", "br", "hr", "img", "input", "wbr", "dt", "dd", "option", "tr", "td", "th"];

static TAGS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("(?i)<(/?)([a-z][a-z0-9]*)").ok());

/// Elements which a parser repeats in every paragraph after the one that leaves them open: all of them when their
/// attributes differ, and otherwise three of a kind.
static REPEATED: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new("(?i)<(b|big|code|em|font|i|nobr|s|small|strike|strong|tt|u)[\\s/][^>]*>").ok());

/// What a text may hold.
pub struct Rules {
    /// Characters, as they are sent and as they are stored.
    longest: usize,
    /// White space around a text is not stored.
    is_trimmed: bool,
    sanitiser: Builder<'static>,
}

/// Texts of portfolios.
static PORTFOLIO: LazyLock<Rules> =
    LazyLock::new(|| Rules { longest: 50_000, is_trimmed: false, sanitiser: sanitiser(&["href", "title"]) });

/// Texts of changelogs.
pub static CHANGELOG: LazyLock<Rules> =
    LazyLock::new(|| Rules { longest: 20_000, is_trimmed: true, sanitiser: sanitiser(&["href"]) });

impl Rules {
    fn trimmed(&self, text: String) -> String {
        let inner = text.trim();
        if self.is_trimmed && inner.len() < text.len() { inner.to_owned() } else { text }
    }
}

/// Lets the elements of the web client's editor through, and of a link these attributes.
fn sanitiser(of_links: &[&'static str]) -> Builder<'static> {
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
        .generic_attributes(HashSet::new())
        .tag_attributes(HashMap::from([("a", of_links.iter().copied().collect())]))
        .url_schemes(HashSet::from(["http", "https", "mailto"]))
        .url_relative(UrlRelative::Deny)
        .link_rel(Some("noopener noreferrer"));
    builder
}

static NO_MARKUP: LazyLock<Builder<'static>> = LazyLock::new(Builder::empty);

/// Where a line ends: words on both sides of it do not touch.
static LINE_ENDS: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new("</?(?:p|br|pre|blockquote|ul|ol|li|h[1-6])[ />]|</?(?:p|br|pre|li)>").ok());

pub(super) fn normalise(fields: &mut Fields) -> Normalised {
    let content = read(fields, "content", &PORTFOLIO);
    let preview = preview(&content);
    Normalised { preview: preview.clone(), ..Normalised::new(json!({ "content": content }), preview.is_none()) }
}

/// The text at `key`. Plain text is stored as typed; what holds markup is sanitised, because the web client renders it as
/// it is.
pub fn read(fields: &mut Fields, key: &str, rules: &Rules) -> String {
    let mut content = rules.trimmed(fields.raw(key, rules.longest));
    if content.contains('<') && is_nested_too_deep(&content) {
        fields.error(key, "Terlalu banyak elemen yang bertingkat");
        content.clear();
    } else if content.contains('<') {
        content = without_attributes(&content);
        // Elements that are wrongly nested find their places over several rounds.
        for _ in 0..ROUNDS {
            let cleaner = rules.trimmed(sanitised(&content, rules));
            let is_settled = cleaner == content;
            content = cleaner;
            if is_settled || content.len() > 4 * rules.longest {
                break;
            }
        }
        // Escaping makes it longer; what is stored must be accepted when it is sent back.
        if content.trim().chars().count() > rules.longest {
            fields.error(key, format!("Maksimal {} karakter", rules.longest));
            content.clear();
        }
    }
    content
}

/// Whether a reader sees nothing of it.
pub fn is_blank(content: &str) -> bool {
    preview(content).is_none()
}

fn is_nested_too_deep(html: &str) -> bool {
    let Some(tags) = &*TAGS else { return true };
    let mut open: HashMap<String, i32> = HashMap::new();
    tags.captures_iter(html).any(|tag| {
        let name = tag[2].to_ascii_lowercase();
        if UNNESTED.contains(&&*name) {
            return false;
        }
        let depth = open.entry(name).or_default();
        *depth = if tag[1].is_empty() { *depth + 1 } else { (*depth - 1).max(0) };
        *depth > DEEPEST
    })
}

/// The sanitiser drops the attributes anyway; before it parses they could make it repeat thousands of elements.
fn without_attributes(html: &str) -> String {
    REPEATED.as_ref().map_or_else(String::new, |repeated| repeated.replace_all(html, "<$1>").into_owned())
}

fn sanitised(html: &str, rules: &Rules) -> String {
    // References to characters have become characters.
    let clean = without_controls(&rules.sanitiser.clean(html).to_string());
    // A parser drops the first line end of a `pre`, and takes U+FEFF in front for the mark of an encoding.
    clean.trim_start_matches('\u{feff}').replace("<pre>\n", "<pre>\n\n")
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
pub mod tests {
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
            ("<p>a&#1;b&#13;</p>", "<p>ab</p>"),
            ("<pre>\nx</pre><pre><img>\nx</pre>", "<pre>x</pre><pre>\n\nx</pre>"),
            ("<p title=\"t\" lang=\"id\" dir=\"rtl\">x</p>", "<p>x</p>"),
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

    /// One of each element that is allowed.
    pub const EVERYTHING: &str = "<h1>a</h1><h2>b</h2><h3>c</h3><h4>d</h4><h5>e</h5><h6>f</h6><p>g<br><strong>h</strong><b>i</b><em>j</em><i>k</i><u>l</u>\
     <s>m</s><code>n</code></p><pre>o</pre><blockquote>p</blockquote><ul><li>q</li></ul><ol><li>r</li></ol>\
     <p><a href=\"https://a.test/x\" rel=\"noopener noreferrer\">s</a></p>";

    #[test]
    fn every_allowed_element_stays() {
        assert_eq!(clean(EVERYTHING), EVERYTHING);
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
    fn a_small_text_cannot_become_a_large_tree() {
        let differing = (0..90).map(|n| format!("<b {n}><i/{n}><u\n{n}>")).collect::<Vec<_>>().concat();
        let text = format!("<p>{differing}{}", "<p>x".repeat(100));
        // Three of a kind in each paragraph; 270 without the rule.
        let stored = PORTFOLIO.sanitiser.clean(&without_attributes(&text)).to_string();
        assert!(stored.matches("<b>").count() < 400, "{}", stored.len());
        for deep in ["<ul>", "<b>", "<DIV>", "<a href=\"https://a.test\">"] {
            assert_eq!(run(BlockType::Text, &json!({ "content": deep.repeat(101) })), Err(422), "{deep}");
        }
        assert!(run(BlockType::Text, &json!({ "content": "<p><b>x</b><li><br>".repeat(1000) })).is_ok());
    }

    #[test]
    fn at_most_50_000_characters_are_stored() {
        assert!(run(BlockType::Text, &json!({ "content": "é".repeat(50_000) })).is_ok());
        assert_eq!(run(BlockType::Text, &json!({ "content": "é".repeat(50_001) })), Err(422));
        assert_eq!(run(BlockType::Text, &json!({ "content": format!("<{}", "&".repeat(49_000)) })), Err(422));
    }
}
