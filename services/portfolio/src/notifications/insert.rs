//! One function writes what people are told, in the transaction of what it tells about.

use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

/// Why somebody is told something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    NewFollower,
    PortfolioLiked,
    NewComment,
    ReplyComment,
    PortfolioApproved,
    PortfolioRejected,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::NewFollower => "new_follower",
            Self::PortfolioLiked => "portfolio_liked",
            Self::NewComment => "new_comment",
            Self::ReplyComment => "reply_comment",
            Self::PortfolioApproved => "portfolio_approved",
            Self::PortfolioRejected => "portfolio_rejected",
        }
    }
}

/// Tells `recipient` once per `dedup_key`. Nobody is told of what he did himself, and accounts that are deactivated or
/// deleted are told nothing.
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
