use axum::extract::State;
use grafikarsa_http::{ApiError, ApiResult, Data, DeferredBody, Envelope, FieldErrors, Id};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{emoji, note_changes};
use crate::{
    AppState,
    capabilities::Caller,
    chat::{
        conversations::{self, Membership},
        events, messages, people, permission,
    },
};

#[derive(Debug, Deserialize, ToSchema)]
pub struct NewReaction {
    /// One emoji.
    #[schema(required = true, value_type = String)]
    emoji: Option<String>,
}

/// The caller's reaction.
#[derive(Debug, Serialize, ToSchema)]
pub struct OwnReaction {
    id: Uuid,
    emoji: String,
}

/// Reacts to a message, in place of the caller's earlier reaction.
#[utoipa::path(
    post,
    path = "/api/v1/messages/{id}/reactions",
    tag = "chat",
    operation_id = "react",
    params(("id" = uuid::Uuid, Path)),
    request_body = NewReaction,
    security(("bearer" = [])),
    responses((status = 201, body = Envelope<OwnReaction>)),
)]
pub async fn add(
    State(app): State<AppState>,
    caller: Caller,
    id: Result<Id, ApiError>,
    body: DeferredBody<NewReaction>,
) -> ApiResult<Data<OwnReaction>> {
    app.limits.reactions(caller.id).hit(&app.db).await?;
    let Id(id) = id?;
    let message = messages::find(&app.db, id, caller.id).await?;
    let body = body.read().await?;
    let mut errors = FieldErrors::new();
    let emoji = emoji::required(&mut errors, body.emoji.as_deref());
    errors.finish()?;

    let mut tx = app.db.begin().await?;
    let conversation = conversations::lock(&mut tx, message.conversation_id, caller.id).await?;
    // Deleted in the meantime.
    messages::find(&mut *tx, id, caller.id).await?;
    if people::is_blocked(&mut *tx, caller.id, conversation.other).await? {
        return Err(permission::blocked());
    }
    let reaction = replace(&mut tx, &conversation, id, emoji).await?;
    tx.commit().await?;
    Ok(Data::created(reaction))
}

async fn replace(
    connection: &mut PgConnection,
    conversation: &Membership,
    message: Uuid,
    emoji: String,
) -> Result<OwnReaction, sqlx::Error> {
    let before = sqlx::query_as!(
        OwnReaction,
        "select id, emoji from message_reactions where message_id = $1 and user_id = $2",
        message,
        conversation.me,
    )
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(before) = &before
        && before.emoji == emoji
    {
        return Ok(OwnReaction { id: before.id, emoji });
    }
    let reaction = sqlx::query_as!(
        OwnReaction,
        "
        insert into message_reactions (id, message_id, user_id, emoji, created_at)
        values ($1, $2, $3, $4, clock_timestamp())
        on conflict on constraint message_reactions_message_user_key do update set
            id = excluded.id,
            emoji = excluded.emoji,
            created_at = excluded.created_at
        returning id, emoji
        ",
        Uuid::now_v7(),
        message,
        conversation.me,
        emoji,
    )
    .fetch_one(&mut *connection)
    .await?;
    let removed = before.iter().map(|before| (before.emoji.as_str(), false));
    let changes: Vec<_> = removed.chain([(emoji.as_str(), true)]).collect();
    let changes = note_changes(&mut *connection, message, conversation.me, &changes).await?;
    events::reaction_changed(connection, conversation.conversation, message, &changes, &conversation.both()).await?;
    Ok(reaction)
}
