//! What a block of a changelog holds. Normalising twice gives the same, because the editor sends back what it was given.

use std::collections::HashMap;

use grafikarsa_http::{ApiError, ApiResult, FieldErrors};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::{
    entry::Entry,
    pictures::{self, Picture},
};
use crate::{
    blocks::payload::{
        BlockType, Fields,
        text::{self, CHANGELOG},
        url::{self, Rule},
        youtube,
    },
    storage,
};

const LONGEST_URL: usize = 2048;

/// The keys of all four types; each takes its own, and others are dropped.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct ChangelogPayloadInput {
    /// Of a text, at most 20000 characters: plain, or HTML of the editor's elements.
    #[schema(value_type = Option<String>)]
    content: Option<Entry>,
    /// Of an image: empty, stored already, or a `data:` URL. Of a button: an address, or a path of the site.
    #[schema(value_type = Option<String>)]
    url: Option<Entry>,
    /// Of an image, at most 255 characters.
    #[schema(value_type = Option<String>)]
    caption: Option<Entry>,
    /// Of a video: its identifier, or its address.
    #[schema(value_type = Option<String>)]
    video_id: Option<Entry>,
    /// Of a video, at most 255 characters.
    #[schema(value_type = Option<String>)]
    title: Option<Entry>,
    /// Of a button, at most 100 characters.
    #[schema(value_type = Option<String>)]
    text: Option<Entry>,
}

impl ChangelogPayloadInput {
    /// Checks that what a block of this type takes are texts.
    ///
    /// # Errors
    /// 400 that names the key below `path`.
    pub fn must_be_texts(&self, path: &str, block_type: BlockType) -> ApiResult<()> {
        let of_type: &[(&str, &Option<Entry>)] = match block_type {
            BlockType::Image => &[("url", &self.url), ("caption", &self.caption)],
            BlockType::Youtube => &[("video_id", &self.video_id), ("title", &self.title)],
            BlockType::Button => &[("text", &self.text), ("url", &self.url)],
            _ => &[("content", &self.content)],
        };
        match of_type.iter().find(|(_, entry)| matches!(entry, Some(Entry::Other))) {
            Some((key, _)) => Err(ApiError::syntax(format!("{path}.{key}"), "Tipe data tidak sesuai")),
            None => Ok(()),
        }
    }
}

/// A block in the form in which it is stored.
#[derive(Debug)]
pub struct Block {
    pub block_type: &'static str,
    pub payload: Value,
    /// Nobody would see anything.
    pub is_empty: bool,
    /// The stored object that an image shows.
    pub object_key: Option<String>,
    /// One that has to be stored first.
    pub picture: Option<Picture>,
}

impl Block {
    fn new(block_type: BlockType, payload: Value, is_empty: bool) -> Self {
        Self { block_type: block_type.as_str(), payload, is_empty, object_key: None, picture: None }
    }

    /// Shows what was its new picture.
    pub fn show(&mut self, url: String, object_key: String) {
        self.payload["url"] = Value::String(url);
        self.object_key = Some(object_key);
    }
}

/// What an image may show.
#[derive(Debug)]
pub struct Context<'a> {
    pub storage_base: &'a str,
    /// Addresses that stand in this changelog already, with their objects.
    pub standing: &'a HashMap<String, Option<String>>,
}

/// The types that the editor knows.
pub fn block_type(text: &str) -> Option<BlockType> {
    BlockType::parse(text)
        .filter(|known| matches!(known, BlockType::Text | BlockType::Image | BlockType::Youtube | BlockType::Button))
}

