use axum::extract::State;
use grafikarsa_http::{ApiError, ApiResult, Data, Envelope, Id, Nothing};
use uuid::Uuid;

use crate::{
    AppState,
    admin::audit,
    capabilities::{Caller, Capability},
    changelogs::not_found,
};

/// Shows a draft to everybody.
#[utoipa::path(
    post,
    path = "/api/v1/admin/changelogs/{id}/publish",
    tag = "admin changelogs",
    params(("id" = Uuid, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Nothing>)),
)]
pub async fn publish(State(app): State<AppState>, caller: Caller, Id(id): Id) -> ApiResult<Data<()>> {
    caller.require(Capability::Changelog)?;
    let already = || ApiError::bad_request("ALREADY_PUBLISHED", "Changelog sudah dipublikasikan");
    set(&app, caller.id, id, true).await?.then_some(()).ok_or_else(already)?;
    Ok(Data::none().message("Changelog berhasil dipublikasikan"))
}

/// Makes a draft of it again. Who has read it has read it.
#[utoipa::path(
    post,
    path = "/api/v1/admin/changelogs/{id}/unpublish",
    tag = "admin changelogs",
    params(("id" = Uuid, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Nothing>)),
)]
pub async fn unpublish(State(app): State<AppState>, caller: Caller, Id(id): Id) -> ApiResult<Data<()>> {
    caller.require(Capability::Changelog)?;
    let not_published = || ApiError::bad_request("NOT_PUBLISHED", "Changelog belum dipublikasikan");
    set(&app, caller.id, id, false).await?.then_some(()).ok_or_else(not_published)?;
    Ok(Data::none().message("Publikasi changelog berhasil dibatalkan"))
}

/// False when it is so already: of two at once one finds that.
async fn set(app: &AppState, editor: Uuid, id: Uuid, is_published: bool) -> ApiResult<bool> {
    let mut tx = app.db.begin().await?;
    let changed = sqlx::query!(
        "
        update changelogs
        set is_published = $2, updated_at = now()
        where id = $1 and deleted_at is null and is_published <> $2
        ",
        id,
        is_published,
    )
    .execute(&mut *tx)
    .await?;
    if changed.rows_affected() == 0 {
        let found = sqlx::query_scalar!("select id from changelogs where id = $1 and deleted_at is null", id);
        return found.fetch_optional(&mut *tx).await?.map(|_| false).ok_or_else(not_found);
    }
    let action = if is_published { "changelog.publish" } else { "changelog.unpublish" };
    audit::record(&mut tx, editor, action, id, &["is_published"]).await?;
    tx.commit().await?;
    Ok(true)
}
