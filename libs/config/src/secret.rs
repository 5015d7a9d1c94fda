use std::fmt;

use secrecy::{ExposeSecret, SecretString};

/// A setting that must not be seen: `Debug` prints `[redacted]`, and the memory is cleared when it is dropped.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Wraps `value`.
    pub fn new(value: impl Into<String>) -> Self {
        Self(SecretString::from(value.into()))
    }

    /// The plain value, to be handed to the library that needs it and to nothing else.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// The plain value as bytes, for keyed hashes.
    pub fn bytes(&self) -> &[u8] {
        self.expose().as_bytes()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}
