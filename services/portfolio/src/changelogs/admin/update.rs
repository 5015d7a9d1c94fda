use std::collections::HashMap;

use axum::extract::State;
use grafikarsa_http::{ApiResult, Data, DeferredBody, Envelope, Id};
use sqlx::{PgConnection, PgPool};
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
    changelogs::{
        not_found,
        view::{self, AdminChangelog, Audience},
    },
};

/// Changes a changelog, a draft or published. Sections and contributors that are sent take the place of all.
#[utoipa::path(
    patch,
    path = "/api/v1/admin/changelogs/{id}",
    tag = "admin changelogs",
    params(("id" = Uuid, Path)),
    request_body = ChangelogInput,
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<AdminChangelog>)),
)]
pub async fn update(
    State(app): State<AppState>,
    caller: Caller,
    Id(id): Id,
    body: DeferredBody<ChangelogInput>,
) -> ApiResult<Data<AdminChangelog>> {
    caller.require(Capability::Changelog)?;
    exists(&app.db, id).await?;
    let turn = Turn::take().await?;
    let input = turn.read(body).await?;
    let updated = super::to_the_end(async move {
        let standing = standing(&app.db, id).await?;
        let checked = input::check(&app.db, app.rules.clone(), input, false, standing).await?;
        save(&app, &turn, caller.id, id, checked).await
    });
    Ok(Data::new(updated.await?).message("Changelog berhasil diperbarui"))
}

async fn exists(db: &PgPool, id: Uuid) -> ApiResult<()> {
    let found = sqlx::query_scalar!("select id from changelogs where id = $1 and deleted_at is null", id);
    found.fetch_optional(db).await?.map(drop).ok_or_else(not_found)
}

/// Addresses of images that the changelog shows, with their objects.
async fn standing(db: &PgPool, id: Uuid) -> Result<HashMap<String, Option<String>>, sqlx::Error> {
    let images = sqlx::query!(
        r#"
        select b.payload ->> 'url' as "url!", b.object_key
        from changelog_sections s
        join changelog_blocks b on b.section_id = s.id
        where s.changelog_id = $1 and b.block_type = 'image'
        "#,
        id,
    )
    .fetch_all(db)
    .await?;
    Ok(images.into_iter().map(|image| (image.url, image.object_key)).collect())
}

async fn save(app: &AppState, turn: &Turn, editor: Uuid, id: Uuid, mut change: Checked) -> ApiResult<AdminChangelog> {
    let stored = pictures::store(app, turn, id, change.sections.as_deref_mut().unwrap_or_default()).await?;
    let saved = write(app, editor, id, &change).await;
    pictures::settle(app, id, stored, saved).await
}

async fn write(app: &AppState, editor: Uuid, id: Uuid, change: &Checked) -> ApiResult<AdminChangelog> {
    let mut tx = app.db.begin().await?;
    let sections = change.sections.as_deref().unwrap_or_default();
    if !write::lock(&mut tx, id, sections).await? {
        return Err(not_found());
    }
    write::must_stay(&mut tx, id, sections).await?;
    let fields = change.fields();
    if !fields.is_empty() {
        apply(&mut tx, id, change).await?;
        audit::record(&mut tx, editor, "changelog.update", id, &fields).await?;
    }
    let updated = view::find(&mut *tx, id, Audience::Staff).await?.ok_or_else(not_found)?;
    tx.commit().await?;
    Ok(updated.into())
}

async fn apply(connection: &mut PgConnection, id: Uuid, change: &Checked) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "
        update changelogs
        set version = coalesce($2, version),
            title = coalesce($3, title),
            description = case when $4 then $5 else description end,
            release_date = coalesce($6, release_date),
            updated_at = now()
        where id = $1
        ",
        id,
        change.version,
        change.title,
        change.description.is_some(),
        change.description.clone().flatten(),
        change.release_date,
    )
    .execute(&mut *connection)
    .await?;
    if let Some(sections) = &change.sections {
        let before = write::own_objects(connection, id).await?;
        write::sections(connection, id, sections).await?;
        let after = write::own_objects(connection, id).await?;
        pictures::release(connection, id, before.difference(&after).cloned().collect()).await?;
    }
    if let Some(contributors) = &change.contributors {
        write::contributors(connection, id, contributors).await?;
    }
    Ok(())
}
