use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use chrono::{DateTime, Utc};
use grafikarsa_jwt::{Claims, Role, TokenError, Verifier};
use uuid::Uuid;

use crate::ApiError;

/// What the `Authorization` header says, found once per request by the middleware.
#[derive(Clone, Debug)]
pub(crate) enum Identity {
    Guest,
    User(CurrentUser),
    Malformed,
    Refused(TokenError),
}

impl Identity {
    pub(crate) fn of(headers: &HeaderMap, verifier: &Verifier) -> Self {
        let Some(value) = headers.get(header::AUTHORIZATION) else { return Self::Guest };
        let token = value.to_str().ok().and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        match token {
            None | Some("") => Self::Malformed,
            Some(token) => match verifier.verify(token) {
                Ok(claims) => Self::User(claims.into()),
                Err(error) => Self::Refused(error),
            },
        }
    }

    fn require(&self) -> Result<CurrentUser, ApiError> {
        match self {
            Self::User(user) => Ok(user.clone()),
            Self::Guest | Self::Malformed => {
                Err(ApiError::unauthorized("UNAUTHORIZED", "Silakan masuk terlebih dahulu"))
            }
            Self::Refused(error) => Err((*error).into()),
        }
    }
}

impl From<TokenError> for ApiError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Expired => Self::unauthorized("TOKEN_EXPIRED", "Sesi telah kedaluwarsa, silakan masuk kembali"),
            TokenError::Invalid => Self::unauthorized("INVALID_TOKEN", "Token tidak valid"),
            TokenError::Revoked => Self::unauthorized("TOKEN_REVOKED", "Sesi telah berakhir, silakan masuk kembali"),
        }
    }
}

/// The signed-in caller; guests and bad tokens get the 401 codes.
#[derive(Clone, Debug)]
pub struct CurrentUser {
    /// The account.
    pub id: Uuid,
    /// Role when the token was minted: a hint, no ground for admin rights.
    pub role: Role,
    /// The session of the token.
    pub session: Uuid,
    /// Identifier of the token.
    pub jti: String,
    /// Epoch of the token.
    pub epoch: i64,
    /// End of the token's life.
    pub expires_at: DateTime<Utc>,
}

impl From<Claims> for CurrentUser {
    fn from(claims: Claims) -> Self {
        Self {
            id: claims.sub,
            role: claims.role,
            session: claims.sid,
            jti: claims.jti,
            epoch: claims.epoch,
            expires_at: DateTime::from_timestamp(claims.exp, 0).unwrap_or_default(),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for CurrentUser {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        identity(parts)?.require()
    }
}

/// The caller of a route that guests may use as well. A header that does not verify is 401, never a guest.
#[derive(Clone, Debug)]
pub struct MaybeUser(pub Option<CurrentUser>);

impl MaybeUser {
    /// The caller's id, if signed in.
    pub fn id(&self) -> Option<Uuid> {
        self.0.as_ref().map(|user| user.id)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for MaybeUser {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        match identity(parts)? {
            Identity::Guest => Ok(Self(None)),
            identity => identity.require().map(|user| Self(Some(user))),
        }
    }
}

fn identity(parts: &Parts) -> Result<&Identity, ApiError> {
    let missing = || ApiError::internal(anyhow::anyhow!("the route is served without the authentication layer"));
    parts.extensions.get::<Identity>().ok_or_else(missing)
}
