use serde_json::json;

use super::{
    BlockType, Context, Fields, Normalised,
    url::{self, Place, Rule},
};
use crate::storage;

const PDF: &[&str] = &["application/pdf"];
const DOC: &[&str] = &["application/msword", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"];
const PPT: &[&str] =
    &["application/vnd.ms-powerpoint", "application/vnd.openxmlformats-officedocument.presentationml.presentation"];

/// Documents: uploads of this portfolio, or on one of the usual services. Whether an upload is confirmed and of the
/// right type is left to the caller, who can ask.
pub(super) fn normalise(fields: &mut Fields, block_type: BlockType, context: &Context) -> Normalised {
    let text = fields.text("url", 2048);
    let stored = storage::path_of(context.storage_base, &text).is_some();
    // The storage of a development machine has no https.
    let mut url = url::read(fields, "url", if stored { Rule::Web } else { Rule::Https });
    let title = fields.text("title", 200);
    let filename = fields.text("filename", 255);
    let mut document = None;
    if !url.is_empty() && !context.unchanged("url", &url) {
        match url::place(&url, "documents", context) {
            Place::Elsewhere if is_known_host(&url) => {}
            Place::Elsewhere => fields.error("url", "Tautan dokumen tidak dikenali"),
            Place::Own(key, spelled) => {
                document = Some((key, content_types(block_type)));
                url = spelled;
            }
            Place::Foreign => fields.error("url", "Dokumen harus diunggah untuk portofolio ini"),
        }
    }
    let is_empty = url.is_empty();
    let payload = json!({ "url": url, "title": title, "filename": filename });
    Normalised { document, ..Normalised::new(payload, is_empty) }
}

fn content_types(block_type: BlockType) -> &'static [&'static str] {
    match block_type {
        BlockType::Doc => DOC,
        BlockType::Ppt => PPT,
        _ => PDF,
    }
}

fn is_known_host(address: &str) -> bool {
    let host = url::host(address).unwrap_or_default();
    matches!(host.as_str(), "docs.google.com" | "drive.google.com" | "onedrive.live.com" | "1drv.ms")
        || host.ends_with(".sharepoint.com")
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::{
        super::tests::{PORTFOLIO, STORAGE, run},
        *,
    };

    #[test]
    fn documents_come_from_this_portfolio_or_from_known_hosts() {
        assert!(run(BlockType::Pdf, &json!({"url": "https://drive.google.com/file/x"})).is_ok());
        assert!(run(BlockType::Doc, &json!({"url": "https://smk.sharepoint.com/x"})).is_ok());
        assert_eq!(run(BlockType::Ppt, &json!({"url": "https://evil.test/x.ppt"})), Err(422));
        let own = format!("documents/{PORTFOLIO}/{}.pdf", Uuid::from_u128(1));
        let key = storage::Key::of(&own, "documents", PORTFOLIO).unwrap();
        for start in [STORAGE, "https://Storage.grafikarsa.com:443", "https://storage.grafikarsa.com//"] {
            let normalised = run(BlockType::Pdf, &json!({ "url": format!("{start}/{own}") })).unwrap();
            assert_eq!(normalised.payload["url"], format!("{STORAGE}/{own}"), "{start}");
            assert_eq!(normalised.document, Some((key.clone(), PDF)), "{start}");
        }
        let foreign = format!("{STORAGE}/documents/{}/{}.pdf", Uuid::from_u128(8), Uuid::from_u128(1));
        assert_eq!(run(BlockType::Pdf, &json!({ "url": foreign })), Err(422));
    }
}
