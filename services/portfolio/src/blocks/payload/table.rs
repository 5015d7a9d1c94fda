use serde_json::{Map, Value};

use super::{Fields, Normalised};

const MOST_ROWS: usize = 200;
const MOST_CELLS: usize = 20;
const LONGEST: usize = 1000;

/// Headers and rows of plain text. A missing key stays missing: the editor fills in two columns only then. The first
/// broken cell speaks for its key; there may be thousands.
pub(super) fn normalise(fields: &mut Fields) -> Normalised {
    let object = fields.object;
    let mut payload = Map::new();
    let mut is_empty = true;
    if let Some(headers) = object.get("headers").filter(|value| !value.is_null()) {
        let headers = cells(fields, "headers", headers).unwrap_or_default();
        is_empty &= blank(&headers);
        payload.insert("headers".to_owned(), headers.into());
    }
    if let Some(rows) = object.get("rows").filter(|value| !value.is_null()) {
        let rows = rows_of(fields, rows).unwrap_or_default();
        is_empty &= rows.iter().all(|row| blank(row));
        payload.insert("rows".to_owned(), rows.into());
    }
    Normalised::new(Value::Object(payload), is_empty)
}

/// `None` when something is broken, and `fields` says what.
fn rows_of(fields: &mut Fields, value: &Value) -> Option<Vec<Vec<String>>> {
    let Some(rows) = value.as_array() else {
        fields.error("rows", "Harus berupa daftar baris");
        return None;
    };
    if rows.len() > MOST_ROWS {
        fields.error("rows", format!("Maksimal {MOST_ROWS} baris"));
        return None;
    }
    rows.iter().map(|row| cells(fields, "rows", row)).collect()
}

/// `None` when something is broken, and `fields` says what.
fn cells(fields: &mut Fields, key: &str, value: &Value) -> Option<Vec<String>> {
    let Some(cells) = value.as_array() else {
        fields.error(key, "Harus berupa daftar teks");
        return None;
    };
    if cells.len() > MOST_CELLS {
        fields.error(key, format!("Maksimal {MOST_CELLS} kolom"));
        return None;
    }
    let mut texts = Vec::with_capacity(cells.len());
    for cell in cells {
        let Some(text) = cell.as_str() else {
            fields.error(key, "Harus berupa teks");
            return None;
        };
        texts.push(fields.checked(key, text, LONGEST)?);
    }
    Some(texts)
}

fn blank(cells: &[String]) -> bool {
    cells.iter().all(|cell| cell.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{BlockType, tests::run};

    #[test]
    fn missing_keys_stay_missing_and_empty_lists_stay_empty() {
        for payload in [json!({}), json!({"headers": []}), json!({"rows": [["a"], []]})] {
            assert_eq!(run(BlockType::Table, &payload).unwrap().payload, payload);
        }
        assert_eq!(run(BlockType::Table, &json!({"headers": null})).unwrap().payload, json!({}));
    }

    #[test]
    fn sizes_and_types_are_checked() {
        for payload in [
            json!({"headers": "a"}),
            json!({"headers": [1]}),
            json!({"headers": vec!["a"; 21]}),
            json!({"rows": vec![["a"]; 201]}),
            json!({"rows": ["a"]}),
            json!({"rows": [["a".repeat(1001)]]}),
        ] {
            assert_eq!(run(BlockType::Table, &payload), Err(422));
        }
    }

    #[test]
    fn a_table_of_blanks_is_empty() {
        assert!(run(BlockType::Table, &json!({"headers": [" "], "rows": [[""]]})).unwrap().is_empty);
        assert!(!run(BlockType::Table, &json!({"rows": [["", "x"]]})).unwrap().is_empty);
    }
}
