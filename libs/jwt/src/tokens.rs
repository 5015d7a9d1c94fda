use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use grafikarsa_config::Secret;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, errors::ErrorKind};
use uuid::Uuid;

use crate::{Claims, RevocationList, Role, Standing};

const ISSUER: &str = "grafikarsa";
const AUDIENCE: &str = "grafikarsa-api";

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// `exp` has passed.
    #[error("token expired")]
    Expired,
    /// Bad signature, algorithm or claims.
    #[error("token invalid")]
    Invalid,
    /// Its session has ended or its account's epoch was raised.
    #[error("token revoked")]
    Revoked,
}

/// A token could not be signed.
#[derive(Debug, thiserror::Error)]
#[error("the access token could not be signed")]
pub struct MintError(#[from] jsonwebtoken::errors::Error);

/// The signing key and the lifetime of access tokens. Cheap to clone.
#[derive(Clone)]
pub struct TokenKeys(Arc<Keys>);

struct Keys {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
    lifetime: Duration,
}

impl TokenKeys {
    /// Keys from `JWT_ACCESS_SECRET` (at least 32 bytes, which the settings check) and `JWT_ACCESS_EXPIRY`.
    pub fn new(secret: &Secret, lifetime: Duration) -> Self {
        // Which implementation signs is a property of the process; a second call finds it installed, which is fine.
        let _installed = jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER.install_default();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.leeway = 0;
        Self(Arc::new(Keys {
            encoding: EncodingKey::from_secret(secret.bytes()),
            decoding: DecodingKey::from_secret(secret.bytes()),
            validation,
            lifetime,
        }))
    }

    /// How long a token lives.
    pub fn lifetime(&self) -> Duration {
        self.0.lifetime
    }

    /// Signs a token for `user` in `session`.
    ///
    /// # Errors
    /// [`MintError`] if the claims cannot be signed, which no input of a client can cause.
    pub fn mint(
        &self,
        user: Uuid,
        role: Role,
        session: Uuid,
        epoch: i64,
        now: DateTime<Utc>,
    ) -> Result<String, MintError> {
        let iat = now.timestamp();
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: user,
            role,
            jti: Uuid::new_v4().to_string(),
            sid: session,
            epoch,
            iat,
            exp: iat.saturating_add_unsigned(self.0.lifetime.as_secs()),
        };
        Ok(jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.0.encoding)?)
    }

    /// Checks signature, algorithm and claims, but no revocation.
    ///
    /// # Errors
    /// [`TokenError::Expired`] or [`TokenError::Invalid`].
    pub fn decode(&self, token: &str) -> Result<Claims, TokenError> {
        match jsonwebtoken::decode::<Claims>(token, &self.0.decoding, &self.0.validation) {
            Ok(data) if data.claims.jti.is_empty() => Err(TokenError::Invalid),
            Ok(data) if data.claims.exp <= Utc::now().timestamp() => Err(TokenError::Expired),
            Ok(data) => Ok(data.claims),
            Err(error) if matches!(error.kind(), ErrorKind::ExpiredSignature) => Err(TokenError::Expired),
            Err(_) => Err(TokenError::Invalid),
        }
    }
}

/// Says whose token it is, without asking a database. Cheap to clone.
#[derive(Clone)]
pub struct Verifier {
    keys: TokenKeys,
    revocations: RevocationList,
}

impl Verifier {
    /// A verifier over the keys and the replicated list.
    pub fn new(keys: TokenKeys, revocations: RevocationList) -> Self {
        Self { keys, revocations }
    }

