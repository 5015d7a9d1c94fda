use axum::extract::State;
use grafikarsa_http::{ApiError, ApiResult, Data, Envelope, Id};

use super::{
    access,
    detail::{self, PortfolioDetail},
};
use crate::{AppState, capabilities::Caller};

/// A portfolio in any status, for its owner's editor and for reviewers.
#[utoipa::path(
    get,
    path = "/api/v1/portfolios/id/{id}",
    tag = "portfolios",
    params(("id" = uuid::Uuid, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<PortfolioDetail>)),
)]
pub async fn by_id(State(app): State<AppState>, caller: Caller, Id(id): Id) -> ApiResult<Data<PortfolioDetail>> {
    let detail = detail::load(&app.db, id, &caller).await?;
    if detail.user_id != caller.id && !access::is_reviewer(detail.card.status, &caller) {
        return Err(ApiError::forbidden());
    }
    Ok(Data::new(detail))
}
