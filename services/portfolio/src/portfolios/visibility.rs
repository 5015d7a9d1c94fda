//! Portfolios go out of sight with their owner, and come back with him.

use sqlx::PgConnection;
use uuid::Uuid;

/// The owner's account was deactivated or deleted, or is back. His portfolios are locked already.
pub async fn owner_changed(connection: &mut PgConnection, owner: Uuid, visible: bool) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update portfolios set owner_hidden = not $2 where user_id = $1 and owner_hidden = $2",
        owner,
        visible,
    )
    .execute(connection)
    .await?;
    Ok(())
}
