//! The body of a message: what is sent, and the rules that it keeps.

use grafikarsa_http::{ApiError, ApiResult, BodyId, FieldErrors, parse_id};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::MessageType;
use crate::storage::{self, Key};

/// Most characters of a text.
const TEXT_CHARS: usize = 5_000;
/// Most characters below a picture or a portfolio.
const CAPTION_CHARS: usize = 1_000;
/// So many characters of a text stand in the list of conversations.
const PREVIEW_CHARS: usize = 100;

#[derive(Debug, Deserialize, ToSchema)]
pub struct NewMessage {
    /// `text`, `image` or `portfolio`.
    #[schema(required = true, value_type = String)]
    message_type: Option<String>,
    /// `text` of 1 to 5000 characters; for a picture `object_key` or `url`, for a portfolio `portfolio_id`, both with a
    /// `text` of 1000 characters at the most, if any.
    #[schema(required = true, value_type = Object)]
    content: Option<Map<String, Value>>,
    /// A message of the same conversation.
    #[schema(value_type = Option<Uuid>)]
    reply_to_id: Option<BodyId>,
    /// The same id again is the same message, not another one.
    #[schema(value_type = Option<Uuid>)]
    client_message_id: Option<BodyId>,
}

/// A message that keeps the rules of its fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    pub content: Content,
    pub reply_to: Option<Uuid>,
    pub client_message_id: Option<Uuid>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    Text(String),
    Image { key: Key, text: Option<String> },
    Portfolio { id: Uuid, text: Option<String> },
}

impl NewMessage {
    /// What `sender` wants to say.
    pub fn check(self, sender: Uuid, storage_base: &str) -> ApiResult<Draft> {
        let mut errors = FieldErrors::new();
        let kind = match self.message_type.as_deref() {
            Some("text") => Some(MessageType::Text),
            Some("image") => Some(MessageType::Image),
            Some("portfolio") => Some(MessageType::Portfolio),
            _ => None,
        };
        if kind.is_none() {
            errors.add("message_type", "Jenis pesan harus text, image, atau portfolio");
        }
        let content = match (kind, &self.content) {
            (_, None) => {
                errors.add("content", "Isi pesan wajib diisi");
                None
            }
            (None, Some(_)) => None,
            (Some(MessageType::Text), Some(fields)) => text(&mut errors, fields)?,
            (Some(MessageType::Image), Some(fields)) => image(&mut errors, fields, sender, storage_base)?,
            (Some(MessageType::Portfolio), Some(fields)) => portfolio(&mut errors, fields)?,
        };
        errors.finish()?;
        let content = content.ok_or_else(|| ApiError::internal(anyhow::anyhow!("a message without content")))?;
        let [reply_to, client_message_id] = [self.reply_to_id, self.client_message_id].map(|id| id.map(Uuid::from));
        Ok(Draft { content, reply_to, client_message_id })
    }
}

fn text(errors: &mut FieldErrors, fields: &Map<String, Value>) -> ApiResult<Option<Content>> {
    let text = string(fields, "text")?.unwrap_or_default();
    if text.trim().is_empty() {
        errors.add("content.text", "Pesan wajib diisi");
    }
    errors.check("content.text", sendable("Pesan", text, TEXT_CHARS));
    Ok(Some(Content::Text(text.to_owned())))
}

fn image(
    errors: &mut FieldErrors,
    fields: &Map<String, Value>,
    sender: Uuid,
    storage_base: &str,
) -> ApiResult<Option<Content>> {
    let text = caption(errors, fields)?;
    let (key, url) = (string(fields, "object_key")?, string(fields, "url")?);
    let (field, path) = match (key, url) {
        (Some(key), _) => ("content.object_key", Some(key.to_owned())),
        (None, Some(url)) => ("content.url", storage::path_of(storage_base, url)),
        (None, None) => {
            errors.add("content.object_key", "Gambar wajib diisi");
            return Ok(None);
        }
    };
    let Some(key) = path.and_then(|path| Key::of(&path, "chat-images", sender)) else {
        errors.add(field, "Gambar harus diunggah oleh pengirim untuk pesan");
        return Ok(None);
    };
    Ok(Some(Content::Image { key, text }))
}

