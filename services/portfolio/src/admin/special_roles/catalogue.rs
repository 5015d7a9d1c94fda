use grafikarsa_http::{ApiResult, Data, Envelope};
use serde::Serialize;
use utoipa::ToSchema;

use crate::capabilities::{Caller, Capability};

/// A capability as the form of a role shows it.
#[derive(Debug, Serialize, ToSchema)]
pub struct CatalogueEntry {
    key: &'static str,
    label: &'static str,
    group: &'static str,
}

/// All capabilities that a special role can hold.
#[utoipa::path(
    get,
    path = "/api/v1/admin/special-roles/capabilities",
    tag = "special roles",
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Vec<CatalogueEntry>>)),
)]
pub async fn capabilities(caller: Caller) -> ApiResult<Data<Vec<CatalogueEntry>>> {
    caller.require(Capability::SpecialRoles)?;
    let entries = Capability::ALL.iter().map(|capability| CatalogueEntry {
        key: capability.key(),
        label: capability.label(),
        group: capability.group(),
    });
    Ok(Data::new(entries.collect()))
}
