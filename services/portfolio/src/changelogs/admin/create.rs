use std::collections::HashMap;

use axum::extract::State;
use grafikarsa_http::{ApiError, ApiResult, Data, DeferredBody, Envelope};
use uuid::Uuid;

use super::{
    Turn,
    input::{self, ChangelogInput, Checked},
    pictures, write,
};
use crate::{
    AppState,
    admin::audit,
    capabilities::{Caller, Capability},
    changelogs::view::{self, AdminChangelog, Audience},
};

/// Creates a draft, with the pictures that come inside of the body.
#[utoipa::path(
    post,
    path = "/api/v1/admin/changelogs",
    tag = "admin changelogs",
    request_body = ChangelogInput,
    security(("bearer" = [])),
    responses((status = 201, body = Envelope<AdminChangelog>)),
)]
pub async fn create(
    State(app): State<AppState>,
    caller: Caller,
    body: DeferredBody<ChangelogInput>,
) -> ApiResult<Data<AdminChangelog>> {
    caller.require(Capability::Changelog)?;
    let turn = Turn::take().await?;
    let input = turn.read(body).await?;
    let created = super::to_the_end(async move {
        let checked = input::check(&app.db, app.rules.clone(), input, true, HashMap::new()).await?;
        save(&app, &turn, caller.id, checked).await
    });
    Ok(Data::created(created.await?).message("Changelog berhasil dibuat"))
}

async fn save(app: &AppState, turn: &Turn, author: Uuid, mut new: Checked) -> ApiResult<AdminChangelog> {
    let id = Uuid::now_v7();
    let stored = pictures::store(app, turn, id, new.sections.as_deref_mut().unwrap_or_default()).await?;
    let saved = insert(app, id, author, &new).await;
    pictures::settle(app, id, stored, saved).await
}

async fn insert(app: &AppState, id: Uuid, author: Uuid, new: &Checked) -> ApiResult<AdminChangelog> {
    let mut tx = app.db.begin().await?;
    let sections = new.sections.as_deref().unwrap_or_default();
    write::lock(&mut tx, id, sections).await?;
    write::must_stay(&mut tx, id, sections).await?;
    sqlx::query!(
        "
        insert into changelogs (id, version, title, description, release_date, created_by)
        values ($1, $2, $3, $4, coalesce($5, (now() at time zone 'utc')::date), $6)
        ",
        id,
        new.version,
        new.title,
        new.description.clone().flatten(),
        new.release_date,
        author,
    )
    .execute(&mut *tx)
    .await?;
    write::sections(&mut tx, id, sections).await?;
    write::contributors(&mut tx, id, new.contributors.as_deref().unwrap_or_default()).await?;
    audit::record(&mut tx, author, "changelog.create", id, &new.fields()).await?;
    let created = view::find(&mut *tx, id, Audience::Staff).await?;
    tx.commit().await?;
    created.map(Into::into).ok_or_else(|| ApiError::internal(sqlx::Error::RowNotFound))
}
