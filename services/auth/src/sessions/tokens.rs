use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use grafikarsa_config::Secret;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;

/// A refresh token in the clear: it exists in the cookie and here, never in the database.
#[derive(Clone)]
pub(crate) struct RefreshToken(SecretString);

impl RefreshToken {
    /// 256 random bits.
    pub(crate) fn generate() -> Self {
        Self(BASE64URL_NOPAD.encode(&rand::random::<[u8; 32]>()).into())
    }

    pub(crate) fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// What is stored: who reads the database alone can neither use nor recompute it.
    pub(crate) fn hash(&self, key: &Secret) -> Vec<u8> {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(key.bytes()).expect("any length is a key");
        mac.update(self.expose().as_bytes());
        mac.finalize().into_bytes().to_vec()
    }
}

impl From<&str> for RefreshToken {
    fn from(value: &str) -> Self {
        Self(value.into())
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshToken")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_256_bits_and_no_two_are_the_same() {
        let token = RefreshToken::generate();
        assert_eq!(BASE64URL_NOPAD.decode(token.expose().as_bytes()).unwrap().len(), 32);
        assert_ne!(token.expose(), RefreshToken::generate().expose());
    }

    #[test]
    fn the_hash_depends_on_the_key() {
        let token = RefreshToken::from("token");
        let (a, b) = (token.hash(&Secret::new("a")), token.hash(&Secret::new("b")));
        assert_eq!(a.len(), 32);
        assert_ne!(a, b);
        assert_eq!(a, token.hash(&Secret::new("a")));
    }
}
