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
    let mut snapshot = detail::snapshot(&app.db).await?;
    let portfolio = access::find(&mut *snapshot, id).await?;
    if !portfolio.is_owned_by(&caller) && !access::is_reviewer(portfolio.status, &caller) {
        return Err(ApiError::forbidden());
    }
    let detail = detail::load(&mut snapshot, id, &caller).await?;
    snapshot.commit().await?;
    Ok(Data::new(detail))
}