fn portfolio(errors: &mut FieldErrors, fields: &Map<String, Value>) -> ApiResult<Option<Content>> {
    let text = caption(errors, fields)?;
    let Some(id) = string(fields, "portfolio_id")? else {
        errors.add("content.portfolio_id", "Portofolio wajib diisi");
        return Ok(None);
    };
    let id = parse_id(id).ok_or_else(|| ApiError::syntax("content.portfolio_id", "ID tidak valid"))?;
    Ok(Some(Content::Portfolio { id, text }))
}

/// Absent and empty are the same.
fn caption(errors: &mut FieldErrors, fields: &Map<String, Value>) -> ApiResult<Option<String>> {
    let text = string(fields, "text")?.unwrap_or_default();
    errors.check("content.text", sendable("Keterangan", text, CAPTION_CHARS));
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

/// A text is sent as it is: neither trimmed nor cleaned.
fn sendable(label: &str, text: &str, most: usize) -> Result<(), String> {
    if text.chars().count() > most {
        return Err(format!("{label} maksimal {most} karakter"));
    }
    if text.contains('\0') {
        return Err(format!("{label} berisi karakter yang tidak diperbolehkan"));
    }
    Ok(())
}

fn string<'a>(fields: &'a Map<String, Value>, name: &str) -> ApiResult<Option<&'a str>> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(ApiError::syntax(format!("content.{name}"), "Tipe data tidak sesuai")),
    }
}

/// What the list of conversations shows of a message.
pub fn preview(kind: MessageType, text: Option<&str>) -> String {
    match kind {
        MessageType::Image => "Mengirim gambar".to_owned(),
        MessageType::Portfolio => "Membagikan portofolio".to_owned(),
        MessageType::Text => {
            let text = text.unwrap_or_default();
            match text.char_indices().nth(PREVIEW_CHARS) {
                Some((end, _)) => format!("{}...", &text[..end]),
                None => text.to_owned(),
            }
        }
    }
}

impl Draft {
    /// A plain text, or what is wrong with it.
    pub fn text(text: &str, client_message_id: Option<Uuid>) -> Result<Self, String> {
        sendable("Pesan", text, TEXT_CHARS)?;
        Ok(Self { content: Content::Text(text.to_owned()), reply_to: None, client_message_id })
    }
}

