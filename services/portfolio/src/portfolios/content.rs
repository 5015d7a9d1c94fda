//! What happens to a portfolio when its content has really changed.

use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    Status,
    access::Loaded,
    events,
    status::{Actor, after_content_change},
};
use crate::{capabilities::Caller, settings::Rules};

/// Who made the change.
#[derive(Clone, Copy, Debug)]
pub struct Editor {
    pub id: Uuid,
    pub is_manager: bool,
}

impl From<&Caller> for Editor {
    fn from(caller: &Caller) -> Self {
        Self { id: caller.id, is_manager: caller.is_manager() }
    }
}

/// The status after `editor` has changed the content.
pub fn next_status(portfolio: &Loaded, editor: Editor, rules: &Rules) -> Status {
    let actor = Actor { is_owner: editor.id == portfolio.user_id, is_manager: editor.is_manager, ..Actor::default() };
    after_content_change(portfolio.status, actor, rules.remoderate_edits)
}

/// Raises version and time of the portfolio, makes its preview anew and moves it to its next status. Call it after the
/// change, in its transaction, with the row locked.
pub async fn changed(
    connection: &mut PgConnection,
    portfolio: &Loaded,
    editor: Editor,
    rules: &Rules,
) -> Result<Status, sqlx::Error> {
    let status = next_status(portfolio, editor, rules);
    let version = sqlx::query_scalar!(
        "
        update portfolios
        set version = version + 1,
            status = $2,
            preview_text = (
                select preview
                from content_blocks
                where portfolio_id = $1 and preview is not null
                order by block_order
                limit 1
            ),
            updated_at = clock_timestamp()
        where id = $1
        returning version
        ",
        portfolio.id,
        status.as_str(),
    )
    .fetch_one(&mut *connection)
    .await?;
    if status != portfolio.status {
        events::status_changed(connection, events::State { version, status, ..portfolio.state() }).await?;
    }
    Ok(status)
}
