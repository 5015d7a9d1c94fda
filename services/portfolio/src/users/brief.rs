use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// A user beside what he did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UserBrief {
    pub id: Uuid,
    pub username: String,
    pub nama: String,
    pub avatar_url: Option<String>,
}
