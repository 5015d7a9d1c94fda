//! What the others hear of a profile.

use grafikarsa_events::outbox;
use proto_events::portfolio::v1::{MediaReleased, ProfileChanged};
use sqlx::PgConnection;
use uuid::Uuid;

/// Announces name and picture of `user` as they are now. Call it after the change, in its transaction.
pub async fn changed(connection: &mut PgConnection, user: Uuid) -> Result<(), sqlx::Error> {
    let row = sqlx::query!(
        "
        update users
        set profile_version = profile_version + 1, updated_at = now()
        where id = $1
        returning profile_version, nama, avatar_url
        ",
        user,
    )
    .fetch_one(&mut *connection)
    .await?;
    let event = ProfileChanged {
        user_id: user.to_string(),
        version: row.profile_version,
        nama: row.nama,
        avatar_url: row.avatar_url,
    };
    outbox::append(connection, &event, user, row.profile_version).await?;
    Ok(())
}

/// Tells media that nothing points to these pictures of a profile any more.
pub async fn released(connection: &mut PgConnection, user: Uuid, urls: Vec<String>) -> Result<(), sqlx::Error> {
    if urls.is_empty() {
        return Ok(());
    }
    let event = MediaReleased { owner_id: user.to_string(), portfolio_id: None, object_keys: Vec::new(), urls };
    outbox::append(connection, &event, user, 0).await?;
    Ok(())
}
