//! What a user name, an e-mail address and a new password may be, wherever they are set: portfolio checks them where
//! people type them, and auth, which has the last word, checks them again. Messages are for the person at the screen.

use email_address::{EmailAddress, Options};

/// Root paths of the web client: profiles live in the same URL space.
const RESERVED: [&str; 16] = [
    "admin",
    "api",
    "login",
    "users",
    "portfolios",
    "notifications",
    "changelog",
    "images",
    "_next",
    "feed",
    "search",
    "me",
    "logout",
    "register",
    "null",
    "undefined",
];

/// Fewest characters of a password.
pub const PASSWORD_MIN_CHARS: usize = 8;
/// Most bytes of a password.
pub const PASSWORD_MAX_BYTES: usize = 72;
const EMAIL_MAX_CHARS: usize = 255;

/// Kept, or the message that says what is wrong.
pub type Rule = Result<(), &'static str>;

/// The rule for everybody's user name.
///
/// # Errors
/// The message.
pub fn username(name: &str) -> Rule {
    username_form(name)?;
    if RESERVED.contains(&name) {
        return Err("Username ini tidak dapat digunakan");
    }
    Ok(())
}

/// The rule without the reserved names: the first admin may be called `admin`.
///
/// # Errors
/// The message.
pub fn username_form(name: &str) -> Rule {
    if name.is_empty() {
        return Err("Username wajib diisi");
    }
    if !(3..=30).contains(&name.chars().count()) {
        return Err("Username harus 3 sampai 30 karakter");
    }
    if !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
        return Err("Username hanya boleh berisi huruf kecil, angka, dan garis bawah");
    }
    Ok(())
}

/// The form in which an address is stored.
pub fn normal_email(email: &str) -> String {
    email.trim().to_lowercase()
}

/// The rule for an address in normal form.
///
/// # Errors
/// The message.
pub fn email(email: &str) -> Rule {
    if email.is_empty() {
        return Err("Email wajib diisi");
    }
    if email.chars().count() > EMAIL_MAX_CHARS {
        return Err("Email maksimal 255 karakter");
    }
    let options = Options::default().without_display_text().without_domain_literal();
    // A quoted local part may hold a second @, which logging in by e-mail does not expect.
    if email.matches('@').count() != 1 || EmailAddress::parse_with_options(email, options).is_err() {
        return Err("Format email tidak valid");
    }
    Ok(())
}

/// The rule for a new password: characters at the bottom, bytes at the top, because bcrypt reads no more. It is never
/// trimmed.
///
/// # Errors
/// The message.
pub fn new_password(password: &str) -> Rule {
    if password.is_empty() {
        return Err("Password wajib diisi");
    }
    if password.chars().count() < PASSWORD_MIN_CHARS {
        return Err("Password minimal 8 karakter");
    }
    if password.len() > PASSWORD_MAX_BYTES {
        return Err("Password maksimal 72 byte");
    }
    if password.contains('\0') {
        return Err("Password berisi karakter yang tidak diperbolehkan");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_names_have_3_to_30_lower_case_characters() {
        for good in ["abc", "budi_s", "_07_", &"a".repeat(30)] {
            assert!(username(good).is_ok(), "{good}");
        }
        for bad in ["", "ab", &"a".repeat(31), "Budi", "budi s", "budi-s", "bu.di", "büdi", "budi\n", "budi\0"] {
            assert!(username(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn root_paths_of_the_web_client_are_no_user_names() {
        let contract = "admin api login users portfolios notifications changelog images _next feed search me logout \
                        register null undefined";
        for name in contract.split_whitespace() {
            assert!(username(name).is_err(), "{name}");
        }
        assert!(username_form("admin").is_ok());
    }

    #[test]
    fn addresses_are_trimmed_and_lower_case_and_have_one_at_sign() {
        assert_eq!(normal_email("  Budi@Example.SCH.id\t"), "budi@example.sch.id");
        for good in ["budi@example.sch.id", "a+b@example.com", "siti.a@localhost"] {
            assert!(email(good).is_ok(), "{good}");
        }
        let long = format!("{}@{}.id", "a".repeat(60), "b.".repeat(100));
        for bad in
            ["", "budi", "budi@", "@example.com", "a@b@c.id", "\"a@b\"@c.id", "Budi <budi@c.id>", "a b@c.id", &long]
        {
            assert!(email(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn passwords_have_8_characters_and_72_bytes_at_most() {
        assert!(new_password("1234567").is_err());
        assert!(new_password("12345678").is_ok());
        assert!(new_password("密碼密碼密碼密碼").is_ok());
        assert!(new_password(&"x".repeat(72)).is_ok());
        assert!(new_password(&"x".repeat(73)).is_err());
        assert!(new_password(&"é".repeat(37)).is_err());
    }
}
