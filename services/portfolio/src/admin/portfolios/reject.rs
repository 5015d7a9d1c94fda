use axum::extract::State;
use chrono::{DateTime, Utc};
use grafikarsa_http::{ApiResult, Data, DeferredBody, Envelope, FieldErrors, Id, required_text};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{may_review, review};
use crate::{
    AppState,
    capabilities::{Caller, Capability},
    portfolios::{Status, access, status::Action},
};

#[derive(Debug, Deserialize, ToSchema)]
pub struct Rejection {
    /// What the owner should change: 1 to 2000 characters.
    note: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Rejected {
    id: Uuid,
    status: Status,
    admin_review_note: Option<String>,
    reviewed_at: Option<DateTime<Utc>>,
}

/// Gives a portfolio back to its owner with a note.
#[utoipa::path(
    post,
    path = "/api/v1/admin/portfolios/{id}/reject",
    tag = "moderation",
    params(("id" = Uuid, Path)),
    request_body = Rejection,
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Rejected>)),
)]
pub async fn reject(
    State(app): State<AppState>,
    caller: Caller,
    Id(id): Id,
    body: DeferredBody<Rejection>,
) -> ApiResult<Data<Rejected>> {
    caller.require(Capability::Moderation)?;
    may_review(&caller, &access::find(&app.db, id).await?, Action::Reject)?;
    let body = body.read().await?;
    let mut errors = FieldErrors::new();
    let note = required_text(&mut errors, "note", "Catatan", body.note.as_deref(), 1..=2000);
    errors.finish()?;

    let mut tx = app.db.begin().await?;
    let (status, reviewed) = review(&mut tx, &caller, id, Action::Reject, Some(&note)).await?;
    tx.commit().await?;
    let rejected =
        Rejected { id, status, admin_review_note: reviewed.admin_review_note, reviewed_at: reviewed.reviewed_at };
    Ok(Data::new(rejected).message("Portofolio ditolak"))
}
