use std::time::Duration;

use anyhow::anyhow;
use axum::extract::State;
use grafikarsa_http::{ApiError, ApiResult, CurrentUser, Data, DeferredBody, Envelope};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::Instrument as _;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    keys,
    kinds::Kind,
    publish::{self, Inspected, Refused},
    rights,
};
use crate::app::AppState;

/// How much longer than its deadline a confirmation keeps the upload to itself, for the commit. If its process dies,
/// another one may take over after this.
const MARGIN: Duration = Duration::from_secs(3);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct ConfirmRequest {
    #[schema(required)]
    upload_id: Option<Uuid>,
    #[schema(required)]
    object_key: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Confirmed {
    #[serde(rename = "type")]
    kind: &'static str,
    /// Absolute.
    url: String,
    object_key: String,
    portfolio_id: Option<Uuid>,
    block_id: Option<Uuid>,
    /// ThumbHash in base64: the blur to show while the picture loads; null for documents.
    placeholder: Option<String>,
}

/// An upload as it was promised.
#[derive(Clone, Debug)]
pub(crate) struct Upload {
    pub(crate) id: Uuid,
    pub(crate) kind: Kind,
    pub(crate) owner_id: Uuid,
    pub(crate) portfolio_id: Option<Uuid>,
    pub(crate) block_id: Option<Uuid>,
    pub(crate) filename: String,
    pub(crate) declared_size: i64,
    pub(crate) object_key: String,
}

/// Looks into what was PUT, publishes it, and tells the others.
#[utoipa::path(
    post,
    path = "/api/v1/uploads/confirm",
    tag = "uploads",
    request_body = ConfirmRequest,
    responses((status = 200, body = Envelope<Confirmed>)),
    security(("bearer" = []))
)]
pub(crate) async fn confirm(
    State(app): State<AppState>,
    user: CurrentUser,
    body: DeferredBody<ConfirmRequest>,
) -> ApiResult<Data<Confirmed>> {
    // From the beginning of the request, like the time limit around it, which must not answer before this is over.
    let deadline = Instant::now() + app.confirm_time_limit;
    let request = body.read().await?;
    let id = request.upload_id.ok_or_else(|| ApiError::syntax("upload_id", "ID unggahan wajib diisi"))?;
    let key = request.object_key.ok_or_else(|| ApiError::syntax("object_key", "Kunci objek wajib diisi"))?;
    let (upload, claim) = claim(&app, id, user.id, &key, deadline).await?;
    // In a task of its own: a client that hangs up must not leave the upload claimed.
    let work = async move {
        let result = settle(&app, &upload, claim, user.id, deadline).await;
        if let Err(error) = &result
            && error.code() != "UPLOAD_ALREADY_CONFIRMED"
        {
            release(&app, upload.id, claim).await;
        }
        result.map(|placeholder| {
            Data::new(Confirmed {
                kind: upload.kind.as_str(),
                url: app.url(&upload.object_key),
                object_key: upload.object_key,
                portfolio_id: upload.portfolio_id,
                block_id: upload.block_id,
                placeholder,
            })
        })
    };
    let working = tokio::spawn(work.instrument(tracing::Span::current()));
    working.await.map_err(ApiError::internal)?
}

/// Takes the upload for this confirmation alone. While another one is at work, waits for how it ends.
async fn claim(app: &AppState, id: Uuid, user: Uuid, key: &str, deadline: Instant) -> ApiResult<(Upload, Uuid)> {
    let claim = Uuid::now_v7();
    loop {
        let upload = find(app, id, user, key).await?;
        let claimed = sqlx::query!(
            "
            update uploads
            set claim = $2,
                claimed_until = now() + make_interval(secs => $3)
            where id = $1
              and state = 'issued'
              and (claimed_until is null or claimed_until < now())
            ",
            id,
            claim,
            (deadline.saturating_duration_since(Instant::now()) + MARGIN).as_secs_f64(),
        )
        .execute(&app.db)
        .await?
        .rows_affected();
        if claimed == 1 {
            return Ok((upload, claim));
        }
        if Instant::now() >= deadline {
            return Err(ApiError::unavailable().because(anyhow!("another confirmation does not end")));
        }
        sleep(LOOK_AGAIN).await;
    }
}

