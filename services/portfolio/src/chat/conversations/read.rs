use axum::extract::State;
use chrono::{DateTime, Utc};
use grafikarsa_http::{ApiResult, BodyId, Data, Envelope, FieldErrors, Id, Nothing, OptionalBody};
use serde::Deserialize;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Membership;
use crate::{
    AppState,
    capabilities::Caller,
    chat::{events, people},
};

#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct ReadMark {
    /// The last message that was read; absent for everything there is.
    #[schema(value_type = Option<Uuid>)]
    last_message_id: Option<BodyId>,
}

/// Marks messages of a conversation as read.
#[utoipa::path(
    post,
    path = "/api/v1/conversations/{id}/read",
    tag = "chat",
    operation_id = "read_conversation",
    params(("id" = uuid::Uuid, Path)),
    request_body = Option<ReadMark>,
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Nothing>)),
)]
pub async fn read(
    State(app): State<AppState>,
    caller: Caller,
    Id(id): Id,
    body: OptionalBody<ReadMark>,
) -> ApiResult<Data<()>> {
    super::find(&app.db, id, caller.id).await?;
    let last = body.read().await?.unwrap_or_default().last_message_id;
    let mut tx = app.db.begin().await?;
    // A message that is sent at the same time comes before this and is read, or after it and is not.
    let conversation = super::lock(&mut tx, id, caller.id).await?;
    let moved = match last {
        Some(BodyId(message)) => read_up_to(&mut tx, &conversation, message).await?,
        None => read_all(&mut tx, &conversation).await?,
    };
    if let Some(read_at) = moved {
        let readers = who_sees(&mut tx, &conversation).await?;
        events::read(&mut tx, id, caller.id, read_at, &readers).await?;
    }
    tx.commit().await?;
    Ok(Data::none().message("Pesan ditandai sudah dibaca"))
}

/// Moves the mark to `message`; returns where it is now, if it has moved.
async fn read_up_to(
    connection: &mut PgConnection,
    conversation: &Membership,
    message: Uuid,
) -> ApiResult<Option<DateTime<Utc>>> {
    let sent_at = sqlx::query_scalar!(
        "select created_at from messages where id = $1 and conversation_id = $2",
        message,
        conversation.conversation,
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(sent_at) = sent_at else {
        let mut errors = FieldErrors::new();
        errors.add("last_message_id", "Pesan tidak ditemukan di percakapan ini");
        errors.finish()?;
        return Ok(None);
    };
    let moved = sqlx::query_scalar!(
        r#"
        update conversation_participants
        set last_read_at = $3,
            unread_count = (
                select count(*)
                from messages
                where conversation_id = $1 and created_at > $3 and deleted_at is null and sender_id <> $2
            )
        where conversation_id = $1 and user_id = $2 and (last_read_at is null or last_read_at < $3)
        returning last_read_at as "last_read_at!"
        "#,
        conversation.conversation,
        conversation.me,
        sent_at,
    );
    Ok(moved.fetch_optional(connection).await?)
}

/// Moves the mark to now, unless nothing was sent since it was moved last.
async fn read_all(connection: &mut PgConnection, conversation: &Membership) -> ApiResult<Option<DateTime<Utc>>> {
    // Clocks may go back: the mark is never before a message that it covers.
    let moved = sqlx::query_scalar!(
        r#"
        update conversation_participants
        set last_read_at = greatest(clock_timestamp(), $3), unread_count = 0
        where conversation_id = $1 and user_id = $2 and (last_read_at is null or last_read_at < $3)
        returning last_read_at as "last_read_at!"
        "#,
        conversation.conversation,
        conversation.me,
        conversation.last_sent_at,
    );
    Ok(moved.fetch_optional(connection).await?)
}

/// The caller's own sockets, and the other's if he may know.
async fn who_sees(connection: &mut PgConnection, conversation: &Membership) -> Result<Vec<Uuid>, sqlx::Error> {
    let &Membership { me, other, last_sent_at, .. } = conversation;
    let shows = sqlx::query_scalar!("select show_read_receipts from dm_settings where user_id = $1", me)
        .fetch_optional(&mut *connection)
        .await?;
    // Of a conversation that never began the other does not know.
    let may_see = shows.unwrap_or(true) && last_sent_at.is_some() && !people::is_blocked(connection, me, other).await?;
    Ok(if may_see { vec![me, other] } else { vec![me] })
}
