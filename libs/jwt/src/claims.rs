use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Role of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Attends the school.
    Student,
    /// Left the school.
    Alumni,
    /// Runs the platform; holds every capability.
    Admin,
}

impl Role {
    /// The name used in JSON and in the databases.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Student => "student",
            Self::Alumni => "alumni",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no role.
#[derive(Debug, thiserror::Error)]
#[error("not a role")]
pub struct UnknownRole;

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        match text {
            "student" => Ok(Self::Student),
            "alumni" => Ok(Self::Alumni),
            "admin" => Ok(Self::Admin),
            _ => Err(UnknownRole),
        }
    }
}

/// Claims of an access token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claims {
    /// Issuer: `grafikarsa`.
    pub iss: String,
    /// Audience: `grafikarsa-api`.
    pub aud: String,
    /// The account.
    pub sub: Uuid,
    /// Role at the time of minting: a hint, never a ground for admin rights.
    pub role: Role,
    /// Identifier of this token.
    pub jti: String,
    /// The session (family of refresh tokens) it belongs to.
    pub sid: Uuid,
    /// The account's epoch at the time of minting; tokens of lower epochs are refused.
    pub epoch: i64,
    /// Issued at, seconds since 1970.
    pub iat: i64,
    /// Expires at, seconds since 1970.
    pub exp: i64,
}
