use serde_json::json;

use super::{
    Context, Fields, Normalised,
    url::{self, Place, Rule},
};

/// An address of our own storage must be an image of this very portfolio, unless the block shows it already.
pub(super) fn normalise(fields: &mut Fields, context: &Context) -> Normalised {
    let mut url = url::read(fields, "url", Rule::Web);
    let caption = fields.text("caption", 500);
    if !context.unchanged("url", &url) {
        match url::place(&url, "portfolio-images", context) {
            Place::Elsewhere => {}
            Place::Own(_, spelled) => url = spelled,
            Place::Foreign => fields.error("url", "Gambar harus diunggah untuk portofolio ini"),
        }
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
    fn no_spelling_of_our_own_storage_escapes_the_rule() {
        let path = |owner: Uuid| format!("portfolio-images/{owner}/{}.webp", Uuid::from_u128(1));
        let (own, foreign) = (path(PORTFOLIO), path(Uuid::from_u128(8)));
        let starts = [
            "https://STORAGE.grafikarsa.com/",
            "storage.grafikarsa.com/",
            "https://storage.grafikarsa.com./",
            "https://storage.grafikarsa.com:443/",
            "http://storage.grafikarsa.com:80/",
            "http://storage.grafikarsa.com/",
            "https://storage.grafikarsa.com/x/../",
            "https://storage.grafikarsa.com//",
            "https://storage.grafikarsa.com/%2e/",
        ];
        let spelled = |path: &str| {
            let escaped = format!("{STORAGE}/{}", path.replace('.', "%2e"));
            starts.iter().map(|start| format!("{start}{path}")).chain([escaped]).collect::<Vec<_>>()
        };
        for url in spelled(&foreign) {
            assert_eq!(run(BlockType::Image, &json!({ "url": url })), Err(422), "{url}");
        }
        // What is ours is stored in one spelling, so that two blocks that show it can be seen to do so.
        for url in spelled(&own) {
            let normalised = run(BlockType::Image, &json!({ "url": format!("{url}?w=640") })).unwrap();
            assert_eq!(normalised.payload["url"], format!("{STORAGE}/{own}?w=640"), "{url}");
        }
        assert_eq!(run(BlockType::Image, &json!({ "url": format!("{STORAGE}/%2e%2e/{foreign}") })), Err(422));
        assert_eq!(run(BlockType::Image, &json!({ "url": STORAGE })), Err(422));
    }

    #[test]
    fn images_elsewhere_are_accepted_and_a_missing_caption_is_empty() {
        let normalised = run(BlockType::Image, &json!({ "url": "https://picsum.photos/1", "caption": null })).unwrap();
        assert_eq!(normalised.payload, json!({ "url": "https://picsum.photos/1", "caption": "" }));
        assert!(!normalised.is_empty);
        assert_eq!(run(BlockType::Image, &json!({ "caption": "x".repeat(501) })), Err(422));
    }
}
