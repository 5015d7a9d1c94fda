use axum::extract::State;
use grafikarsa_http::{ApiResult, Data, Envelope, Id};

use super::render::{Conversation, render_one};
use crate::{AppState, capabilities::Caller};

/// A conversation as the caller has it.
#[utoipa::path(
    get,
    path = "/api/v1/conversations/{id}",
    tag = "chat",
    operation_id = "conversation",
    params(("id" = uuid::Uuid, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Conversation>)),
)]
pub async fn detail(State(app): State<AppState>, caller: Caller, Id(id): Id) -> ApiResult<Data<Conversation>> {
    let mut connection = app.db.acquire().await?;
    super::find(&mut *connection, id, caller.id).await?;
    Ok(Data::new(render_one(&mut connection, caller.id, id).await?))
}
