//! Rules of the fields of a user. auth checks those of the account again: it has the last word.

use std::sync::LazyLock;

use grafikarsa_http::{FieldErrors, account_rules, clean};
use regex::Regex;

static NIS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("^[0-9A-Za-z./-]{1,30}$").ok());

fn matches(pattern: &LazyLock<Option<Regex>>, text: &str) -> bool {
    pattern.as_ref().is_some_and(|pattern| pattern.is_match(text))
}

pub fn username(errors: &mut FieldErrors, value: Option<&str>) -> String {
    let username = clean(value.unwrap_or_default()).to_lowercase();
    errors.check("username", account_rules::username(&username));
    username
}

pub fn email(errors: &mut FieldErrors, value: Option<&str>) -> String {
    let email = account_rules::normal_email(value.unwrap_or_default());
    errors.check("email", account_rules::email(&email));
    email
}

pub fn password(errors: &mut FieldErrors, value: Option<&str>) {
    errors.check("password", account_rules::new_password(value.unwrap_or_default()));
}

pub fn nisn(errors: &mut FieldErrors, value: Option<&str>) -> Option<String> {
    let nisn = clean(value?);
    if nisn.is_empty() {
        return None;
    }
    if nisn.len() > 20 || !nisn.bytes().all(|b| b.is_ascii_digit()) {
        errors.add("nisn", "NISN hanya boleh berisi angka, maksimal 20 digit");
    }
    Some(nisn.to_owned())
}

pub fn nis(errors: &mut FieldErrors, value: Option<&str>) -> Option<String> {
    let nis = clean(value?);
    if nis.is_empty() {
        return None;
    }
    if !matches(&NIS, nis) {
        errors.add("nis", "NIS hanya boleh berisi huruf, angka, titik, garis miring, dan strip, maksimal 30 karakter");
    }
    Some(nis.to_owned())
}

pub fn years(errors: &mut FieldErrors, masuk: Option<i32>, lulus: Option<i32>) {
    for (field, year) in [("tahun_masuk", masuk), ("tahun_lulus", lulus)] {
        if year.is_some_and(|year| !(2000..=2100).contains(&year)) {
            errors.add(field, "Tahun harus antara 2000 dan 2100");
        }
    }
    if let (Some(masuk), Some(lulus)) = (masuk, lulus)
        && lulus < masuk
    {
        errors.add("tahun_lulus", "Tahun lulus tidak boleh sebelum tahun masuk");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(rule: impl FnOnce(&mut FieldErrors)) -> bool {
        let mut errors = FieldErrors::new();
        rule(&mut errors);
        !errors.is_empty()
    }

    #[test]
    fn user_names() {
        for name in ["siti_01", "abc", "  SITI  "] {
            assert!(!broken(|errors| drop(username(errors, Some(name)))), "{name}");
        }
        for name in ["", "ab", "a-b-c", "siti nur", "admin", "feed", &"x".repeat(31)] {
            assert!(broken(|errors| drop(username(errors, Some(name)))), "{name}");
        }
    }

    #[test]
    fn addresses_and_passwords() {
        assert_eq!(email(&mut FieldErrors::new(), Some(" Siti@Sekolah.SCH.id ")), "siti@sekolah.sch.id");
        for text in ["", "x", "a@b@c.test", "a b@c.test"] {
            assert!(broken(|errors| drop(email(errors, Some(text)))), "{text}");
        }
        assert!(!broken(|errors| password(errors, Some("  rahasia"))));
        assert!(broken(|errors| password(errors, Some("pendek7"))));
        assert!(broken(|errors| password(errors, Some(&"é".repeat(37)))));
    }

    #[test]
    fn numbers_and_years() {
        assert_eq!(nis(&mut FieldErrors::new(), Some(" 25327/004.99-1 ")).as_deref(), Some("25327/004.99-1"));
        assert_eq!(nisn(&mut FieldErrors::new(), Some(" ")), None);
        assert!(broken(|errors| drop(nisn(errors, Some("00981x")))));
        assert!(broken(|errors| drop(nis(errors, Some("a b")))));
        assert!(broken(|errors| years(errors, Some(1999), None)));
        assert!(broken(|errors| years(errors, Some(2024), Some(2023))));
        assert!(!broken(|errors| years(errors, Some(2023), Some(2026))));
    }
}
