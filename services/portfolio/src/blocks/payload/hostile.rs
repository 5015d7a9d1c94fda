//! What attackers and careless people paste: nothing of it may run, and whatever is stored must be accepted again as it is.

use html5ever::{
    TokenizerResult,
    tendril::StrTendril,
    tokenizer::{BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts},
};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::cell::RefCell;

use super::{BlockType, embed::tests::is_clean, tests::run};

/// One attack a line.
pub const ATTACKS: &str = include_str!("hostile.txt");

const ELEMENTS: [&str; 21] = [
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
];

#[derive(Default)]
struct Tags(RefCell<Vec<Tag>>);

impl TokenSink for Tags {
    type Handle = ();

    fn process_token(&self, token: Token, _: u64) -> TokenSinkResult<()> {
        if let Token::TagToken(tag) = token {
            self.0.borrow_mut().push(tag);
        }
        TokenSinkResult::Continue
    }
}

/// Why `html` is not inert when a browser shows it. Links may have `href`, `rel` and the attributes `more`.
pub fn danger(html: &str, more: &[&str]) -> Option<String> {
    let input = BufferQueue::default();
    input.push_back(StrTendril::from_slice(html));
    let tokenizer = Tokenizer::new(Tags::default(), TokenizerOpts::default());
    assert!(matches!(tokenizer.feed(&input), TokenizerResult::Done));
    tokenizer.end();
    let tags = tokenizer.sink.0.take();
    for tag in tags {
        if !ELEMENTS.contains(&&*tag.name) {
            return Some(format!("<{}>", tag.name));
        }
        for attribute in &tag.attrs {
            let (name, value) = (&*attribute.name.local, &*attribute.value);
            let is_harmless = match name {
                "href" => {
                    ["http:", "https:", "mailto:"].iter().any(|scheme| as_browsers_read(value).starts_with(scheme))
                }
                "rel" => value == "noopener noreferrer",
                name => more.contains(&name),
            };
            if &*tag.name != "a" || tag.kind != TagKind::StartTag || !is_harmless {
                return Some(format!("{name}={value}"));
            }
        }
    }
    None
}

/// Browsers leave out line ends and tabs of an address, and what is blank around it.
fn as_browsers_read(address: &str) -> String {
    address.trim_matches(|c| c <= ' ').chars().filter(|c| !matches!(c, '\n' | '\r' | '\t')).collect()
}

fn is_address(url: &str) -> bool {
    url.is_empty() || ["http://", "https://", "mailto:"].iter().any(|scheme| url.starts_with(scheme))
}

/// A payload that holds `text` wherever that type takes a text.
fn payload(block_type: BlockType, text: &str) -> Value {
    match block_type {
        BlockType::Text => json!({ "content": text }),
        BlockType::Image => json!({ "url": text, "caption": text }),
        BlockType::Table => json!({ "headers": [text], "rows": [[text, text]] }),
        BlockType::Youtube => json!({ "video_id": text, "title": text }),
        BlockType::Button => json!({ "url": text, "text": text }),
        BlockType::Embed => json!({ "html": text, "title": text }),
        BlockType::Figma | BlockType::Canva => json!({ "url": text, "title": text }),
        BlockType::Ppt | BlockType::Pdf | BlockType::Doc => json!({ "url": text, "title": text, "filename": text }),
    }
}

/// Checks everything that a browser would not show as plain text.
fn check(block_type: BlockType, stored: &Value) -> Result<(), String> {
    let text = |key: &str| stored[key].as_str().unwrap_or_default();
    match block_type {
        BlockType::Text => danger(text("content"), &["title"]).map_or(Ok(()), Err),
        BlockType::Embed if !is_clean(text("html")) => Err(text("html").to_owned()),
        BlockType::Youtube if !text("video_id").is_empty() && text("video_id").len() != 11 => {
            Err(text("video_id").to_owned())
        }
        BlockType::Table | BlockType::Embed | BlockType::Youtube => Ok(()),
        _ if !is_address(text("url")) => Err(text("url").to_owned()),
        _ => Ok(()),
    }
}

