//! One place writes what people are told, in the transaction of what it tells about. Nobody is told of what he did himself,
//! and accounts that are deactivated or deleted are told nothing.

use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Kind;

/// Tells `recipient` once per `dedup_key`.
pub async fn insert(
    connection: &mut PgConnection,
    recipient: Uuid,
    actor: Uuid,
    kind: Kind,
    dedup_key: &str,
    data: Value,
) -> Result<(), sqlx::Error> {
    if recipient == actor {
        return Ok(());
    }
    sqlx::query!(
        "
        insert into notifications (id, user_id, kind, actor_id, data, dedup_key)
        select $1, u.id, $3, $4, $5, $6
        from users u
        where u.id = $2 and u.is_active and u.deleted_at is null
        on conflict on constraint notifications_dedup_key do nothing
        ",
        Uuid::now_v7(),
        recipient,
        kind.as_str(),
        actor,
        data,
        dedup_key,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Another status of somebody's feedback.
#[derive(Debug)]
pub struct FeedbackUpdate<'a> {
    /// Who sent the feedback.
    pub recipient: Uuid,
    pub actor: Uuid,
    /// What the actor is called in this role, such as `Admin`.
    pub actor_role: &'a str,
    pub feedback_id: Uuid,
    pub old_status: &'a str,
    pub new_status: &'a str,
}

/// Tells of another status: in place of what was told of this feedback before, as long as that is unread.
pub async fn feedback_updated(connection: &mut PgConnection, update: FeedbackUpdate<'_>) -> Result<(), sqlx::Error> {
    if update.recipient == update.actor {
        return Ok(());
    }
    let id = Uuid::now_v7();
    let data = json!({
        "feedback_id": update.feedback_id,
        "actor_id": update.actor,
        "actor_role": update.actor_role,
        "old_status": update.old_status,
        "new_status": update.new_status,
    });
    sqlx::query!(
        "
        insert into notifications (id, user_id, kind, actor_id, data, dedup_key)
        select $1, u.id, 'feedback_updated', $3, $4, $5
        from users u
        where u.id = $2 and u.is_active and u.deleted_at is null
        on conflict (user_id, (data ->> 'feedback_id'))
            where kind = 'feedback_updated' and read_at is null and deleted_at is null
            do update set data = excluded.data, actor_id = excluded.actor_id, created_at = excluded.created_at
        ",
        id,
        update.recipient,
        update.actor,
        data,
        id.to_string(),
    )
    .execute(connection)
    .await?;
    Ok(())
}
