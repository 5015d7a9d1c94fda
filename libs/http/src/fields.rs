//! Field rules that return every broken field at once.

use std::ops::RangeInclusive;

use crate::{ApiError, FieldError};

/// Collects broken fields; [`FieldErrors::finish`] makes the one 422 of them.
#[derive(Debug, Default)]
pub struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one; of several for the same field the first stays. The message is Indonesian.
    pub fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        let field = field.into();
        if self.0.iter().all(|known| known.field != field) {
            self.0.push(FieldError { field, message: message.into() });
        }
    }

    /// Adds `field` if its rule is broken.
    pub fn check(&mut self, field: impl Into<String>, rule: Result<(), impl Into<String>>) {
        if let Err(message) = rule {
            self.add(field, message);
        }
    }

    /// True when nothing is broken.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Ends the check.
    ///
    /// # Errors
    /// 422 `VALIDATION_ERROR` with all broken fields, if there is any.
    pub fn finish(self) -> Result<(), ApiError> {
        if self.0.is_empty() { Ok(()) } else { Err(ApiError::invalid(self.0)) }
    }
}

/// A text without the white space around it.
pub fn clean(text: &str) -> &str {
    text.trim()
}

/// A text of several lines as it is kept: trimmed, with `\n` as the end of a line, and without the other control characters
/// that pasted text carries. NUL stays, to be refused.
fn clean_lines(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let kept: String = text.chars().filter(|&c| !c.is_control() || matches!(c, '\n' | '\t' | '\0')).collect();
    clean(&kept).to_owned()
}

/// A required text of several lines: trimmed, counted in Unicode characters. Line ends become `\n`; control characters other
/// than that and `\t` are left out, and NUL is refused.
///
/// `label` is the field's Indonesian name for the message. When the rule is broken the result is of no use, and
/// `errors` says so.
pub fn required_text(
    errors: &mut FieldErrors,
    field: &str,
    label: &str,
    value: Option<&str>,
    length: RangeInclusive<usize>,
) -> String {
    let text = clean_lines(value.unwrap_or_default());
    if text.is_empty() && *length.start() > 0 {
        errors.add(field, format!("{label} wajib diisi"));
    } else {
        check_text(errors, field, label, &text, length);
    }
    text
}

/// A required text of one line, such as a name: as [`required_text`], and without any control character.
pub fn required_line(
    errors: &mut FieldErrors,
    field: &str,
    label: &str,
    value: Option<&str>,
    length: RangeInclusive<usize>,
) -> String {
    let text = clean(value.unwrap_or_default());
    if text.chars().any(char::is_control) {
        errors.add(field, format!("{label} berisi karakter yang tidak diperbolehkan"));
        return text.to_owned();
    }
    required_text(errors, field, label, Some(text), length)
}

/// A text that may be absent, `null` or empty, which all mean `None`; otherwise as [`required_text`].
pub fn optional_text(
    errors: &mut FieldErrors,
    field: &str,
    label: &str,
    value: Option<&str>,
    length: RangeInclusive<usize>,
) -> Option<String> {
    let text = clean_lines(value?);
    if text.is_empty() {
        return None;
    }
    check_text(errors, field, label, &text, length);
    Some(text)
}

fn check_text(errors: &mut FieldErrors, field: &str, label: &str, text: &str, length: RangeInclusive<usize>) {
    let characters = text.chars().count();
    if characters < *length.start() {
        errors.add(field, format!("{label} minimal {} karakter", length.start()));
    } else if characters > *length.end() {
        errors.add(field, format!("{label} maksimal {} karakter", length.end()));
    } else if text.contains('\0') {
        errors.add(field, format!("{label} berisi karakter yang tidak diperbolehkan"));
    }
}

/// A search text as a pattern for `ilike`: trimmed, with `%`, `_` and `\` as literal characters; `None` when empty.
///
/// # Errors
/// 400 `VALIDATION_ERROR` for more than 100 characters or NUL.
pub fn search_text(field: &str, value: Option<&str>) -> Result<Option<String>, ApiError> {
    let text = clean(value.unwrap_or_default());
    if text.is_empty() {
        return Ok(None);
    }
    if text.chars().count() > 100 || text.contains('\0') {
        return Err(ApiError::syntax(field, "Kata kunci pencarian maksimal 100 karakter"));
    }
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    Ok(Some(pattern))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_trimmed_and_counted_in_characters() {
        let mut errors = FieldErrors::new();
        assert_eq!(required_text(&mut errors, "judul", "Judul", Some("  日本語  "), 1..=3), "日本語");
        assert!(errors.is_empty());
    }

    #[test]
    fn a_line_has_no_control_characters() {
        for text in ["Budi\tSantoso", "Budi\nSantoso", "Budi\0"] {
            let mut errors = FieldErrors::new();
            required_line(&mut errors, "nama", "Nama", Some(text), 2..=100);
            assert_eq!(errors.0.len(), 1, "{text:?}");
        }
        let mut errors = FieldErrors::new();
        assert_eq!(required_line(&mut errors, "nama", "Nama", Some(" Budi\n"), 2..=100), "Budi");
        assert!(errors.is_empty());
    }

    #[test]
    fn pasted_lines_are_kept_without_the_control_characters_around_them() {
        let mut errors = FieldErrors::new();
        for (typed, kept) in [
            (" Satu\r\nDua\r\n", "Satu\nDua"),
            ("Satu\rDua", "Satu\nDua"),
            ("Satu\n\tDua", "Satu\n\tDua"),
            ("\u{7}Satu\u{b}\u{85} \u{1b}", "Satu"),
        ] {
            assert_eq!(required_text(&mut errors, "pesan", "Pesan", Some(typed), 4..=9), kept, "{typed:?}");
            assert_eq!(
                optional_text(&mut errors, "bio", "Bio", Some(typed), 4..=9).as_deref(),
                Some(kept),
                "{typed:?}"
            );
        }
        assert_eq!(optional_text(&mut errors, "bio", "Bio", Some("\r\n\u{7}"), 1..=9), None);
        assert!(errors.is_empty());
        optional_text(&mut errors, "bio", "Bio", Some("a\0b"), 0..=9);
        assert_eq!(errors.0.len(), 1);
    }

    #[test]
    fn every_broken_field_is_reported_and_the_first_speaks() {
        let mut errors = FieldErrors::new();
        required_text(&mut errors, "judul", "Judul", Some("   "), 1..=200);
        required_text(&mut errors, "nama", "Nama", Some("a\0b"), 1..=200);
        optional_text(&mut errors, "bio", "Bio", Some(&"x".repeat(501)), 0..=500);
        errors.add("bio", "Once is enough");
        assert_eq!(errors.0.iter().map(|e| e.field.as_str()).collect::<Vec<_>>(), ["judul", "nama", "bio"]);
        assert_eq!(errors.finish().unwrap_err().status(), 422);
    }

    #[test]
    fn search_wildcards_are_literal() {
        assert_eq!(search_text("search", Some(" 50%_a\\ ")).unwrap().unwrap(), "%50\\%\\_a\\\\%");
        assert_eq!(search_text("search", Some("  ")).unwrap(), None);
        assert_eq!(search_text("search", Some(&"x".repeat(101))).unwrap_err().status(), 400);
    }
}