/// The upload, if the caller may confirm it now; the contract gives the order of the refusals.
async fn find(app: &AppState, id: Uuid, user: Uuid, key: &str) -> ApiResult<Upload> {
    let not_found = || ApiError::not_found("UPLOAD_NOT_FOUND", "Unggahan tidak ditemukan atau sudah kedaluwarsa");
    let row = sqlx::query!(
        "
        select
            kind,
            state,
            owner_id,
            portfolio_id,
            block_id,
            filename,
            declared_size,
            object_key
        from uploads
        where id = $1
          and state in ('issued', 'confirmed')
          and created_at > now() - interval '30 minutes'
        ",
        id,
    )
    .fetch_optional(&app.db)
    .await?
    .ok_or_else(not_found)?;
    if row.owner_id != user {
        return Err(ApiError::forbidden());
    }
    if row.state == "confirmed" {
        return Err(already_confirmed());
    }
    if row.object_key != key {
        return Err(ApiError::syntax("object_key", "Kunci objek tidak sesuai dengan unggahan"));
    }
    Ok(Upload {
        id,
        kind: row.kind.parse().map_err(|_| anyhow!("an upload of an unknown kind"))?,
        owner_id: row.owner_id,
        portfolio_id: row.portfolio_id,
        block_id: row.block_id,
        filename: row.filename,
        declared_size: row.declared_size,
        object_key: row.object_key,
    })
}

pub(super) fn already_confirmed() -> ApiError {
    ApiError::bad_request("UPLOAD_ALREADY_CONFIRMED", "Unggahan sudah dikonfirmasi")
}

/// The limit of a confirmation is over before it could commit: the client may try again.
pub(super) fn late() -> ApiError {
    ApiError::unavailable().because(anyhow!("a confirmation took too long"))
}

/// Publishes the upload, or refuses it for good. Returns the placeholder.
async fn settle(
    app: &AppState,
    upload: &Upload,
    claim: Uuid,
    user: Uuid,
    deadline: Instant,
) -> ApiResult<Option<String>> {
    let file = timeout_at(deadline, prepare(app, upload, user, deadline)).await;
    let placeholder = match file.unwrap_or_else(|_| Err(late().into())) {
        Ok(file) => publish::commit(app, upload, claim, file, deadline).await?,
        Err(Refused::ForNow(error)) => return Err(error),
        Err(Refused::File(error)) => {
            fail(app, upload, claim, error.code()).await?;
            remove_staging(app, upload.id);
            return Err(error);
        }
    };
    remove_staging(app, upload.id);
    Ok(placeholder)
}

/// Everything before the commit, which leaves nothing that counts.
async fn prepare(app: &AppState, upload: &Upload, user: Uuid, deadline: Instant) -> Result<Inspected, Refused> {
    if let Some(portfolio) = upload.portfolio_id {
        rights::require_edit(app, portfolio, user).await?;
    }
    let file = publish::inspect(app, upload, deadline).await?;
    publish::write(app, &upload.object_key, &file).await?;
    Ok(file)
}

/// Nobody can confirm a file that was refused; only the confirmation at work says so.
async fn fail(app: &AppState, upload: &Upload, claim: Uuid, why: &str) -> ApiResult<()> {
    tracing::info!(upload = %upload.id, kind = upload.kind.as_str(), why, "an upload was refused");
    sqlx::query!(
        "update uploads set state = 'failed', settled_at = now() where id = $1 and state = 'issued' and claim = $2",
        upload.id,
        claim,
    )
    .execute(&app.db)
    .await?;
    Ok(())
}

/// Best effort, and nothing that the answer waits for: what stays is swept later.
fn remove_staging(app: &AppState, upload: Uuid) {
    let store = app.store.clone();
    tokio::spawn(async move {
        if let Err(error) = store.delete(&keys::staging(upload)).await {
            tracing::warn!(%upload, error = format!("{error:#}"), "a staging object stays until it is swept");
        }
    });
}

/// Lets the client try again at once. If this fails, too, the claim runs out by itself.
async fn release(app: &AppState, upload: Uuid, claim: Uuid) {
    let released = sqlx::query!("update uploads set claimed_until = null where id = $1 and claim = $2", upload, claim)
        .execute(&app.db)
        .await;
    if let Err(error) = released {
        tracing::warn!(%upload, %error, "a claim stays until it runs out");
    }
}
