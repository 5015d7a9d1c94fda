use std::{cell::RefCell, fmt::Write as _, sync::LazyLock};

use html5ever::{
    tendril::StrTendril,
    tokenizer::{
        BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
        states::RawKind::{Rawtext, Rcdata, ScriptData},
    },
};
use regex::Regex;
use serde_json::json;

use super::{
    Context, Fields, Normalised,
    url::{self, Rule},
    without_controls,
};

const LONGEST: usize = 10_000;
const MOST_FRAMES: usize = 3;
const PERMISSIONS: [&str; 5] = ["fullscreen", "autoplay", "encrypted-media", "picture-in-picture", "clipboard-write"];
const FORCED: &str = concat!(
    r#" sandbox="allow-scripts allow-same-origin allow-popups allow-forms allow-presentation""#,
    r#" loading="lazy" referrerpolicy="strict-origin-when-cross-origin""#,
);

static SIZE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("^[0-9]{1,5}(?:px|%)?$").ok());

/// Pasted frame code: at most three frames of other people's pages over https, each in a sandbox.
pub(super) fn normalise(fields: &mut Fields, context: &Context) -> Normalised {
    let raw = fields.text("html", LONGEST);
    let title = fields.text("title", 200);
    let html = rewritten(&raw, context.own_hosts);
    if html.chars().count() > LONGEST {
        fields.error("html", format!("Maksimal {LONGEST} karakter"));
    }
    let is_empty = html.is_empty();
    Normalised::new(json!({ "html": html, "title": title }), is_empty)
}

/// The frames in `raw`, each written anew: nothing of what was pasted is passed on but attributes that were checked.
fn rewritten(raw: &str, own_hosts: &[String]) -> String {
    let mut html = String::new();
    for frame in frames(raw).iter().filter_map(|tag| Frame::of(tag, own_hosts)).take(MOST_FRAMES) {
        frame.write(&mut html);
    }
    html
}

/// What a frame may have. Written in this order: always the same, or equal payloads would differ.
struct Frame {
    src: String,
    width: Option<String>,
    height: Option<String>,
    title: Option<String>,
    allowfullscreen: bool,
    allow: Option<String>,
}

impl Frame {
    /// `None` without a source that may be shown.
    fn of(tag: &Tag, own_hosts: &[String]) -> Option<Self> {
        // Values come here with their entities decoded.
        let value = |name: &str| tag.attrs.iter().find(|found| &*found.name.local == name).map(|found| &*found.value);
        let size = |name: &str| value(name).map(str::trim).filter(|text| is_size(text)).map(str::to_owned);
        Some(Self {
            src: source(value("src")?, own_hosts)?,
            width: size("width"),
            height: size("height"),
            title: value("title").map(without_controls),
            allowfullscreen: value("allowfullscreen").is_some(),
            allow: value("allow").map(permissions),
        })
    }

    fn write(&self, html: &mut String) {
        html.push_str("<iframe");
        let attributes = [
            ("src", Some(&*self.src)),
            ("width", self.width.as_deref()),
            ("height", self.height.as_deref()),
            ("title", self.title.as_deref()),
            ("allowfullscreen", self.allowfullscreen.then_some("")),
            ("allow", self.allow.as_deref()),
        ];
        for (name, value) in attributes {
            if let Some(value) = value {
                write_attribute(html, name, value);
            }
        }
        html.push_str(FORCED);
        html.push_str("></iframe>");
    }
}

fn write_attribute(html: &mut String, name: &str, value: &str) {
    // Writing to a string cannot fail.
    let _ = write!(html, " {name}=\"");
    for c in value.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '"' => html.push_str("&quot;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            c => html.push(c),
        }
    }
    html.push('"');
}

fn is_size(text: &str) -> bool {
    SIZE.as_ref().is_some_and(|pattern| pattern.is_match(text))
}

/// An address over https, not of our own hosts: there the sandbox would be none.
fn source(value: &str, own_hosts: &[String]) -> Option<String> {
    let value = value.trim();
    // Browsers take a backslash for a slash, other programs do not.
    if value.contains('\\') {
        return None;
    }
    let address = url::address(value, Rule::Https).filter(|address| !address.is_empty())?;
    let host = url::host(&address)?;
    (!own_hosts.contains(&host)).then_some(address)
}

fn permissions(value: &str) -> String {
    let wanted = value.split(';').filter_map(|item| item.split_whitespace().next());
    wanted.filter(|item| PERMISSIONS.contains(item)).collect::<Vec<_>>().join("; ")
}

/// The tags that begin a frame, found as a browser finds them: not in comments, nor in the text of other elements, of
/// a frame among them.
fn frames(raw: &str) -> Vec<Tag> {
    let input = BufferQueue::default();
    input.push_back(StrTendril::from_slice(raw));
    let tokenizer = Tokenizer::new(Found::default(), TokenizerOpts::default());
    // Would end early only where a script has to run first.
    let _ = tokenizer.feed(&input);
    tokenizer.end();
    tokenizer.sink.0.take()
}

