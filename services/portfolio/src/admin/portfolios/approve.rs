use axum::extract::State;
use chrono::{DateTime, Utc};
use grafikarsa_http::{ApiResult, Data, Envelope, FieldErrors, Id, OptionalBody, optional_text};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{may_review, review};
use crate::{
    AppState,
    capabilities::{Caller, Capability},
    portfolios::{Status, access, status::Action},
};

#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct Approval {
    /// At most 2000 characters.
    note: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Approved {
    id: Uuid,
    status: Status,
    admin_review_note: Option<String>,
    reviewed_at: Option<DateTime<Utc>>,
    published_at: Option<DateTime<Utc>>,
}

/// Publishes a portfolio that waits for a review.
#[utoipa::path(
    post,
    path = "/api/v1/admin/portfolios/{id}/approve",
    tag = "moderation",
    params(("id" = Uuid, Path)),
    request_body = Option<Approval>,
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Approved>)),
)]
pub async fn approve(
    State(app): State<AppState>,
    caller: Caller,
    Id(id): Id,
    body: OptionalBody<Approval>,
) -> ApiResult<Data<Approved>> {
    caller.require(Capability::Moderation)?;
    may_review(&caller, &access::find(&app.db, id).await?, Action::Approve)?;
    let body = body.read().await?.unwrap_or_default();
    let mut errors = FieldErrors::new();
    let note = optional_text(&mut errors, "note", "Catatan", body.note.as_deref(), 0..=2000);
    errors.finish()?;

    let mut tx = app.db.begin().await?;
    let (status, reviewed) = review(&mut tx, &caller, id, Action::Approve, note.as_deref()).await?;
    tx.commit().await?;
    let approved = Approved {
        id,
        status,
        admin_review_note: reviewed.admin_review_note,
        reviewed_at: reviewed.reviewed_at,
        published_at: reviewed.published_at,
    };
    Ok(Data::new(approved).message("Portofolio disetujui dan dipublikasikan"))
}
