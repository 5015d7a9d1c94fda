//! Moderation: what waits, and the decision about it.

use chrono::{DateTime, Utc};
use grafikarsa_http::{ApiError, ApiResult};
use serde_json::json;
use sqlx::PgConnection;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::audit;
use crate::{
    AppState,
    capabilities::Caller,
    notifications::{self, Kind},
    portfolios::{
        Status,
        access::{self, Loaded},
        events,
        status::Action,
    },
};

mod approve;
mod delete;
mod detail;
mod item;
mod list;
mod reject;
mod update;

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list::list))
        .routes(routes!(list::pending))
        .routes(routes!(detail::detail, update::update, delete::delete))
        .routes(routes!(approve::approve))
        .routes(routes!(reject::reject))
}

/// A portfolio after its review.
#[derive(Debug)]
struct Reviewed {
    admin_review_note: Option<String>,
    reviewed_at: Option<DateTime<Utc>>,
    published_at: Option<DateTime<Utc>>,
}

/// Tells the owner of a review; other statuses are told to nobody.
async fn tell_owner(
    connection: &mut PgConnection,
    portfolio: &Loaded,
    actor: Uuid,
    status: Status,
    note: Option<&str>,
    version: i64,
) -> Result<(), sqlx::Error> {
    let mut data = json!({
        "portfolio_id": portfolio.id,
        "portfolio_judul": portfolio.judul,
        "portfolio_slug": portfolio.slug,
    });
    let kind = match status {
        Status::Published => Kind::PortfolioApproved,
        Status::Rejected => {
            data["admin_note"] = json!(note);
            Kind::PortfolioRejected
        }
        _ => return Ok(()),
    };
    // Each review is told once: the version names it.
    let key = format!("{}:{version}", portfolio.id);
    notifications::insert(connection, portfolio.user_id, actor, kind, &key, data).await
}

/// For the check that comes before the body is read.
fn may_review(caller: &Caller, portfolio: &Loaded, action: Action) -> ApiResult<()> {
    if action.is_open_to(portfolio.actor(caller)) { Ok(()) } else { Err(ApiError::forbidden()) }
}

/// Decides about a waiting portfolio: of two moderators the row lock lets one win. Status, note, notification, audit
/// and event are one transaction.
async fn review(
    connection: &mut PgConnection,
    caller: &Caller,
    id: Uuid,
    action: Action,
    note: Option<&str>,
) -> ApiResult<(Status, Reviewed)> {
    let portfolio = access::lock(connection, id).await?;
    let status = action.apply(portfolio.status, portfolio.actor(caller))?;
    let row = sqlx::query!(
        "
        update portfolios
        set status = $2,
            admin_review_note = $3,
            reviewed_by = $4,
            reviewed_at = now(),
            published_at = case when $2 = 'published' then now() else published_at end,
            version = version + 1,
            updated_at = clock_timestamp()
        where id = $1
        returning version, admin_review_note, reviewed_at, published_at
        ",
        id,
        status.as_str(),
        note,
        caller.id,
    )
    .fetch_one(&mut *connection)
    .await?;
    tell_owner(connection, &portfolio, caller.id, status, note, row.version).await?;
    let action = if status == Status::Published { "portfolio.approve" } else { "portfolio.reject" };
    audit::record(connection, caller.id, action, id, &["status", "admin_review_note"]).await?;
    events::status_changed(connection, events::State { version: row.version, status, ..portfolio.state() }).await?;
    let reviewed = Reviewed {
        admin_review_note: row.admin_review_note,
        reviewed_at: row.reviewed_at,
        published_at: row.published_at,
    };
    Ok((status, reviewed))
}
