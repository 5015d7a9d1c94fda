use std::net::IpAddr;

use axum::http::{HeaderMap, header};
use data_encoding::HEXLOWER;
use grafikarsa_config::Secret;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use uuid::Uuid;

/// The web client may name a guest's session here.
const SESSION_HEADER: &str = "x-session-id";

/// Whoever looked. The same person on two devices is two guests, and one user.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Viewer {
    User(Uuid),
    /// What the client calls its session, or a keyed hash of address and browser. No address is stored.
    Guest(String),
}

/// Makes names of guests that nobody can turn back into addresses.
#[derive(Clone)]
pub struct GuestKey(Hmac<Sha256>);

impl GuestKey {
    /// A key of its own, derived from a secret that every replica has.
    pub fn derive(secret: &Secret) -> anyhow::Result<Self> {
        let mut label = Hmac::<Sha256>::new_from_slice(secret.bytes())?;
        label.update(b"grafikarsa: guests who look at portfolios");
        Ok(Self(Hmac::new_from_slice(&label.finalize().into_bytes())?))
    }

    /// The guest who sent `headers` from `address`.
    pub fn guest(&self, headers: &HeaderMap, address: IpAddr) -> Viewer {
        let named = headers.get(SESSION_HEADER).and_then(|value| value.to_str().ok()).filter(|name| is_session(name));
        Viewer::Guest(named.map_or_else(|| self.hash(headers, address), str::to_owned))
    }

    /// A name of `address` for one purpose only: it is another one for every other purpose.
    pub fn address(&self, purpose: &str, address: IpAddr) -> String {
        let mut hash = self.0.clone();
        hash.update(purpose.as_bytes());
        hash.update(b"\0");
        hash.update(address.to_canonical().to_string().as_bytes());
        HEXLOWER.encode(&hash.finalize().into_bytes())
    }

    fn hash(&self, headers: &HeaderMap, address: IpAddr) -> String {
        let mut hash = self.0.clone();
        hash.update(address.to_string().as_bytes());
        hash.update(b"\0");
        hash.update(headers.get(header::USER_AGENT).map_or(b"", |agent| agent.as_bytes()));
        HEXLOWER.encode(&hash.finalize().into_bytes())
    }
}

fn is_session(name: &str) -> bool {
    (8..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

    fn key(secret: &str) -> GuestKey {
        GuestKey::derive(&Secret::new(secret)).unwrap()
    }

    fn headers(session: &str, agent: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(SESSION_HEADER, session.parse().unwrap());
        headers.insert(header::USER_AGENT, agent.parse().unwrap());
        headers
    }

    #[test]
    fn a_well_formed_session_names_the_guest_and_any_other_is_ignored() {
        let key = key("x");
        for good in ["abcdEFG8", "a_b-c_d-", &"x".repeat(64)] {
            assert_eq!(key.guest(&headers(good, "A"), ADDRESS), Viewer::Guest(good.to_owned()));
        }
        let hashed = key.guest(&headers("", "A"), ADDRESS);
        for bad in ["short_7", &"x".repeat(65), "has space", "semi;colon", "dot.dot.dot"] {
            assert_eq!(key.guest(&headers(bad, "A"), ADDRESS), hashed, "{bad}");
        }
    }

    #[test]
    fn the_hash_tells_addresses_browsers_and_installations_apart() {
        let Viewer::Guest(name) = key("x").guest(&headers("", "A"), ADDRESS) else { panic!("a guest") };
        assert!(name.len() == 64 && name.bytes().all(|byte| b"0123456789abcdef".contains(&byte)), "{name}");
        let other_address = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 8));
        for other in [
            key("y").guest(&headers("", "A"), ADDRESS),
            key("x").guest(&headers("", "B"), ADDRESS),
            key("x").guest(&headers("", "A"), other_address),
        ] {
            assert_ne!(other, Viewer::Guest(name.clone()));
        }
        assert_eq!(key("x").guest(&headers("", "A"), ADDRESS), Viewer::Guest(name), "the same on every replica");
    }

    #[test]
    fn an_address_has_a_name_for_each_purpose() {
        let name = key("x").address("feedback", ADDRESS);
        assert_eq!(key("x").address("feedback", "::ffff:192.0.2.7".parse().unwrap()), name, "however it is written");
        for other in [
            key("x").address("other", ADDRESS),
            key("y").address("feedback", ADDRESS),
            key("x").address("feedback", "192.0.2.8".parse().unwrap()),
        ] {
            assert_ne!(other, name);
        }
        assert_ne!(key("x").guest(&headers("", ""), ADDRESS), Viewer::Guest(name));
    }
}
