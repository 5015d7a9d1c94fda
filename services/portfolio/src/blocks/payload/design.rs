use ::url::Url;
use serde_json::json;

use super::{
    BlockType, Fields, Normalised,
    url::{self, Rule},
};

/// Designs on Figma and Canva.
pub(super) fn normalise(fields: &mut Fields, block_type: BlockType) -> Normalised {
    let url = url::read(fields, "url", Rule::Https);
    let title = fields.text("title", 200);
    if !url.is_empty() && !is_design(&url, block_type) {
        fields.error("url", "Tautan desain tidak dikenali");
    }
    let is_empty = url.is_empty();
    Normalised::new(json!({ "url": url, "title": title }), is_empty)
}

fn is_design(address: &str, block_type: BlockType) -> bool {
    let host = url::host(address).unwrap_or_default();
    if block_type == BlockType::Figma {
        return matches!(host.as_str(), "figma.com" | "www.figma.com" | "embed.figma.com");
    }
    matches!(host.as_str(), "canva.com" | "www.canva.com")
        && Url::parse(address).is_ok_and(|url| url.path().starts_with("/design/"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{BlockType, tests::run};

    #[test]
    fn only_the_design_hosts_are_accepted() {
        assert!(run(BlockType::Figma, &json!({"url": "https://www.figma.com/file/x"})).is_ok());
        assert_eq!(run(BlockType::Figma, &json!({"url": "https://figma.com.evil.test/x"})), Err(422));
        assert!(run(BlockType::Canva, &json!({"url": "https://www.canva.com/design/x"})).is_ok());
        assert_eq!(run(BlockType::Canva, &json!({"url": "https://www.canva.com/x"})), Err(422));
    }
}