/// Brings the payload at `path` into its form. Broken rules go to `errors`; the result is of no use then.
pub fn normalise(
    errors: &mut FieldErrors,
    path: &str,
    block_type: BlockType,
    payload: ChangelogPayloadInput,
    context: &Context,
) -> Block {
    let ChangelogPayloadInput { content, url, caption, video_id, title, text } = payload;
    let mut object: Map<String, Value> = [
        ("content", content),
        ("url", url),
        ("caption", caption),
        ("video_id", video_id),
        ("title", title),
        ("text", text),
    ]
    .into_iter()
    .filter_map(|(key, entry)| match entry {
        Some(Entry::Text(text)) => Some((key.to_owned(), Value::String(text))),
        Some(Entry::Other) | None => None,
    })
    .collect();
    let picture = if block_type == BlockType::Image { take_data_url(&mut object) } else { None };
    let mut fields = Fields { path, object: &object, errors };
    match block_type {
        BlockType::Image => image(&mut fields, picture, context),
        BlockType::Youtube => {
            let (video_id, title) = (youtube::read(&mut fields, "video_id"), fields.text("title", 255));
            let is_empty = video_id.is_empty();
            Block::new(block_type, json!({ "video_id": video_id, "title": title }), is_empty)
        }
        BlockType::Button => {
            let (text, url) = (fields.text("text", 100), url::read(&mut fields, "url", Rule::WebOrPath));
            let is_empty = text.is_empty() || url.is_empty();
            Block::new(block_type, json!({ "text": text, "url": url }), is_empty)
        }
        _ => {
            let content = text::read(&mut fields, "content", &CHANGELOG);
            let is_empty = text::is_blank(&content);
            Block::new(block_type, json!({ "content": content }), is_empty)
        }
    }
}

/// Takes the URL away when it holds a picture, and decodes that: what follows looks at short texts only.
fn take_data_url(object: &mut Map<String, Value>) -> Option<Result<Picture, &'static str>> {
    let is_data = object.get("url")?.as_str().is_some_and(|url| pictures::is_data_url(url.trim()));
    let url = if is_data { object.remove("url")? } else { return None };
    url.as_str().map(|url| pictures::decode(url.trim()))
}

fn image(fields: &mut Fields, picture: Option<Result<Picture, &'static str>>, context: &Context) -> Block {
    let caption = fields.text("caption", 255);
    let block = |url: &str| Block::new(BlockType::Image, json!({ "url": url, "caption": caption }), url.is_empty());
    match picture {
        Some(Ok(picture)) => return Block { picture: Some(picture), is_empty: false, ..block("") },
        Some(Err(why)) => {
            fields.error("url", why);
            return block("");
        }
        None => {}
    }
    let url = fields.text("url", LONGEST_URL);
    if url.is_empty() {
        return block("");
    }
    if let Some(object_key) = context.standing.get(&url) {
        return Block { object_key: object_key.clone(), ..block(&url) };
    }
    match stored_at(&url, context.storage_base) {
        Some(path) => Block { object_key: Some(path), ..block(&url) },
        None => {
            fields.error("url", "Gambar harus diunggah melalui editor");
            block("")
        }
    }
}

