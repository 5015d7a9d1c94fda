use axum::extract::State;
use grafikarsa_http::{ApiResult, Data, Envelope, Query, search_text};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Filter, SpecialRole};
use crate::{
    AppState,
    capabilities::{Caller, Capability},
    portfolios::filters,
};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Part of the name.
    search: Option<String>,
    /// `true` lists inactive ones too.
    include_inactive: Option<String>,
}

/// Special roles by name, at most 500.
#[utoipa::path(
    get,
    path = "/api/v1/admin/special-roles",
    tag = "special roles",
    params(ListQuery),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Vec<SpecialRole>>)),
)]
pub async fn list(
    State(app): State<AppState>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> ApiResult<Data<Vec<SpecialRole>>> {
    let inactive_too = filters::boolean("include_inactive", query.include_inactive.as_deref())?.unwrap_or(false);
    let search = search_text("search", query.search.as_deref())?;
    caller.require(Capability::SpecialRoles)?;
    let filter = Filter { search, active_only: !inactive_too, ..Filter::default() };
    Ok(Data::new(SpecialRole::fetch(&app.db, &filter).await?))
}

/// Active special roles by name, at most 500: what the form of a user offers.
#[utoipa::path(
    get,
    path = "/api/v1/admin/special-roles/active",
    tag = "special roles",
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Vec<SpecialRole>>)),
)]
pub async fn active(State(app): State<AppState>, caller: Caller) -> ApiResult<Data<Vec<SpecialRole>>> {
    caller.require_any(&[Capability::SpecialRoles, Capability::Users])?;
    let filter = Filter { active_only: true, ..Filter::default() };
    Ok(Data::new(SpecialRole::fetch(&app.db, &filter).await?))
}
