use axum::extract::State;
use chrono::{DateTime, Utc};
use grafikarsa_events::outbox;
use grafikarsa_http::{ApiError, ApiResult, Data, Envelope, Id, Nothing};
use proto_events::portfolio::v1::MediaReleased;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{MessageType, content::preview, find, not_found};
use crate::{
    AppState,
    capabilities::Caller,
    chat::{
        conversations::{self, Membership},
        events,
    },
};

/// Deletes a message of one's own for both.
#[utoipa::path(
    delete,
    path = "/api/v1/messages/{id}",
    tag = "chat",
    operation_id = "delete_message",
    params(("id" = uuid::Uuid, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Nothing>)),
)]
pub async fn delete(State(app): State<AppState>, caller: Caller, Id(id): Id) -> ApiResult<Data<()>> {
    let message = find(&app.db, id, caller.id).await?;
    if message.sender_id != caller.id {
        return Err(ApiError::forbidden_with("NOT_OWNER", "Anda hanya dapat menghapus pesan Anda sendiri"));
    }
    let mut tx = app.db.begin().await?;
    let conversation = conversations::lock(&mut tx, message.conversation_id, caller.id).await?;
    let (sent_at, object_key) = take(&mut tx, id).await?.ok_or_else(not_found)?;
    forget(&mut tx, &conversation, sent_at).await?;
    if let Some(object_key) = object_key {
        release(&mut tx, caller.id, object_key).await?;
    }
    events::message_deleted(&mut tx, conversation.conversation, id, &conversation.both()).await?;
    tx.commit().await?;
    Ok(Data::none().message("Pesan dihapus"))
}

/// Empties the message and takes its reactions away. Returns when it was sent and which picture it showed; `None` when it
/// is deleted already.
async fn take(
    connection: &mut PgConnection,
    message: Uuid,
) -> Result<Option<(DateTime<Utc>, Option<String>)>, sqlx::Error> {
    let taken = sqlx::query!(
        "
        with before as (
            select id, object_key from messages where id = $1 and deleted_at is null
        ),
        changes as (
            delete from message_reaction_changes where message_id = $1
        ),
        reactions as (
            delete from message_reactions where message_id = $1
        )
        update messages m
        set deleted_at = now(), text = null, object_key = null, portfolio_id = null
        from before
        where m.id = before.id
        returning m.created_at, before.object_key
        ",
        message,
    )
    .fetch_optional(connection)
    .await?;
    Ok(taken.map(|taken| (taken.created_at, taken.object_key)))
}

/// Takes a message that is deleted by now out of the conversation's numbers and its preview.
async fn forget(
    connection: &mut PgConnection,
    conversation: &Membership,
    sent_at: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let newest = sqlx::query!(
        r#"
        select created_at, message_type as "kind: MessageType", text
        from messages
        where conversation_id = $1 and deleted_at is null
        order by created_at desc
        limit 1
        "#,
        conversation.conversation,
    )
    .fetch_optional(&mut *connection)
    .await?;
    let (newest_at, shown) = newest.map(|row| (row.created_at, preview(row.kind, row.text.as_deref()))).unzip();
    sqlx::query!(
        "
        with conversation as (
            update conversations
            set last_message_at = $2, last_message_preview = $3, message_count = message_count - 1
            where id = $1
            returning created_at
        )
        update conversation_participants
        set sort_at = coalesce($2, conversation.created_at),
            unread_count = case
                when user_id = $4 and (last_read_at is null or last_read_at < $5) then greatest(unread_count - 1, 0)
                else unread_count
            end
        from conversation
        where conversation_id = $1
        ",
        conversation.conversation,
        newest_at,
        shown,
        conversation.other,
        sent_at,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Tells media that a picture is not shown any more, unless another message shows it.
async fn release(connection: &mut PgConnection, sender: Uuid, object_key: String) -> Result<(), sqlx::Error> {
    // Of two deletions at once the second sees the first, and so does the sweep of media.
    sqlx::query!("select object_key from media_objects where object_key = $1 for no key update", object_key)
        .fetch_optional(&mut *connection)
        .await?;
    if is_shown(connection, &object_key).await? {
        return Ok(());
    }
    let event = MediaReleased {
        owner_id: sender.to_string(),
        portfolio_id: None,
        object_keys: vec![object_key],
        urls: Vec::new(),
    };
    outbox::append(connection, &event, sender, 0).await.map(drop)
}

/// Whether a message shows the picture.
pub async fn is_shown(connection: &mut PgConnection, object_key: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (select from messages where object_key = $1 and deleted_at is null) as "shown!""#,
        object_key,
    )
    .fetch_one(connection)
    .await
}