    /// Checks a token completely.
    ///
    /// # Errors
    /// The reason of refusal, see [`TokenError`].
    pub fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        let claims = self.keys.decode(token)?;
        if self.revocations.refuses(&claims) { Err(TokenError::Revoked) } else { Ok(claims) }
    }

    /// Checks a token as [`verify`](Self::verify) does, and that its session has not ended either: a login in the same
    /// browser ends a session and leaves its tokens good.
    ///
    /// # Errors
    /// The reason of refusal, see [`TokenError`].
    pub fn verify_session(&self, token: &str) -> Result<Claims, TokenError> {
        let claims = self.keys.decode(token)?;
        match self.standing(claims.sub, claims.sid, claims.epoch) {
            Standing::Good => Ok(claims),
            _ => Err(TokenError::Revoked),
        }
    }

    /// What the list of revocations says about a token that was verified earlier.
    pub fn standing(&self, user: Uuid, session: Uuid, epoch: i64) -> Standing {
        self.revocations.standing(user, session, epoch)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn keys() -> TokenKeys {
        TokenKeys::new(&Secret::new("k".repeat(32)), Duration::from_secs(900))
    }

    fn signed(algorithm: Algorithm, change: impl FnOnce(&mut Value)) -> String {
        let now = Utc::now().timestamp();
        let mut claims = json!({"iss": ISSUER, "aud": AUDIENCE, "sub": Uuid::nil(), "role": "student", "jti": "j", "sid": Uuid::nil(),
            "epoch": 0, "iat": now, "exp": now + 60});
        keys();
        change(&mut claims);
        jsonwebtoken::encode(&Header::new(algorithm), &claims, &EncodingKey::from_secret("k".repeat(32).as_bytes()))
            .unwrap()
    }

    #[test]
    fn a_minted_token_is_accepted_and_names_its_owner() {
        let (user, session) = (Uuid::new_v4(), Uuid::new_v4());
        let token = keys().mint(user, Role::Alumni, session, 3, Utc::now()).unwrap();
        let claims = keys().decode(&token).unwrap();
        assert_eq!((claims.sub, claims.sid, claims.epoch, claims.role), (user, session, 3, Role::Alumni));
    }

    #[test]
    fn another_algorithm_is_invalid() {
        assert_eq!(keys().decode(&signed(Algorithm::HS512, |_| {})).unwrap_err(), TokenError::Invalid);
        let unsigned = "eyJhbGciOiJub25lIn0.e30.";
        assert_eq!(keys().decode(unsigned).unwrap_err(), TokenError::Invalid);
    }

    #[test]
    fn each_claim_is_checked() {
        let ok = signed(Algorithm::HS256, |_| {});
        assert!(keys().decode(&ok).is_ok());
        for (claim, value) in [
            ("iss", json!("somebody")),
            ("aud", json!("another-api")),
            ("sub", json!("not-a-uuid")),
            ("jti", json!("")),
            ("role", json!("root")),
            ("sid", Value::Null),
            ("epoch", json!("x")),
        ] {
            let token = signed(Algorithm::HS256, |claims| claims[claim] = value.clone());
            assert_eq!(keys().decode(&token).unwrap_err(), TokenError::Invalid, "{claim}");
        }
    }

    #[test]
    fn there_is_no_leeway_on_expiry() {
        let token = signed(Algorithm::HS256, |claims| claims["exp"] = json!(Utc::now().timestamp() - 1));
        assert_eq!(keys().decode(&token).unwrap_err(), TokenError::Expired);
    }

    #[test]
    fn another_secret_is_invalid() {
        let other = TokenKeys::new(&Secret::new("x".repeat(32)), Duration::from_secs(900));
        let token = other.mint(Uuid::nil(), Role::Admin, Uuid::nil(), 0, Utc::now()).unwrap();
        assert_eq!(keys().decode(&token).unwrap_err(), TokenError::Invalid);
    }

    #[test]
    fn an_ended_session_and_a_raised_epoch_are_revoked() {
        use crate::Revocation;
        let list = RevocationList::in_memory();
        let verifier = Verifier::new(keys(), list.clone());
        let (user, session) = (Uuid::new_v4(), Uuid::new_v4());
        let old = keys().mint(user, Role::Student, session, 0, Utc::now()).unwrap();
        let new = keys().mint(user, Role::Student, Uuid::new_v4(), 1, Utc::now()).unwrap();
        let expires_at = Utc::now() + Duration::from_secs(960);
        list.apply(Revocation::Epoch { user, epoch: 1, spared: None, expires_at });
        assert_eq!(verifier.verify(&old).unwrap_err(), TokenError::Revoked);
        assert!(verifier.verify(&new).is_ok());
        list.apply(Revocation::Session { session, expires_at });
        assert_eq!(verifier.verify(&old).unwrap_err(), TokenError::Revoked);
    }
}
