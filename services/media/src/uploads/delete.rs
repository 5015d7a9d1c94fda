use axum::extract::State;
use grafikarsa_events::outbox;
use grafikarsa_http::{ApiError, ApiResult, CurrentUser, Data, Path};
use proto_events::media::v1::ObjectDeleted;
use serde::Serialize;
use sqlx::PgConnection;
use std::time::Duration;
use tracing::Instrument as _;
use uuid::Uuid;

use super::{keys::Key, kinds::Kind};
use crate::{app::AppState, sweeps};

/// How long the answer waits until portfolio has cleared its fields. The event is durable either way.
const APPLIED: Duration = Duration::from_secs(2);

/// What portfolio is told of an object that is to go.
#[derive(Debug, Serialize)]
pub(crate) struct Object {
    pub(crate) object_key: String,
    pub(crate) url: String,
    pub(crate) kind: String,
    pub(crate) owner_id: Uuid,
    pub(crate) portfolio_id: Option<Uuid>,
}

#[derive(Debug, Serialize)]
struct Deletion<'a> {
    user_id: Uuid,
    #[serde(flatten)]
    object: &'a Object,
}

/// Removes an object with its renderings, and clears the field that shows it.
#[utoipa::path(
    delete,
    path = "/api/v1/uploads/{object_key}",
    operation_id = "delete_upload",
    tag = "uploads",
    params(("object_key" = String, Path, description = "Key of the object; its slashes as they are, or as %2F")),
    responses((status = 200)),
    security(("bearer" = []))
)]
pub(super) async fn delete(
    State(app): State<AppState>,
    user: CurrentUser,
    Path(object_key): Path<String>,
) -> ApiResult<Data<()>> {
    let key = Key::parse_named(&object_key).ok_or_else(|| ApiError::syntax("object_key", "Kunci objek tidak valid"))?;
    let object = sqlx::query!(
        "select kind, owner_id, portfolio_id from objects where object_key = $1 and deleted_at is null",
        key.text,
    )
    .fetch_optional(&app.db)
    .await?
    .ok_or_else(not_found)?;
    let object = Object {
        url: app.url(&object_key),
        object_key,
        kind: object.kind,
        owner_id: object.owner_id,
        portfolio_id: object.portfolio_id,
    };
    // In a task of its own: once portfolio has agreed, a client that hangs up must not leave it half done.
    let work = async move { remove(&app, object, user.id).await };
    tokio::spawn(work.instrument(tracing::Span::current())).await.map_err(ApiError::internal)??;
    Ok(Data::new(()))
}

fn not_found() -> ApiError {
    ApiError::not_found("OBJECT_NOT_FOUND", "File tidak ditemukan")
}

async fn remove(app: &AppState, object: Object, user: Uuid) -> ApiResult<()> {
    // Decides about rights and references, and from then on no block takes the object. Repeating it is harmless.
    let deletion = Deletion { user_id: user, object: &object };
    app.portfolio.post::<_, ()>("/internal/objects/deletion", &deletion).await?;
    let mut tx = app.db.begin().await?;
    // Somebody else may have been faster.
    let event = hide(&mut tx, &object, Some(user)).await?.ok_or_else(not_found)?;
    // Before the commit, or the signal could come before anybody listens.
    let applied = app.bus.await_applied(event).await.map_err(|error| ApiError::unavailable().because(error))?;
    tx.commit().await?;
    tracing::info!(kind = object.kind, by = %user, "an object was deleted");
    remove_bytes(app, object.object_key.clone(), object.kind.clone());
    let is_shown_somewhere =
        [Kind::Avatar, Kind::Banner, Kind::Thumbnail].iter().any(|kind| kind.as_str() == object.kind);
    if is_shown_somewhere && !applied.wait(APPLIED).await {
        tracing::warn!("portfolio has not applied the deletion yet");
    }
    Ok(())
}

/// Ends the serving of the object and announces that, and returns the event's id; `None` when it is deleted already.
pub(crate) async fn hide(
    connection: &mut PgConnection,
    object: &Object,
    deleted_by: Option<Uuid>,
) -> Result<Option<Uuid>, sqlx::Error> {
    let upload = sqlx::query_scalar!(
        r#"
        update objects
        set deleted_at = now()
        where object_key = $1 and deleted_at is null
        returning coalesce(upload_id, gen_random_uuid()) as "upload_id!"
        "#,
        object.object_key,
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(upload) = upload else { return Ok(None) };
    let event = ObjectDeleted {
        object_key: object.object_key.clone(),
        url: object.url.clone(),
        kind: object.kind.clone(),
        owner_id: object.owner_id.to_string(),
        portfolio_id: object.portfolio_id.map(|id| id.to_string()),
        deleted_by: deleted_by.map(|id| id.to_string()),
    };
    outbox::append(connection, &event, upload, 2).await.map(Some)
}

/// Nobody is served any more; what the store does not remove now is swept later.
fn remove_bytes(app: &AppState, object_key: String, kind: String) {
    let app = app.clone();
    tokio::spawn(async move {
        let removed = async {
            let mut connection = app.db.acquire().await?;
            sweeps::remove_object(&app, &mut connection, &object_key, &kind).await
        };
        if let Err(error) = removed.await {
            tracing::warn!(error = format!("{error:#}"), "an object stays until it is swept");
        }
    });
}