/// The key in an address of the public storage. Only the plain spelling counts: others could lead out of it.
fn stored_at(url: &str, base: &str) -> Option<String> {
    if url.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return None;
    }
    let below = url.strip_prefix(base)?.strip_prefix('/')?;
    let path = below.split(['?', '#']).next().unwrap_or_default();
    (!path.is_empty() && storage::path_of(base, url).as_deref() == Some(path)).then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::blocks::payload::{
        hostile::{ATTACKS, danger, pieces},
        text::tests::EVERYTHING,
    };

    const BASE: &str = "https://storage.grafikarsa.com/files";
    const OLD: &str = "https://lama.test/a.png";

    fn read(payload: &Value) -> ChangelogPayloadInput {
        serde_json::from_value(payload.clone()).unwrap()
    }

    /// The stored payload and whether it is empty, or the broken fields.
    fn run(kind: &str, payload: &Value) -> Result<(Value, bool), String> {
        let standing = HashMap::from([(OLD.to_owned(), Some("changelog-images/a/b.png".to_owned()))]);
        let context = Context { storage_base: BASE, standing: &standing };
        let kind = block_type(kind).unwrap();
        let mut errors = FieldErrors::new();
        read(payload).must_be_texts("x", kind).map_err(|error| format!("{}", error.status()))?;
        let block = normalise(&mut errors, "sections[0].blocks[1].payload", kind, read(payload), &context);
        if errors.finish().is_err() {
            return Err(format!("{payload}"));
        }
        if block.picture.is_none() {
            let mut errors = FieldErrors::new();
            let again = normalise(&mut errors, "x", kind, read(&block.payload), &context);
            assert!(errors.is_empty(), "what is stored is accepted");
            assert_eq!((&again.payload, again.is_empty), (&block.payload, block.is_empty), "and stays the same");
        }
        Ok((block.payload, block.is_empty))
    }

    #[test]
    fn the_editor_knows_four_types() {
        for kind in ["text", "image", "youtube", "button"] {
            assert!(run(kind, &json!({})).unwrap().1, "{kind}");
        }
        for kind in ["table", "embed", "figma", "pdf", "", "TEXT"] {
            assert_eq!(block_type(kind), None, "{kind}");
        }
    }

    #[test]
    fn other_keys_are_dropped() {
        let payload = json!({ "content": "x", "url": "javascript:x", "style": { "a": 1 }, "title": null });
        assert_eq!(run("text", &payload).unwrap().0, json!({ "content": "x" }));
        let payload = json!({ "content": "x", "url": {}, "caption": 1, "video_id": [[]], "title": 1.5, "text": true });
        assert_eq!(run("text", &payload).unwrap().0, json!({ "content": "x" }));
    }

    #[test]
    fn every_allowed_element_stays() {
        assert_eq!(run("text", &json!({ "content": EVERYTHING })).unwrap().0["content"], EVERYTHING);
    }

    #[test]
    fn what_a_type_takes_are_texts() {
        for (kind, key) in [
            ("text", "content"),
            ("image", "url"),
            ("image", "caption"),
            ("youtube", "video_id"),
            ("youtube", "title"),
            ("button", "text"),
            ("button", "url"),
        ] {
            for bad in [json!({}), json!([]), json!(1), json!(false)] {
                let error = read(&json!({ key: bad })).must_be_texts("x", block_type(kind).unwrap()).unwrap_err();
                assert_eq!(error.status(), 400, "{kind} {key} {bad}");
            }
            assert!(run(kind, &json!({ key: null })).unwrap().1);
        }
    }

    #[test]
    fn white_space_is_neither_stored_nor_counted() {
        let wide = " ".repeat(100_000);
        for text in [format!("{wide}Halo{wide}"), format!("{wide}<p>Halo</p>\n{wide}")] {
            assert!(run("text", &json!({ "content": text })).unwrap().0["content"].as_str().unwrap().len() < 12);
        }
        assert_eq!(run("text", &json!({ "content": wide })).unwrap(), (json!({ "content": "" }), true));
    }

    #[test]
    fn plain_text_is_stored_as_typed_and_markup_is_sanitised() {
        for (typed, stored) in [
            ("Tom & Jerry", "Tom & Jerry"),
            ("  1 > 0\n\n& 2", "1 > 0\n\n& 2"),
            (" \u{feff} <div> <b>x</b> </div> ", "<b>x</b>"),
            ("<p>a</p><script>x</script>", "<p>a</p>"),
            ("<img src=x onerror=alert(1)>x", "x"),
            (
                "<a href=\"https://a.test\" title=\"t\" target=\"_blank\">x</a>",
                "<a href=\"https://a.test\" rel=\"noopener noreferrer\">x</a>",
            ),
            ("<a href=\"mailto:a@b.test\">x</a>", "<a href=\"mailto:a@b.test\" rel=\"noopener noreferrer\">x</a>"),
            ("<a href=\"data:text/html,x\">x</a>", "<a rel=\"noopener noreferrer\">x</a>"),
        ] {
            assert_eq!(run("text", &json!({ "content": typed })).unwrap().0["content"], stored, "{typed}");
        }
        for empty in ["", " \n", "<p>&nbsp;</p>"] {
            assert!(run("text", &json!({ "content": empty })).unwrap().1, "{empty:?}");
        }
    }

    #[test]
    fn lengths_are_those_of_characters() {
        for (kind, key, most) in
            [("text", "content", 20_000), ("image", "caption", 255), ("youtube", "title", 255), ("button", "text", 100)]
        {
            assert!(run(kind, &json!({ key: "é".repeat(most) })).is_ok(), "{kind}");
            assert!(run(kind, &json!({ key: format!(" {} ", "é".repeat(most)) })).is_ok(), "{kind}");
            assert!(run(kind, &json!({ key: "é".repeat(most + 1) })).is_err(), "{kind}");
            assert!(run(kind, &json!({ key: "a\0" })).is_err(), "{kind}");
        }
    }

    #[test]
    fn images_come_from_the_storage_or_stand_here_already() {
        let good = format!("{BASE}/changelog-images/a/b.png");
        for url in [good.clone(), format!("{good}?w=640"), format!(" {good} "), OLD.to_owned()] {
            assert_eq!(run("image", &json!({ "url": url })).unwrap().0["url"], url.trim());
        }
        for bad in [
            "https://evil.test/a.png",
            "https://storage.grafikarsa.com/filesystem/a.png",
            "https://storage.grafikarsa.com/files",
            "https://storage.grafikarsa.com/files/",
            "https://storage.grafikarsa.com/files/../a.png",
            "https://storage.grafikarsa.com/files/%2e%2e/a.png",
            "https://storage.grafikarsa.com/files//a.png",
            "https://storage.grafikarsa.com/files/a b.png",
            "https://storage.grafikarsa.com/files@evil.test/a.png",
            "https://lama.test/b.png",
            "javascript:alert(1)",
            "/a.png",
            "blob:https://a.test/1",
        ] {
            assert!(run("image", &json!({ "url": bad })).is_err(), "{bad}");
        }
        let long = format!("{BASE}/{}", "a".repeat(LONGEST_URL));
        assert!(run("image", &json!({ "url": long })).is_err());
    }

    #[test]
    fn buttons_lead_to_pages_and_never_run_a_script() {
        for (url, stored) in [
            ("https://a.test/x", "https://a.test/x"),
            ("http://a.test", "http://a.test"),
            ("a.test/x", "https://a.test/x"),
            ("/tentang?x#y", "/tentang?x#y"),
        ] {
            assert_eq!(
                run("button", &json!({ "text": "Buka", "url": url })),
                Ok((json!({ "text": "Buka", "url": stored }), false))
            );
        }
        for bad in ["javascript:alert(1)", "data:text/html,x", "//evil.test", "/\\evil.test", "mailto:a@b.test", "x"] {
            assert!(run("button", &json!({ "text": "Buka", "url": bad })).is_err(), "{bad}");
        }
        assert!(run("button", &json!({ "text": "Buka" })).unwrap().1);
        assert!(run("button", &json!({ "url": "/x" })).unwrap().1);
    }

    #[test]
    fn videos_are_stored_by_their_identifier() {
        for raw in ["dQw4w9WgXcQ", "https://www.youtube.com/shorts/dQw4w9WgXcQ", "https://youtu.be/dQw4w9WgXcQ"] {
            let stored = run("youtube", &json!({ "video_id": raw, "title": "x" })).unwrap();
            assert_eq!(stored, (json!({ "video_id": "dQw4w9WgXcQ", "title": "x" }), false));
        }
        assert!(run("youtube", &json!({ "video_id": "https://evil.test/dQw4w9WgXcQ" })).is_err());
    }

    fn is_inert(kind: &str, stored: &Value) -> bool {
        let text = |key: &str| stored[key].as_str().unwrap_or_default();
        match kind {
            "text" => danger(text("content"), &[]).is_none(),
            "youtube" => text("video_id").is_empty() || text("video_id").len() == 11,
            "image" => text("url").is_empty() || text("url").starts_with(BASE) || text("url") == OLD,
            _ => {
                let url = text("url");
                let is_path = url.starts_with('/') && !url.starts_with("//") && !url.contains('\\');
                url.is_empty() || is_path || url.starts_with("https://") || url.starts_with("http://")
            }
        }
    }

    fn payload(text: &str) -> Value {
        json!({ "content": text, "url": text, "caption": text, "video_id": text, "title": text, "text": text })
    }

    #[test]
    fn no_attack_of_the_corpus_survives() {
        let all = ATTACKS.replace('\n', "");
        for attack in ATTACKS.lines().chain([&*all]) {
            for kind in ["text", "image", "youtube", "button"] {
                for text in [attack.to_owned(), format!("<p>a</p>{attack}"), format!("/{attack}")] {
                    if let Ok((stored, _)) = run(kind, &payload(&text)) {
                        assert!(is_inert(kind, &stored), "{kind} of {text}: {stored}");
                    }
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// `run` normalises twice and compares.
        #[test]
        fn whatever_is_pasted_is_inert_and_stays_the_same(
            parts in prop::collection::vec(pieces(), 0..12),
            kind in prop::sample::select(vec!["text", "image", "youtube", "button"]),
        ) {
            if let Ok((stored, _)) = run(kind, &payload(&parts.concat())) {
                prop_assert!(is_inert(kind, &stored), "{}", stored);
            }
        }
    }
}
