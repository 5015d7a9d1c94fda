//! Access tokens: minting, verification, and the list of revoked ones that every replica keeps in memory.
//!
//! A token is a JWT signed with HMAC-SHA-256. Verification needs no database: the signature, the claims, and two small
//! maps (ended sessions, raised epochs) decide. The maps are fed by auth through NATS, see [`RevocationList`].

mod claims;
mod revocation;
mod tokens;

pub use claims::{Claims, Role, UnknownRole};
pub use revocation::{Revocation, RevocationList, RevocationWriter, Standing};
pub use tokens::{MintError, TokenError, TokenKeys, Verifier};
