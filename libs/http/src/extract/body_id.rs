use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, Unexpected, Visitor},
};
use uuid::Uuid;

use super::path::parse_id;

/// A UUID inside of a body, in the one spelling that ids have in paths; another one is 400 as any wrong type is.
///
/// In the OpenAPI document it is a UUID: `#[schema(value_type = Option<Uuid>)] user_id: Option<BodyId>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BodyId(pub Uuid);

impl From<BodyId> for Uuid {
    fn from(id: BodyId) -> Self {
        id.0
    }
}

impl<'de> Deserialize<'de> for BodyId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text)
    }
}

struct Text;

impl Visitor<'_> for Text {
    type Value = BodyId;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a hyphenated UUID")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<BodyId, E> {
        parse_id(text).map(BodyId).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let id = Uuid::now_v7();
        for text in [id.to_string(), id.to_string().to_uppercase(), id.to_string().replace('-', "\\u002d")] {
            assert_eq!(serde_json::from_str::<BodyId>(&format!("\"{text}\"")).unwrap(), BodyId(id), "{text}");
        }
        for bad in [
            format!("\"{{{id}}}\""),
            format!("\"urn:uuid:{id}\""),
            format!("\"{}\"", id.simple()),
            format!("\" {id}\""),
            format!("\"{}\"", "x".repeat(36)),
            "\"\"".to_owned(),
            "1".to_owned(),
            "[]".to_owned(),
        ] {
            assert!(serde_json::from_str::<BodyId>(&bad).is_err(), "{bad}");
        }
        let optional = |text| serde_json::from_str::<Option<BodyId>>(text);
        assert_eq!(optional("null").unwrap(), None);
        assert_eq!(serde_json::from_str::<Vec<BodyId>>(&format!("[\"{id}\"]")).unwrap(), [BodyId(id)]);
    }
}
