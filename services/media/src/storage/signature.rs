//! Links to documents that work without a login, for a while and for one key.

use std::{sync::Arc, time::Duration};

use data_encoding::BASE64URL_NOPAD;
use grafikarsa_config::Secret;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// How long a link works.
pub(crate) const VIEW: Duration = Duration::from_hours(1);

/// Signs links and checks them. The key is the services' own token, which all replicas have and no client knows.
#[derive(Clone)]
pub(crate) struct Signatures(Arc<Secret>);

impl Signatures {
    pub(crate) fn new(secret: &Secret) -> Self {
        Self(Arc::new(secret.clone()))
    }

    /// The query of a link that works until `expires` (seconds since 1970).
    pub(crate) fn query(&self, object_key: &str, expires: i64) -> String {
        let signature = self.mac(object_key, expires).map(|mac| BASE64URL_NOPAD.encode(&mac.finalize().into_bytes()));
        format!("expires={expires}&signature={}", signature.unwrap_or_default())
    }

    /// Whether the link was made here, for this key, and still works at `now`.
    pub(super) fn admits(&self, object_key: &str, expires: i64, signature: &str, now: i64) -> bool {
        let Ok(signature) = BASE64URL_NOPAD.decode(signature.as_bytes()) else { return false };
        let checked = self.mac(object_key, expires).is_some_and(|mac| mac.verify_slice(&signature).is_ok());
        checked && now < expires
    }

    fn mac(&self, object_key: &str, expires: i64) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.bytes()).ok()?;
        // The first words keep this use of the key apart from any other.
        mac.update(format!("media view\n{expires}\n{object_key}").as_bytes());
        Some(mac)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_for_one_key_and_ends() {
        let signatures = Signatures::new(&Secret::new("b91c7a30f5d24e6895c1d07fe3a2846b"));
        let query = signatures.query("documents/a/b.pdf", 1000);
        let signature = query.strip_prefix("expires=1000&signature=").unwrap();
        assert!(signatures.admits("documents/a/b.pdf", 1000, signature, 999));
        assert!(!signatures.admits("documents/a/b.pdf", 1000, signature, 1000));
        assert!(!signatures.admits("documents/a/b.pdf", 2000, signature, 999));
        assert!(!signatures.admits("documents/a/c.pdf", 1000, signature, 999));
        for forged in ["", "x", "AAAA"] {
            assert!(!signatures.admits("documents/a/b.pdf", 1000, forged, 999));
        }
    }
}