#[derive(Default)]
struct Found(RefCell<Vec<Tag>>);

impl TokenSink for Found {
    type Handle = ();

    fn process_token(&self, token: Token, _: u64) -> TokenSinkResult<()> {
        let Token::TagToken(tag) = token else { return TokenSinkResult::Continue };
        if tag.kind == TagKind::EndTag {
            return TokenSinkResult::Continue;
        }
        match &*tag.name {
            "iframe" => {
                self.0.borrow_mut().push(tag);
                TokenSinkResult::RawData(Rawtext)
            }
            "style" | "xmp" | "noembed" | "noframes" | "noscript" => TokenSinkResult::RawData(Rawtext),
            "textarea" | "title" => TokenSinkResult::RawData(Rcdata),
            "script" => TokenSinkResult::RawData(ScriptData),
            "plaintext" => TokenSinkResult::Plaintext,
            _ => TokenSinkResult::Continue,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::{
        super::{BlockType, tests::run},
        *,
    };

    fn html(raw: &str) -> String {
        let normalised = run(BlockType::Embed, &json!({ "html": raw })).unwrap();
        normalised.payload["html"].as_str().unwrap().to_owned()
    }

    /// A frame without optional attributes, as it is stored.
    fn plain(src: &str) -> String {
        format!("<iframe src=\"{src}\"{FORCED}></iframe>")
    }

    #[test]
    fn frames_are_kept_with_the_listed_attributes_in_a_sandbox() {
        let kept = html(concat!(
            r#"Halo <b>x</b><iframe allow="camera; autoplay *" src="https://a.test/x" width="100%" onload="x()" "#,
            r#"style="x" allowfullscreen title='"Peta" & <b>' sandbox=""></iframe><script>alert(1)</script>"#,
        ));
        let expected = concat!(
            r#"<iframe src="https://a.test/x" width="100%" title="&quot;Peta&quot; &amp; &lt;b&gt;" "#,
            r#"allowfullscreen="" allow="autoplay""#,
        );
        assert_eq!(kept, format!("{expected}{FORCED}></iframe>"));
    }

    #[test]
    fn what_stands_inside_a_frame_is_no_other_frame() {
        for inner in [
            r#"<iframe src="javascript:alert(1)">"#,
            r#"<iframe src="javascript:alert(1)"></iframe>"#,
            r#"<iframe src="https://grafikarsa.com/">"#,
            r#"&lt;iframe src="javascript:alert(1)"&gt;"#,
            "<!--><iframe src=javascript:alert(1)>-->",
            "<![CDATA[<iframe src=javascript:alert(1)>]]>",
            "<script>alert(1)</script>",
            "</IFRAME x><img src=x onerror=alert(1)>",
        ] {
            let kept = html(&format!(r#"<iframe src="https://a.test/x">{inner}</iframe>"#));
            assert_eq!(kept, plain("https://a.test/x"), "{inner}");
        }
    }

    #[test]
    fn frames_are_found_where_a_browser_finds_them() {
        let frame = r#"<iframe src="https://a.test/x">"#;
        for (before, after) in [
            ("<!--", "-->"),
            ("<!-- ", ""),
            ("<![CDATA[", "]]>"),
            ("<script>'", "'</script>"),
            ("<script>", ""),
            ("<style>", "</style>"),
            ("<textarea>", "</textarea>"),
            ("<title>", "</title>"),
            ("<xmp>", "</xmp>"),
            ("<noscript>", "</noscript>"),
            ("<plaintext>", ""),
            ("<p title='", "'>"),
            ("</", ">"),
        ] {
            assert_eq!(html(&format!("{before}{frame}{after}")), "", "{before}");
        }
        for raw in [
            frame.to_owned(),
            format!("<div><p>{frame}"),
            format!("<script>x</script>{frame}"),
            format!("<script/>x</script>{frame}"),
            format!("<!-- x -->{frame}"),
            format!("<!-->{frame}"),
            r#"<IFRAME SRC="https://a.test/x"></IFRAME>"#.to_owned(),
            "<iframe src=https://a.test/x>".to_owned(),
            "<iframe/src='https://a.test/x'/>".to_owned(),
            "<iframe\nsrc =\t'https://a.test/x'>".to_owned(),
            r#"<iframe src="https://a.test/x" src="javascript:alert(1)">"#.to_owned(),
            r#"<iframe src="https://a.test/x" srcdoc="<script>alert(1)</script>" onload=alert(1)>"#.to_owned(),
            r#"<iframe src=" &#104;ttps://a.test/x ">"#.to_owned(),
        ] {
            assert_eq!(html(&raw), plain("https://a.test/x"), "{raw}");
        }
        assert_eq!(html(r#"<iframe src="https://a.test/x""#), "", "a tag that does not end is none");
    }

    #[test]
    fn sources_are_others_pages_over_https() {
        for source in [
            "",
            " ",
            "x",
            "/x",
            "//a.test/x",
            "http://a.test",
            "ftp://a.test",
            "about:blank",
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            "java\tscript:alert(1)",
            "java\nscript:alert(1)",
            "java&Tab;script:alert(1)",
            "java&#10;script:alert(1)",
            "&#106;avascript:alert(1)",
            "&#x6A;avascript&colon;alert(1)",
            "&#1;javascript:alert(1)",
            "javascript&colon;//a.test/%0aalert(1)",
            "data:text/html,<script>alert(1)</script>",
            "data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==",
            "vbscript:x",
            "blob:https://a.test/1",
            "view-source:https://a.test",
            "https:",
            "https:a.test",
            "https:/a.test",
            "https:///",
            "https://user@a.test",
            "https://user:pw@a.test",
            "https://a.test@grafikarsa.com",
            r"https:\\a.test",
            r"https://a.test\x",
            r"https://a.test\@grafikarsa.com",
            "https://a.test/a b",
            "https://a.te\nst",
            "https://a.te&NewLine;st",
            "https://grafikarsa.com/x",
            "https://GRAFIKARSA.com",
            "https://grafikarsa.com.",
            "https://grafikarsa.com:8443/x",
            "https://grafikarsa%2ecom/x",
            "https://grafikarsa&period;com/x",
            "https://ｇrafikarsa.com/x",
            "https://storage.grafikarsa.com/x",
        ] {
            assert_eq!(html(&format!("<iframe src=\"{source}\"></iframe>")), "", "{source}");
        }
        assert_eq!(html("<iframe></iframe><iframe src></iframe>"), "");
        for (source, written) in [
            ("https://a.test", "https://a.test"),
            ("https://a.test/x?a=1&b=2", "https://a.test/x?a=1&amp;b=2"),
            ("https://a.test/x?a=1&amp;b=2", "https://a.test/x?a=1&amp;b=2"),
            ("https://a.test/&quot;&gt;&lt;script&gt;", "https://a.test/&quot;&gt;&lt;script&gt;"),
            ("a.test/x", "https://a.test/x"),
        ] {
            assert_eq!(html(&format!("<iframe src=\"{source}\"></iframe>")), plain(written), "{source}");
        }
    }

    #[test]
    fn sizes_are_numbers_and_other_values_are_dropped() {
        for (size, kept) in [("560", true), ("100%", true), ("560px", true), ("", false), ("1e9", false), ("x", false)]
        {
            let found = html(&format!("<iframe src=https://a.test width=\"{size}\">"));
            assert_eq!(found.contains(&format!(" width=\"{size}\"")), kept, "{size}");
        }
    }

    #[test]
    fn at_most_three_frames_are_kept() {
        let many = r#"<iframe src="https://a.test"></iframe>"#.repeat(100);
        assert_eq!(html(&many), plain("https://a.test").repeat(3));
        let last = r#"<iframe src="http://a.test"></iframe>"#.repeat(100) + r#"<iframe src="https://b.test">"#;
        assert_eq!(html(&last), plain("https://b.test"), "frames that are dropped do not count");
    }

    #[test]
    fn what_grows_too_long_when_it_is_written_is_refused() {
        let title = "&".repeat(9_000);
        let raw = format!("<iframe src=\"https://a.test\" title=\"{title}\"></iframe>");
        assert_eq!(run(BlockType::Embed, &json!({ "html": raw })), Err(422));
    }

    fn piece() -> impl Strategy<Value = String> {
        let marks = concat!(
            "<iframe|</iframe>|<iframe src=\"https://a.test\"|>|/>|\"|'|=| |\t|\r\n|\\|<!--|-->|<![CDATA[|]]>|",
            "<script>|</script>|<style>|<textarea>|<svg>|<template>| src=| title=| width=| allow=| srcdoc=|100%|",
            "https://a.test/x|https://grafikarsa.com|javascript:|autoplay;|",
            "&quot;|&lt;|&amp;amp;|&nbsp;|&#0;|&#1;|&#13;|&#13;&#10;",
        );
        let marks: Vec<&str> = marks.split('|').collect();
        let any = ".{0,4}".prop_map(|text| text.replace('\0', ""));
        prop_oneof![3 => prop::sample::select(marks).prop_map(str::to_owned), 1 => any]
    }

    /// The written form and nothing beside it.
    pub fn is_clean(html: &str) -> bool {
        let value = r#"[^"<>]*"#;
        let names = ["width", "height", "title", "allowfullscreen", "allow"];
        let optional = names.map(|name| format!("(?: {name}=\"{value}\")?")).concat();
        let frame = format!("<iframe src=\"https://{value}\"{optional}{}></iframe>", regex::escape(FORCED));
        Regex::new(&format!("^(?:{frame}){{0,{MOST_FRAMES}}}$")).unwrap().is_match(html)
    }

    proptest! {
        #[test]
        fn whatever_is_pasted_comes_out_as_clean_frames_that_stay_the_same(
            pieces in prop::collection::vec(piece(), 0..40),
        ) {
            // `run` normalises twice and compares.
            let kept = html(&pieces.concat());
            prop_assert!(is_clean(&kept), "{}", kept);
        }
    }
}
