use axum::extract::State;
use grafikarsa_http::{ApiError, ApiResult, Data, Envelope, Nothing, Path};
use uuid::Uuid;

use super::{emoji, note_changes};
use crate::{
    AppState,
    capabilities::Caller,
    chat::{conversations, events, messages, people},
    portfolios::filters,
};

/// Takes the caller's own reaction back. Fine when there is none.
#[utoipa::path(
    delete,
    path = "/api/v1/messages/{id}/reactions/{emoji}",
    tag = "chat",
    operation_id = "take_reaction_back",
    params(("id" = uuid::Uuid, Path), ("emoji" = String, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Nothing>)),
)]
pub async fn remove(
    State(app): State<AppState>,
    caller: Caller,
    path: Result<Path<(String, String)>, ApiError>,
) -> ApiResult<Data<()>> {
    app.limits.reactions(caller.id).hit(&app.db).await?;
    let (id, emoji) = read(path?)?;
    let message = messages::find(&app.db, id, caller.id).await?;
    let mut tx = app.db.begin().await?;
    let conversation = conversations::lock(&mut tx, message.conversation_id, caller.id).await?;
    let removed = sqlx::query!(
        "delete from message_reactions where message_id = $1 and user_id = $2 and emoji = $3",
        id,
        caller.id,
        emoji,
    );
    if removed.execute(&mut *tx).await?.rows_affected() == 1 {
        // Across a block nothing is told at once; the other sees it when he reads the conversation again.
        let is_blocked = people::is_blocked(&mut *tx, caller.id, conversation.other).await?;
        let both = conversation.both();
        let told = if is_blocked { &both[..1] } else { &both[..] };
        let changes = note_changes(&mut *tx, id, caller.id, &[(&emoji, false)]).await?;
        events::reaction_changed(&mut tx, conversation.conversation, id, &changes, told).await?;
    }
    tx.commit().await?;
    Ok(Data::none().message("Reaksi dihapus"))
}

fn read(Path((id, emoji)): Path<(String, String)>) -> ApiResult<(Uuid, String)> {
    let id = filters::uuid("id", Some(&id))?.ok_or_else(|| ApiError::syntax("id", "ID tidak valid"))?;
    if emoji::is_emoji(&emoji) { Ok((id, emoji)) } else { Err(ApiError::syntax("emoji", "Emoji tidak valid")) }
}
