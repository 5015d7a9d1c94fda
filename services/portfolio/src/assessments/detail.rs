use axum::extract::State;
use grafikarsa_http::{ApiResult, Data, Envelope, Id};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Assessment, PortfolioBrief, find, load, must_be_published, must_not_be_owned_by};
use crate::{
    AppState,
    capabilities::{Caller, Capability},
};

#[derive(Debug, Serialize, ToSchema)]
pub struct AssessedPortfolio {
    portfolio: PortfolioBrief,
    /// `null` until somebody assesses it.
    assessment: Option<Assessment>,
}

/// A published portfolio with its assessment, if it has one. Its owner is refused, whatever he may do otherwise.
#[utoipa::path(
    get,
    path = "/api/v1/admin/assessments/{portfolio_id}",
    tag = "assessments",
    operation_id = "get_assessment",
    params(("portfolio_id" = uuid::Uuid, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<AssessedPortfolio>)),
)]
pub async fn detail(State(app): State<AppState>, caller: Caller, Id(id): Id) -> ApiResult<Data<AssessedPortfolio>> {
    caller.require(Capability::Assessments)?;
    let portfolio = find(&app.db, id).await?;
    must_not_be_owned_by(&caller, &portfolio)?;
    must_be_published(&portfolio)?;
    let assessment = load(&app.db, portfolio.clone()).await?;
    Ok(Data::new(AssessedPortfolio { portfolio: portfolio.into(), assessment }))
}