#[test]
fn the_check_itself_finds_what_is_dangerous() {
    let found = ATTACKS.lines().filter(|attack| attack.contains('<') && danger(attack, &["title"]).is_some()).count();
    assert!(found > 90, "{found}");
    for harmless in ["a", "<p>a</p>", "<a href=\"https://a.test\" rel=\"noopener noreferrer\">a</a>", "&lt;script&gt;"]
    {
        assert_eq!(danger(harmless, &[]), None);
    }
}

#[test]
fn no_attack_of_the_corpus_survives() {
    for attack in ATTACKS.lines() {
        for block_type in BlockType::ALL {
            for text in [attack.to_owned(), format!("<p>a</p>{attack}"), format!("https://a.test/{attack}")] {
                if let Ok(stored) = run(block_type, &payload(block_type, &text)) {
                    assert_eq!(check(block_type, &stored.payload), Ok(()), "{block_type:?} of {text}");
                }
            }
        }
    }
    // All attacks together, as one text and in pairs that are nested.
    let all = ATTACKS.replace('\n', "");
    let stored = run(BlockType::Text, &json!({ "content": all })).unwrap();
    assert_eq!(danger(stored.payload["content"].as_str().unwrap(), &["title"]), None);
}

/// What hostile texts are put together of.
pub fn pieces() -> impl Strategy<Value = String> {
    let attacks: Vec<&str> = ATTACKS.lines().collect();
    let marks = vec![
        "<",
        ">",
        "</",
        "<p>",
        "<pre>",
        "</pre>",
        "<li>",
        "<ol>",
        "<b>",
        "<i>",
        "<h1>",
        "<h2>",
        "<ul>",
        "<blockquote>",
        "<table>",
        "<td>",
        "<div>",
        "<select>",
        "<option>",
        "<title>",
        "<textarea>",
        "<a href=\"https://a.test\">",
        "</b>",
        "</h1>",
        "</ul>",
        "</td>",
        "</table>",
        "</a>",
        "\n",
        "</p>",
        "<b",
        "<a href=\"",
        "\">",
        "&",
        "&lt;",
        "&amp;",
        "&nbsp;",
        "&#0;",
        "\r\n",
        "\t",
        "\u{7}",
        "\u{200b}",
        "\u{feff}",
        "<!--",
        "-->",
        "https://a.test/",
        "http://",
        "mailto:",
        "a.test/x",
        " ",
        "é",
        "https://storage.grafikarsa.com/",
        "portfolio-images/",
        "?w=64",
        "youtu.be/",
        "watch?v=dQw4w9WgXcQ",
        "https://www.figma.com/file/x",
        "https://www.canva.com/design/x",
        "https://docs.google.com/x",
        "%2e%2e",
        "#x",
    ];
    prop_oneof![
        2 => prop::sample::select(attacks).prop_map(str::to_owned),
        4 => prop::sample::select(marks).prop_map(str::to_owned),
        1 => ".{0,6}".prop_map(|text| text.replace('\0', "")),
    ]
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        pieces().prop_map(Value::from),
    ];
    let keys = ["content", "url", "caption", "headers", "rows", "video_id", "title", "text", "html", "filename", "x"];
    leaf.prop_recursive(3, 24, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(prop::sample::select(keys.to_vec()), inner, 0..6)
                .prop_map(|map| map.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// `run` normalises twice and compares.
    #[test]
    fn whatever_is_pasted_is_inert_and_stays_the_same(
        parts in prop::collection::vec(pieces(), 0..12),
        block_type in prop::sample::select(BlockType::ALL.to_vec()),
    ) {
        let text = parts.concat();
        if let Ok(stored) = run(block_type, &payload(block_type, &text)) {
            prop_assert_eq!(check(block_type, &stored.payload), Ok(()));
        }
    }

    #[test]
    fn any_json_is_refused_or_stays_the_same(
        value in any_json(),
        block_type in prop::sample::select(BlockType::ALL.to_vec()),
    ) {
        if let Ok(stored) = run(block_type, &value) {
            prop_assert!(value.is_object());
            prop_assert_eq!(check(block_type, &stored.payload), Ok(()));
        }
    }
}
