use serde_json::json;

use super::{
    Context, Fields, Normalised,
    url::{self, Rule},
};
use crate::storage;

/// An address of our own storage must be an image of this very portfolio, unless the block shows it already.
pub(super) fn normalise(fields: &mut Fields, context: &Context) -> Normalised {
    let url = url::read(fields, "url", Rule::Web);
    let caption = fields.text("caption", 500);
    if let Some(key) = storage::key_of(context.storage_base, &url)
        && !storage::is_key_of(key, "portfolio-images", context.portfolio)
        && !context.unchanged("url", &url)
    {
        fields.error("url", "Gambar harus diunggah untuk portofolio ini");
    }
    let is_empty = url.is_empty();
    Normalised::new(json!({ "url": url, "caption": caption }), is_empty)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::super::{
        BlockType,
        tests::{PORTFOLIO, STORAGE, run},
    };

    #[test]
    fn images_of_other_portfolios_are_refused() {
        let address = |owner| format!("{STORAGE}/portfolio-images/{owner}/{}.webp", Uuid::from_u128(1));
        assert!(run(BlockType::Image, &json!({ "url": address(PORTFOLIO) })).is_ok());
        assert_eq!(run(BlockType::Image, &json!({ "url": address(Uuid::from_u128(8)) })), Err(422));
        assert_eq!(run(BlockType::Image, &json!({ "url": format!("{STORAGE}/staging/x") })), Err(422));
    }

    #[test]
    fn images_elsewhere_are_accepted_and_a_missing_caption_is_empty() {
        let normalised = run(BlockType::Image, &json!({ "url": "https://picsum.photos/1", "caption": null })).unwrap();
        assert_eq!(normalised.payload, json!({ "url": "https://picsum.photos/1", "caption": "" }));
        assert!(!normalised.is_empty);
        assert_eq!(run(BlockType::Image, &json!({ "caption": "x".repeat(501) })), Err(422));
    }
}
