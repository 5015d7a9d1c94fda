//! Who has a live socket on any replica.

use std::collections::HashSet;

use sqlx::PgConnection;
use uuid::Uuid;

/// Those of `users` who have a live socket. Whether somebody may know is for the caller to say.
pub async fn online(_connection: &mut PgConnection, _users: &[Uuid]) -> Result<HashSet<Uuid>, sqlx::Error> {
    Ok(HashSet::new())
}
