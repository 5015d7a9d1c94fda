use axum::extract::State;
use grafikarsa_http::{ApiResult, Data, Envelope, Id};

use super::{
    not_found,
    view::{self, Audience, Changelog},
};
use crate::AppState;

/// A published release. Looking at it does not mark it as read.
#[utoipa::path(
    get,
    path = "/api/v1/changelogs/{id}",
    tag = "changelogs",
    params(("id" = Uuid, Path)),
    responses((status = 200, body = Envelope<Changelog>)),
)]
pub async fn detail(State(app): State<AppState>, Id(id): Id) -> ApiResult<Data<Changelog>> {
    let row = view::find(&app.db, id, Audience::Public).await?.ok_or_else(not_found)?;
    Ok(Data::new(row.into()))
}
