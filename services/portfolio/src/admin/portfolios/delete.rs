use axum::extract::State;
use grafikarsa_http::{ApiError, ApiResult, Data, Envelope, Id, Nothing};

use crate::{
    AppState,
    admin::audit,
    capabilities::{Caller, Capability},
    portfolios::{access, delete},
};

/// Deletes a portfolio. Nobody but an admin deletes his own here.
#[utoipa::path(
    delete,
    path = "/api/v1/admin/portfolios/{id}",
    tag = "admin portfolios",
    operation_id = "admin_delete_portfolio",
    params(("id" = uuid::Uuid, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Nothing>)),
)]
pub async fn delete(State(app): State<AppState>, caller: Caller, Id(id): Id) -> ApiResult<Data<()>> {
    caller.require(Capability::Portfolios)?;
    let mut tx = app.db.begin().await?;
    let portfolio = access::lock(&mut tx, id).await?;
    if portfolio.user_id == caller.id && !caller.is_admin() {
        return Err(ApiError::forbidden());
    }
    delete::mark(&mut tx, &portfolio).await?;
    audit::record(&mut tx, caller.id, "portfolio.delete", id, &[]).await?;
    tx.commit().await?;
    Ok(Data::none().message("Portofolio berhasil dihapus"))
}
