//! Flags that each participant sets for himself.

use axum::extract::State;
use grafikarsa_http::{ApiResult, Data, Envelope, Id, Nothing};
use uuid::Uuid;

use crate::{AppState, capabilities::Caller};

/// Moves a conversation out of the caller's list.
#[utoipa::path(
    post,
    path = "/api/v1/conversations/{id}/archive",
    tag = "chat",
    operation_id = "archive_conversation",
    params(("id" = uuid::Uuid, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Nothing>)),
)]
pub async fn archive(State(app): State<AppState>, caller: Caller, Id(id): Id) -> ApiResult<Data<()>> {
    set_archived(&app, &caller, id, true).await?;
    Ok(Data::none().message("Percakapan diarsipkan"))
}

/// Moves a conversation back into the caller's list.
#[utoipa::path(
    delete,
    path = "/api/v1/conversations/{id}/archive",
    tag = "chat",
    operation_id = "unarchive_conversation",
    params(("id" = uuid::Uuid, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Nothing>)),
)]
pub async fn unarchive(State(app): State<AppState>, caller: Caller, Id(id): Id) -> ApiResult<Data<()>> {
    set_archived(&app, &caller, id, false).await?;
    Ok(Data::none().message("Percakapan dikembalikan dari arsip"))
}

/// Asks the caller's clients to be silent about a conversation.
#[utoipa::path(
    post,
    path = "/api/v1/conversations/{id}/mute",
    tag = "chat",
    operation_id = "mute_conversation",
    params(("id" = uuid::Uuid, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Nothing>)),
)]
pub async fn mute(State(app): State<AppState>, caller: Caller, Id(id): Id) -> ApiResult<Data<()>> {
    set_muted(&app, &caller, id, true).await?;
    Ok(Data::none().message("Percakapan dibisukan"))
}

/// Lets the caller's clients be heard about a conversation again.
#[utoipa::path(
    delete,
    path = "/api/v1/conversations/{id}/mute",
    tag = "chat",
    operation_id = "unmute_conversation",
    params(("id" = uuid::Uuid, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Nothing>)),
)]
pub async fn unmute(State(app): State<AppState>, caller: Caller, Id(id): Id) -> ApiResult<Data<()>> {
    set_muted(&app, &caller, id, false).await?;
    Ok(Data::none().message("Percakapan tidak lagi dibisukan"))
}

async fn set_archived(app: &AppState, caller: &Caller, id: Uuid, value: bool) -> ApiResult<()> {
    super::find(&app.db, id, caller.id).await?;
    sqlx::query!(
        "update conversation_participants set is_archived = $3 where conversation_id = $1 and user_id = $2",
        id,
        caller.id,
        value,
    )
    .execute(&app.db)
    .await?;
    Ok(())
}

async fn set_muted(app: &AppState, caller: &Caller, id: Uuid, value: bool) -> ApiResult<()> {
    super::find(&app.db, id, caller.id).await?;
    sqlx::query!(
        "update conversation_participants set is_muted = $3 where conversation_id = $1 and user_id = $2",
        id,
        caller.id,
        value,
    )
    .execute(&app.db)
    .await?;
    Ok(())
}
