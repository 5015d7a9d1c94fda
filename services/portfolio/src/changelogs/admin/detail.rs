use axum::extract::State;
use grafikarsa_http::{ApiResult, Data, Envelope, Id};

use crate::{
    AppState,
    capabilities::{Caller, Capability},
    changelogs::{
        not_found,
        view::{self, AdminChangelog, Audience},
    },
};

/// A changelog as the editor opens it, a draft or published.
#[utoipa::path(
    get,
    path = "/api/v1/admin/changelogs/{id}",
    tag = "admin changelogs",
    params(("id" = Uuid, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<AdminChangelog>)),
)]
pub async fn detail(State(app): State<AppState>, caller: Caller, Id(id): Id) -> ApiResult<Data<AdminChangelog>> {
    caller.require(Capability::Changelog)?;
    let row = view::find(&app.db, id, Audience::Staff).await?.ok_or_else(not_found)?;
    Ok(Data::new(row.into()))
}
