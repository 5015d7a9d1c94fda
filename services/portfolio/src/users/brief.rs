use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// A user beside what he did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
// auth calls something else UserBrief in the same document.
#[schema(as = PersonBrief)]
pub struct UserBrief {
    pub id: Uuid,
    pub username: String,
    pub nama: String,
    pub avatar_url: Option<String>,
}

impl UserBrief {
    /// Of the columns of a user who may not be there.
    pub fn of(
        id: Option<Uuid>,
        username: Option<String>,
        nama: Option<String>,
        avatar_url: Option<String>,
    ) -> Option<Self> {
        Some(Self { id: id?, username: username?, nama: nama?, avatar_url })
    }
}
