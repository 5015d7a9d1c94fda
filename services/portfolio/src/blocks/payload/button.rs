use serde_json::json;

use super::{
    Fields, Normalised,
    url::{self, Rule},
};

pub(super) fn normalise(fields: &mut Fields) -> Normalised {
    let text = fields.text("text", 100);
    let url = url::read(fields, "url", Rule::WebOrMail);
    let is_empty = text.is_empty() || url.is_empty();
    Normalised::new(json!({ "text": text, "url": url }), is_empty)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{BlockType, tests::run};

    #[test]
    fn a_button_needs_text_and_address_and_never_runs_a_script() {
        let normalised = run(BlockType::Button, &json!({"text": "Buka", "url": "siti.github.io"})).unwrap();
        assert_eq!(normalised.payload, json!({"text": "Buka", "url": "https://siti.github.io"}));
        assert!(!normalised.is_empty);
        assert!(run(BlockType::Button, &json!({"text": "Buka"})).unwrap().is_empty);
        assert_eq!(run(BlockType::Button, &json!({"text": "x", "url": "javascript:alert(1)"})), Err(422));
    }
}
