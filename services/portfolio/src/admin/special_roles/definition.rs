//! What a role is, apart from who holds it, and the rules of its fields.

use grafikarsa_http::{ApiError, ApiResult, FieldErrors, clean, optional_text, required_line};
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use super::{escalation, not_found};
use crate::capabilities::{Caller, Capability};

pub const DEFAULT_COLOR: &str = "#6366f1";
/// Two roles of one name at the same time: the index decides.
pub const NAME_KEY: &str = "special_roles_nama_key";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    pub nama: String,
    pub description: Option<String>,
    pub color: String,
    /// In the order of the catalogue.
    pub capabilities: Vec<String>,
    pub is_active: bool,
}

impl Definition {
    pub async fn find(executor: impl PgExecutor<'_>, id: Uuid) -> ApiResult<Self> {
        let found = sqlx::query_as!(
            Self,
            "
            select nama, description, color, capabilities, is_active
            from special_roles
            where id = $1 and deleted_at is null
            ",
            id,
        );
        found.fetch_optional(executor).await?.ok_or_else(not_found)
    }

    /// As it stays until the end of the transaction.
    pub async fn lock(connection: &mut PgConnection, id: Uuid) -> ApiResult<Self> {
        let found = sqlx::query_as!(
            Self,
            "
            select nama, description, color, capabilities, is_active
            from special_roles
            where id = $1 and deleted_at is null
            for no key update
            ",
            id,
        );
        found.fetch_optional(connection).await?.ok_or_else(not_found)
    }

    /// Nobody but an admin makes, changes, gives or takes a role that holds more than he does.
    pub fn must_be_within(&self, caller: &Caller) -> ApiResult<()> {
        if caller.covers(&self.capabilities) { Ok(()) } else { Err(escalation()) }
    }

    /// Names of the fields that differ.
    pub fn differences(&self, other: &Self) -> Vec<&'static str> {
        let fields = [
            ("nama", self.nama != other.nama),
            ("description", self.description != other.description),
            ("color", self.color != other.color),
            ("capabilities", self.capabilities != other.capabilities),
            ("is_active", self.is_active != other.is_active),
        ];
        fields.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
    }
}

pub fn duplicate() -> ApiError {
    ApiError::conflict("DUPLICATE_ERROR", "Nama special role sudah digunakan")
}

pub fn nama(errors: &mut FieldErrors, value: Option<&str>) -> String {
    required_line(errors, "nama", "Nama", value, 1..=100)
}

pub fn description(errors: &mut FieldErrors, value: Option<&str>) -> Option<String> {
    optional_text(errors, "description", "Deskripsi", value, 0..=500)
}

pub fn color(errors: &mut FieldErrors, value: &str) -> String {
    let color = clean(value);
    let digits = color.strip_prefix('#').unwrap_or_default();
    if digits.len() != 6 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        errors.add("color", "Warna harus berupa kode heksadesimal seperti #6366f1");
    }
    color.to_owned()
}

/// Without duplicates and in the order of the catalogue, so that equal sets are equal.
pub fn capabilities(errors: &mut FieldErrors, keys: &[String]) -> Vec<String> {
    let keys: Vec<&str> = keys.iter().map(|key| clean(key)).collect();
    if keys.is_empty() {
        errors.add("capabilities", "Pilih minimal satu kapabilitas");
    }
    if keys.iter().any(|key| Capability::ALL.iter().all(|known| known.key() != *key)) {
        errors.add("capabilities", "Kapabilitas tidak dikenal");
    }
    let known = Capability::ALL.iter().map(|capability| capability.key());
    known.filter(|key| keys.contains(key)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use grafikarsa_jwt::Role;

    use super::*;

    fn owned(keys: &[&str]) -> Vec<String> {
        keys.iter().map(|&key| key.to_owned()).collect()
    }

    #[test]
    fn colors_have_six_hexadecimal_digits() {
        for (text, good) in [
            ("#6366f1", true),
            (" #ABCDEF ", true),
            ("6366f1", false),
            ("#6366f", false),
            ("#6366f1a", false),
            ("#6366fg", false),
            ("#日本", false),
            ("", false),
        ] {
            let mut errors = FieldErrors::new();
            color(&mut errors, text);
            assert_eq!(errors.is_empty(), good, "{text}");
        }
    }

    #[test]
    fn capabilities_are_a_set_in_the_order_of_the_catalogue() {
        let mut errors = FieldErrors::new();
        let keys = capabilities(&mut errors, &owned(&["changelog", " tags ", "dashboard", "tags"]));
        assert_eq!(keys, ["dashboard", "tags", "changelog"]);
        assert!(errors.is_empty());
        for keys in [&[][..], &["root"], &["tags", "Tags"], &[""]] {
            let mut errors = FieldErrors::new();
            capabilities(&mut errors, &owned(keys));
            assert!(!errors.is_empty(), "{keys:?}");
        }
    }

    #[test]
    fn a_role_must_be_within_what_the_caller_holds() {
        let role = |keys: &[&str]| Definition {
            nama: "Peran".to_owned(),
            description: None,
            color: DEFAULT_COLOR.to_owned(),
            capabilities: owned(keys),
            is_active: true,
        };
        let holder = Caller::for_test(Uuid::nil(), Role::Student, &["special_roles", "tags"]);
        let admin = Caller::for_test(Uuid::nil(), Role::Admin, &[]);
        assert!(role(&["tags"]).must_be_within(&holder).is_ok());
        assert!(role(&["special_roles", "tags"]).must_be_within(&holder).is_ok());
        assert_eq!(role(&["tags", "users"]).must_be_within(&holder).unwrap_err().code(), "CAPABILITY_ESCALATION");
        assert!(role(&["tags", "users"]).must_be_within(&admin).is_ok());
    }
}
