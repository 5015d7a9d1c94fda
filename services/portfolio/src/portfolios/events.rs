//! What the others hear of portfolios. Each is written after the portfolio's row lock, in the change's transaction.

use grafikarsa_events::outbox;
use proto_events::portfolio::v1::{
    MediaReleased, PortfolioCreated, PortfolioDeleted, PortfolioState, PortfolioStatusChanged,
};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Status;

/// The state of a portfolio after a change.
#[derive(Clone, Copy, Debug)]
pub struct State {
    pub id: Uuid,
    pub owner: Uuid,
    pub version: i64,
    pub status: Status,
}

impl State {
    fn message(self, deleted: bool) -> PortfolioState {
        PortfolioState {
            id: self.id.to_string(),
            owner_id: self.owner.to_string(),
            version: self.version,
            status: self.status.as_str().to_owned(),
            deleted,
        }
    }
}

pub async fn created(connection: &mut PgConnection, state: State) -> Result<(), sqlx::Error> {
    let event = PortfolioCreated { portfolio: Some(state.message(false)) };
    outbox::append(connection, &event, state.id, state.version).await.map(drop)
}

pub async fn status_changed(connection: &mut PgConnection, state: State) -> Result<(), sqlx::Error> {
    let event = PortfolioStatusChanged { portfolio: Some(state.message(false)) };
    outbox::append(connection, &event, state.id, state.version).await.map(drop)
}

pub async fn deleted(connection: &mut PgConnection, state: State) -> Result<(), sqlx::Error> {
    let event = PortfolioDeleted { portfolio: Some(state.message(true)) };
    outbox::append(connection, &event, state.id, state.version).await.map(drop)
}

/// Nothing points to these objects of a portfolio any more.
pub async fn released(connection: &mut PgConnection, state: State, urls: Vec<String>) -> Result<(), sqlx::Error> {
    if urls.is_empty() {
        return Ok(());
    }
    let event = MediaReleased {
        owner_id: state.owner.to_string(),
        portfolio_id: Some(state.id.to_string()),
        object_keys: Vec::new(),
        urls,
    };
    outbox::append(connection, &event, state.id, state.version).await.map(drop)
}
