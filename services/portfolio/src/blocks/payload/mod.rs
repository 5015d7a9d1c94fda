//! What blocks hold. A payload is never stored as it comes: each type has a file that brings it into its one form.
//! Normalising twice gives the same, because the editor sends back what it was given.

use grafikarsa_http::FieldErrors;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::storage::Key;

mod button;
mod design;
mod document;
mod embed;
#[cfg(test)]
pub mod hostile;
mod image;
mod table;
pub mod text;
pub mod url;
pub mod youtube;

/// Bytes of a payload as JSON.
const LARGEST: usize = 256 * 1024;

/// The kinds of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockType {
    Text,
    Image,
    Table,
    Youtube,
    Button,
    Embed,
    Figma,
    Canva,
    Ppt,
    Pdf,
    Doc,
}

impl BlockType {
    const ALL: [Self; 11] = [
        Self::Text,
        Self::Image,
        Self::Table,
        Self::Youtube,
        Self::Button,
        Self::Embed,
        Self::Figma,
        Self::Canva,
        Self::Ppt,
        Self::Pdf,
        Self::Doc,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Image => "image",
            Self::Table => "table",
            Self::Youtube => "youtube",
            Self::Button => "button",
            Self::Embed => "embed",
            Self::Figma => "figma",
            Self::Canva => "canva",
            Self::Ppt => "ppt",
            Self::Pdf => "pdf",
            Self::Doc => "doc",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|block_type| block_type.as_str() == text)
    }
}

/// What a payload may refer to.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    pub portfolio: Uuid,
    pub storage_base: &'a str,
    pub own_hosts: &'a [String],
    /// The payload stored so far: an address that it holds already may stay.
    pub before: Option<&'a Value>,
}

impl Context<'_> {
    fn unchanged(&self, key: &str, value: &str) -> bool {
        self.before.and_then(|before| before.get(key)?.as_str()) == Some(value)
    }
}

/// A payload in the form in which it is stored and returned.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalised {
    pub payload: Value,
    /// Nobody would see anything.
    pub is_empty: bool,
    /// The beginning of a text.
    pub preview: Option<String>,
    /// A stored document that must be a confirmed upload of this portfolio, of one of these content types.
    pub document: Option<(Key, &'static [&'static str])>,
}

impl Normalised {
    fn new(payload: Value, is_empty: bool) -> Self {
        Self { payload, is_empty, preview: None, document: None }
    }
}

/// Brings `payload` into its form. Broken rules go to `errors`; the result is of no use then.
pub fn normalise(errors: &mut FieldErrors, block_type: BlockType, payload: &Value, context: &Context) -> Normalised {
    let empty = Map::new();
    let object = payload.as_object().unwrap_or_else(|| {
        errors.add("payload", "Payload harus berupa objek");
        &empty
    });
    if payload.to_string().len() > LARGEST {
        errors.add("payload", "Payload maksimal 256 KiB");
    }
    let mut fields = Fields { path: "payload", object, errors };
    match block_type {
        BlockType::Text => text::normalise(&mut fields),
        BlockType::Image => image::normalise(&mut fields, context),
        BlockType::Table => table::normalise(&mut fields),
        BlockType::Youtube => youtube::normalise(&mut fields),
        BlockType::Button => button::normalise(&mut fields),
        BlockType::Embed => embed::normalise(&mut fields, context),
        BlockType::Figma | BlockType::Canva => design::normalise(&mut fields, block_type),
        BlockType::Ppt | BlockType::Pdf | BlockType::Doc => document::normalise(&mut fields, block_type, context),
    }
}

/// The keys of a payload, read one by one.
pub struct Fields<'a> {
    /// Where the payload stands in the request.
    pub path: &'a str,
    pub object: &'a Map<String, Value>,
    pub errors: &'a mut FieldErrors,
}

impl Fields<'_> {
    pub fn error(&mut self, key: &str, message: impl Into<String>) {
        self.errors.add(format!("{}.{key}", self.path), message);
    }

    /// A text as typed, `most` characters at the most. Missing and `null` are the empty text.
    fn raw(&mut self, key: &str, most: usize) -> String {
        match self.object.get(key) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => self.checked(key, text, most).unwrap_or_default(),
            Some(_) => {
                self.error(key, "Harus berupa teks");
                String::new()
            }
        }
    }

    /// A text without the white space around it.
    pub fn text(&mut self, key: &str, most: usize) -> String {
        self.raw(key, most).trim().to_owned()
    }

    /// `None` when the text breaks a rule, and the errors say so.
    fn checked(&mut self, key: &str, text: &str, most: usize) -> Option<String> {
        if text.contains('\0') {
            self.error(key, "Berisi karakter yang tidak diperbolehkan");
            return None;
        }
        let text = without_controls(text);
        if text.trim().chars().count() > most {
            self.error(key, format!("Maksimal {most} karakter"));
            return None;
        }
        Some(text)
    }
}

/// Pasted text carries all sorts of control characters, which must not stop a save.
fn without_controls(text: &str) -> String {
    text.replace("\r\n", "\n").chars().filter(|&c| !c.is_control() || c == '\n' || c == '\t').collect()
}

#[cfg(test)]
pub mod tests {
    use serde_json::json;

    use super::*;

    pub const PORTFOLIO: Uuid = Uuid::from_u128(7);
    pub const STORAGE: &str = "https://storage.grafikarsa.com";

    /// The normalised payload, or the broken fields.
    pub fn run(block_type: BlockType, payload: &Value) -> Result<Normalised, u16> {
        let hosts = ["grafikarsa.com".to_owned(), "storage.grafikarsa.com".to_owned()];
        let context = Context { portfolio: PORTFOLIO, storage_base: STORAGE, own_hosts: &hosts, before: None };
        let mut errors = FieldErrors::new();
        let normalised = normalise(&mut errors, block_type, payload, &context);
        errors.finish().map_err(|error| error.status().as_u16())?;
        let again = normalise(&mut FieldErrors::new(), block_type, &normalised.payload, &context);
        assert_eq!(again, normalised, "normalising twice gives the same");
        Ok(normalised)
    }

    #[test]
    fn empty_payloads_are_legal_for_every_type() {
        for block_type in BlockType::ALL {
            assert!(run(block_type, &json!({})).unwrap().is_empty, "{block_type:?}");
        }
    }

    #[test]
    fn what_is_no_object_or_has_a_wrong_type_is_refused() {
        for block_type in BlockType::ALL {
            assert_eq!(run(block_type, &json!([])), Err(422));
        }
        assert_eq!(run(BlockType::Text, &json!({"content": 1})), Err(422));
        assert_eq!(run(BlockType::Image, &json!({"url": {}})), Err(422));
    }

    #[test]
    fn unknown_keys_are_dropped_control_characters_removed_and_nul_refused() {
        let normalised = run(BlockType::Text, &json!({"content": "a\r\nb\u{7}", "style": "x"})).unwrap();
        assert_eq!(normalised.payload, json!({"content": "a\nb"}));
        assert_eq!(run(BlockType::Text, &json!({"content": "a\0"})), Err(422));
    }

    #[test]
    fn a_payload_above_256_kib_is_refused() {
        assert_eq!(run(BlockType::Text, &json!({"x": "x".repeat(LARGEST)})), Err(422));
    }
}
