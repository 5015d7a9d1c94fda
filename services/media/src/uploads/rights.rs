//! What portfolio says about a caller and a portfolio.

use grafikarsa_http::{ApiError, ApiResult};
use serde::Deserialize;
use uuid::Uuid;

use crate::app::AppState;

/// What the caller may do with a portfolio.
#[derive(Debug, Deserialize)]
pub(crate) struct Rights {
    /// Owner or manager.
    pub(crate) can_edit: bool,
    pub(crate) visible: bool,
}

#[derive(Deserialize)]
struct Block {
    exists: bool,
}

/// `user` is absent for a guest. 404 `PORTFOLIO_NOT_FOUND` when the portfolio is unknown or deleted; 503 when the
/// portfolio service does not answer.
pub(crate) async fn ask(app: &AppState, portfolio: Uuid, user: Option<Uuid>) -> ApiResult<Rights> {
    let asker = user.map(|user| format!("?user_id={user}")).unwrap_or_default();
    Ok(app.portfolio.get(&format!("/internal/portfolios/{portfolio}/rights{asker}")).await?)
}

/// The caller must be the owner or a manager.
pub(crate) async fn require_edit(app: &AppState, portfolio: Uuid, user: Uuid) -> ApiResult<()> {
    let rights = ask(app, portfolio, Some(user)).await?;
    if rights.can_edit { Ok(()) } else { Err(ApiError::forbidden()) }
}

/// The block must be one of the portfolio.
pub(crate) async fn require_block(app: &AppState, portfolio: Uuid, block: Uuid) -> ApiResult<()> {
    let answer: Block = app.portfolio.get(&format!("/internal/portfolios/{portfolio}/blocks/{block}")).await?;
    if answer.exists { Ok(()) } else { Err(ApiError::not_found("NOT_FOUND", "Blok konten tidak ditemukan")) }
}
