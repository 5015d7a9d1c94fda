//! Values of query strings: empty is absent, what cannot be read is 400.

use grafikarsa_http::{ApiError, ApiResult, parse_id};
use serde::{Deserialize, Deserializer};
use uuid::Uuid;

/// An id.
pub fn uuid(field: &str, value: Option<&str>) -> ApiResult<Option<Uuid>> {
    match value.map(str::trim) {
        None | Some("") => Ok(None),
        Some(text) => parse_id(text).map(Some).ok_or_else(|| ApiError::syntax(field, "ID tidak valid")),
    }
}

/// `true`/`1` or `false`/`0`.
pub fn boolean(field: &str, value: Option<&str>) -> ApiResult<Option<bool>> {
    match value.map(str::trim) {
        None | Some("") => Ok(None),
        Some("true" | "1") => Ok(Some(true)),
        Some("false" | "0") => Ok(Some(false)),
        Some(_) => Err(ApiError::syntax(field, "Nilai harus true atau false")),
    }
}

/// Ids separated by commas, `most` at the most.
pub fn uuids(field: &str, value: Option<&str>, most: usize) -> ApiResult<Vec<Uuid>> {
    let parts = value.unwrap_or_default().split(',').map(str::trim).filter(|part| !part.is_empty());
    let ids: Option<Vec<Uuid>> = parts.map(parse_id).collect();
    let mut ids = ids.ok_or_else(|| ApiError::syntax(field, "ID tidak valid"))?;
    if ids.len() > most {
        return Err(ApiError::syntax(field, format!("Maksimal {most} pilihan")));
    }
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

/// For ids in PATCH bodies that `null` and `""` clear: absent is `None`, cleared `Some(None)`.
pub fn clearable_uuid<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<Uuid>>, D::Error> {
    match Option::<String>::deserialize(deserializer)?.as_deref().map(str::trim) {
        None | Some("") => Ok(Some(None)),
        Some(text) => parse_id(text).map(|id| Some(Some(id))).ok_or_else(|| serde::de::Error::custom("no UUID")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_are_words_or_digits() {
        for (text, value) in [("", None), (" ", None), ("true", Some(true)), ("1", Some(true)), ("0", Some(false))] {
            assert_eq!(boolean("is_active", Some(text)).unwrap(), value, "{text}");
        }
        assert_eq!(boolean("is_active", Some("yes")).unwrap_err().status(), 400);
    }

    #[test]
    fn bad_ids_are_400_and_empty_ones_absent() {
        assert_eq!(uuid("user_id", Some("")).unwrap(), None);
        assert_eq!(uuid("user_id", Some("x")).unwrap_err().status(), 400);
        assert!(uuids("tag_ids", Some(" , "), 50).unwrap().is_empty());
        assert_eq!(uuids("tag_ids", Some("x"), 50).unwrap_err().status(), 400);
        let many = vec![Uuid::nil().to_string(); 51].join(",");
        assert_eq!(uuids("tag_ids", Some(&many), 50).unwrap_err().status(), 400);
    }
}
