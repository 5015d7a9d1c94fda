use axum::extract::State;
use grafikarsa_http::{ApiResult, Data, DeferredBody, Envelope, FieldErrors, Id, nullable, optional_text};
use serde::Deserialize;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Feedback, FeedbackStatus, load, not_found};
use crate::{
    AppState,
    admin::audit,
    capabilities::{Caller, Capability},
    notifications::{self, FeedbackUpdate},
};

/// What to change; absent is unchanged.
#[derive(Debug, Deserialize, ToSchema)]
pub struct FeedbackPatch {
    /// `pending`, `read` or `resolved`, from any of them.
    status: Option<String>,
    /// At most 1000 characters. `null` clears, an empty text changes nothing.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>)]
    admin_notes: Option<Option<String>>,
}

/// Changes status and notes. The author is told of another status, never of the notes.
#[utoipa::path(
    patch,
    path = "/api/v1/admin/feedback/{id}",
    tag = "feedback",
    operation_id = "update_feedback",
    params(("id" = Uuid, Path)),
    request_body = FeedbackPatch,
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Feedback>)),
)]
pub async fn update(
    State(app): State<AppState>,
    caller: Caller,
    Id(id): Id,
    body: DeferredBody<FeedbackPatch>,
) -> ApiResult<Data<Feedback>> {
    caller.require(Capability::Feedback)?;
    load(&mut *app.db.acquire().await?, id).await?;
    let patch = body.read().await?;
    let mut errors = FieldErrors::new();
    let status = patch.status.as_deref().and_then(|text| {
        let status = FeedbackStatus::parse(text.trim());
        if status.is_none() {
            errors.add("status", "Status harus pending, read, atau resolved");
        }
        status
    });
    let notes = match patch.admin_notes {
        None => None,
        Some(None) => Some(None),
        // The web client sends an empty text with every status, whether or not there are notes.
        Some(Some(text)) => optional_text(&mut errors, "admin_notes", "Catatan", Some(&text), 0..=1000).map(Some),
    };
    errors.finish()?;

    let mut tx = app.db.begin().await?;
    let before = lock(&mut tx, id).await?;
    let status = status.filter(|status| *status != before.status);
    let notes = notes.filter(|notes| *notes != before.admin_notes);
    if let Some(status) = status {
        set_status(&mut tx, id, status, caller.id).await?;
        if let Some(author) = before.user_id {
            let actor_role = title(&mut tx, &caller).await?;
            let update = FeedbackUpdate {
                recipient: author,
                actor: caller.id,
                actor_role: &actor_role,
                feedback_id: id,
                old_status: before.status.as_str(),
                new_status: status.as_str(),
            };
            notifications::feedback_updated(&mut tx, update).await?;
        }
    }
    if let Some(notes) = &notes {
        sqlx::query!(
            "update feedback set admin_notes = $2, updated_at = clock_timestamp() where id = $1",
            id,
            notes.as_deref(),
        )
        .execute(&mut *tx)
        .await?;
    }
    let changed: Vec<&str> = [status.is_some().then_some("status"), notes.is_some().then_some("admin_notes")]
        .into_iter()
        .flatten()
        .collect();
    if !changed.is_empty() {
        audit::record(&mut tx, caller.id, "feedback.update", id, &changed).await?;
    }
    let feedback = load(&mut tx, id).await?;
    tx.commit().await?;
    Ok(Data::new(feedback).message("Feedback berhasil diperbarui"))
}

/// A message with its row locked: of two equal changes the second finds nothing to change.
struct Locked {
    user_id: Option<Uuid>,
    status: FeedbackStatus,
    admin_notes: Option<String>,
}

async fn lock(connection: &mut PgConnection, id: Uuid) -> ApiResult<Locked> {
    let found = sqlx::query_as!(
        Locked,
        r#"select user_id, status as "status: FeedbackStatus", admin_notes from feedback where id = $1 for no key update"#,
        id,
    )
    .fetch_optional(connection)
    .await?;
    found.ok_or_else(not_found)
}

/// Who resolved it and when is known as long as it is resolved.
async fn set_status(
    connection: &mut PgConnection,
    id: Uuid,
    status: FeedbackStatus,
    actor: Uuid,
) -> Result<(), sqlx::Error> {
    let resolved_by = (status == FeedbackStatus::Resolved).then_some(actor);
    sqlx::query!(
        "
        update feedback
        set status = $2,
            resolved_by = $3,
            resolved_at = case when $3::uuid is not null then clock_timestamp() end,
            updated_at = clock_timestamp()
        where id = $1
        ",
        id,
        status.as_str(),
        resolved_by,
    )
    .execute(connection)
    .await
    .map(drop)
}

/// What the caller is called where the author reads of him.
async fn title(connection: &mut PgConnection, caller: &Caller) -> Result<String, sqlx::Error> {
    if caller.is_admin() {
        return Ok("Admin".to_owned());
    }
    let role = sqlx::query_scalar!(
        "
        select r.nama
        from user_special_roles a
        join special_roles r on r.id = a.special_role_id
        where a.user_id = $1 and r.is_active and r.deleted_at is null and $2 = any(r.capabilities)
        order by r.nama, r.id
        limit 1
        ",
        caller.id,
        Capability::Feedback.key(),
    )
    .fetch_optional(connection)
    .await?;
    Ok(role.unwrap_or_else(|| "Moderator".to_owned()))
}
