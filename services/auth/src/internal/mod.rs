//! Commands on accounts, for portfolio alone: each is idempotent by its command id, and its answer is kept.
//!
//! A new account, or a batch of them, is pending until portfolio confirms that its own part is stored, and goes away
//! after ten minutes. A change is applied at once.

mod change_account;
mod commands;
mod create_account;
mod create_accounts;

use axum::{
    Router,
    routing::{get, post},
};

pub(crate) use commands::expire;

use crate::app::AppState;

pub(crate) fn router(app: AppState) -> Router {
    Router::new()
        .route("/internal/accounts", post(create_account::create_account))
        .route("/internal/accounts/batch", post(create_accounts::create_accounts))
        .route("/internal/accounts/{id}/change", post(change_account::change_account))
        .route("/internal/commands/{id}", get(commands::status))
        .route("/internal/commands/{id}/confirm", post(commands::confirm))
        .route("/internal/commands/{id}/cancel", post(commands::cancel))
        .with_state(app)
}