impl Content {
    pub fn kind(&self) -> MessageType {
        match self {
            Self::Text(_) => MessageType::Text,
            Self::Image { .. } => MessageType::Image,
            Self::Portfolio { .. } => MessageType::Portfolio,
        }
    }

    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Image { text, .. } | Self::Portfolio { text, .. } => text.as_deref(),
        }
    }

    pub fn picture(&self) -> Option<&Key> {
        match self {
            Self::Image { key, .. } => Some(key),
            _ => None,
        }
    }

    pub fn object_key(&self) -> Option<String> {
        self.picture().map(Key::to_string)
    }

    pub fn portfolio(&self) -> Option<Uuid> {
        match self {
            Self::Portfolio { id, .. } => Some(*id),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const STORAGE: &str = "https://storage.grafikarsa.com";
    const SENDER: Uuid = Uuid::from_u128(7);

    fn check(message_type: &str, content: Value) -> ApiResult<Draft> {
        let body = json!({ "message_type": message_type, "content": content });
        serde_json::from_value::<NewMessage>(body).unwrap().check(SENDER, STORAGE)
    }

    fn status(message_type: &str, content: Value) -> u16 {
        check(message_type, content).map_or_else(|error| error.status().as_u16(), |_| 201)
    }

    #[test]
    fn texts_have_1_to_5000_characters_and_stay_as_they_are() {
        let text = "  <b>Halo</b>\r\n\u{7}\u{200B} ";
        assert_eq!(check("text", json!({ "text": text })).unwrap().content, Content::Text(text.to_owned()));
        for (text, expected) in [
            ("x".to_owned(), 201),
            ("é".repeat(5000), 201),
            ("é".repeat(5001), 422),
            (String::new(), 422),
            (" \n\t\u{3000}".to_owned(), 422),
            ("a\0b".to_owned(), 422),
        ] {
            assert_eq!(status("text", json!({ "text": text })), expected, "{text:?}");
        }
        assert_eq!(status("text", json!({})), 422);
        assert_eq!(status("text", json!({ "text": null })), 422);
        assert_eq!(status("text", json!({ "text": 1 })), 400);
    }

    #[test]
    fn other_keys_of_the_content_are_dropped() {
        let content = json!({ "text": "x", "object_key": 1, "portfolio_id": "no id", "url": [] });
        assert_eq!(check("text", content).unwrap().content, Content::Text("x".to_owned()));
    }

    #[test]
    fn other_types_are_refused() {
        for kind in ["system", "", "TEXT", " text", "video"] {
            assert_eq!(status(kind, json!({ "text": "x" })), 422, "{kind}");
        }
    }

    #[test]
    fn a_picture_is_the_senders_own_by_key_or_by_address() {
        let key = |folder: &str, owner: Uuid| format!("{folder}/{owner}/{}.webp", Uuid::from_u128(1));
        let own = key("chat-images", SENDER);
        let by_key = check("image", json!({ "object_key": own })).unwrap();
        assert_eq!(by_key.content.object_key(), Some(own.clone()));
        for url in [format!("{STORAGE}/{own}"), format!("https://STORAGE.grafikarsa.com:443/{own}?w=640")] {
            assert_eq!(check("image", json!({ "url": url })).unwrap(), by_key, "{url}");
        }
        for foreign in [key("chat-images", Uuid::from_u128(8)), key("avatars", SENDER), "x".to_owned(), String::new()] {
            assert_eq!(status("image", json!({ "object_key": foreign })), 422, "{foreign}");
            assert_eq!(status("image", json!({ "url": format!("{STORAGE}/{foreign}") })), 422, "{foreign}");
        }
        for url in [format!("https://elsewhere.test/{own}"), format!("{STORAGE}.elsewhere.test/{own}"), own.clone()] {
            assert_eq!(status("image", json!({ "url": url })), 422, "{url}");
        }
        assert_eq!(status("image", json!({ "text": "x" })), 422);
        assert_eq!(status("image", json!({ "object_key": own, "text": "x".repeat(1001) })), 422);
        assert_eq!(status("image", json!({ "object_key": 1 })), 400);
        assert_eq!(status("image", json!({ "object_key": own, "text": "é".repeat(1000) })), 201);
        let captioned = check("image", json!({ "object_key": own, "text": " x " })).unwrap().content;
        assert_eq!(captioned.text(), Some(" x "));
    }

    #[test]
    fn a_portfolio_is_named_by_its_id() {
        let id = Uuid::from_u128(1);
        let empty = check("portfolio", json!({ "portfolio_id": id, "text": "" })).unwrap();
        assert_eq!(empty.content, Content::Portfolio { id, text: None });
        assert_eq!(status("portfolio", json!({ "portfolio_id": "x" })), 400);
        assert_eq!(status("portfolio", json!({ "portfolio_id": null })), 422);
        assert_eq!(status("portfolio", json!({ "portfolio_id": id, "text": "a\0" })), 422);
        assert_eq!(status("portfolio", json!({ "portfolio_id": id, "text": "é".repeat(1000) })), 201);
        assert_eq!(status("portfolio", json!({ "portfolio_id": id, "text": "é".repeat(1001) })), 422);
        for other in [id.simple().to_string(), id.urn().to_string(), id.braced().to_string()] {
            assert_eq!(status("portfolio", json!({ "portfolio_id": other })), 400, "{other}");
        }
    }

    #[test]
    fn a_preview_has_100_characters_and_is_cut_between_them() {
        assert_eq!(preview(MessageType::Text, Some("Halo")), "Halo");
        assert_eq!(preview(MessageType::Text, Some(&"é".repeat(100))), "é".repeat(100));
        assert_eq!(preview(MessageType::Text, Some(&"👍".repeat(101))), format!("{}...", "👍".repeat(100)));
        assert_eq!(preview(MessageType::Image, Some("rahasia")), "Mengirim gambar");
        assert_eq!(preview(MessageType::Portfolio, None), "Membagikan portofolio");
    }
}
