//! What media asks before an object goes. The answer holds: objects are noted as gone while whatever could refer to them
//! is locked. Repeating a question changes nothing.

use axum::extract::State;
use grafikarsa_http::{ApiError, ApiResult, Body, Data};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    AppState, blocks,
    chat::messages,
    portfolios::access::{self, Loaded},
};

/// So many are asked for together.
const MOST: usize = 100;

/// An object of media.
#[derive(Debug, Deserialize)]
pub struct Object {
    object_key: String,
    url: String,
    kind: String,
    owner_id: Uuid,
    portfolio_id: Option<Uuid>,
}

/// An object that somebody wants to delete.
#[derive(Debug, Deserialize)]
pub struct Deletion {
    user_id: Uuid,
    #[serde(flatten)]
    object: Object,
}

/// Says whether the user may delete the object, and notes that it goes.
pub async fn delete(State(app): State<AppState>, Body(deletion): Body<Deletion>) -> ApiResult<Data<()>> {
    let Deletion { user_id, object } = deletion;
    let caller = match app.callers.get(user_id).await {
        Ok(caller) => caller,
        // Deactivated or deleted in the meantime. The peer would take a 401 for its own.
        Err(error) if error.status().is_client_error() => return Err(ApiError::forbidden()),
        Err(error) => return Err(error),
    };
    let mut tx = app.db.begin().await?;
    match object.portfolio_id {
        None if !caller.is_admin() && caller.id != object.owner_id => return Err(ApiError::forbidden()),
        None if object.kind == "chat_image" && is_sent(&mut tx, &object).await? => {
            return Err(ApiError::conflict("OBJECT_IN_USE", "File masih dipakai oleh sebuah pesan"));
        }
        None if object.kind == "changelog_image" && is_in_changelogs(&mut tx, &object).await? => {
            return Err(ApiError::conflict("OBJECT_IN_USE", "File masih dipakai oleh sebuah changelog"));
        }
        None => {}
        Some(id) => match lock(&mut tx, id).await? {
            Some(portfolio) => {
                portfolio.must_be_editable_by(&caller)?;
                if blocks::refer_to(&mut tx, id, &object.object_key, &app.rules.storage_base).await? {
                    return Err(ApiError::conflict("OBJECT_IN_USE", "File masih dipakai oleh sebuah blok konten"));
                }
            }
            // What is left of a deleted one may be removed by an admin before the sweep does it.
            None if caller.is_admin() => {}
            None => return Err(access::not_found()),
        },
    }
    note_as_gone(&mut tx, &object).await?;
    tx.commit().await?;
    Ok(Data::new(()))
}

#[derive(Debug, Deserialize)]
pub struct Candidates {
    objects: Vec<Object>,
}

#[derive(Debug, Serialize)]
pub struct Unreferenced {
    /// Keys.
    unreferenced: Vec<String>,
}

/// Says which of the objects nothing refers to, and notes that these go.
pub async fn unreferenced(
    State(app): State<AppState>,
    Body(Candidates { objects }): Body<Candidates>,
) -> ApiResult<Data<Unreferenced>> {
    if objects.len() > MOST {
        return Err(ApiError::syntax("objects", "too many"));
    }
    let mut unreferenced = Vec::new();
    for object in objects {
        // One at a time: no two portfolios or users are locked together.
        let mut tx = app.db.begin().await?;
        let used = match object.portfolio_id {
            None if matches!(object.kind.as_str(), "avatar" | "banner") => is_shown(&mut tx, &object).await?,
            None if object.kind == "changelog_image" => is_in_changelogs(&mut tx, &object).await?,
            None if object.kind == "chat_image" => is_sent(&mut tx, &object).await?,
            // Of what could refer to other kinds nothing is known here: they stay.
            None => true,
            Some(id) => match lock(&mut tx, id).await? {
                Some(portfolio) => {
                    portfolio.thumbnail_url.as_deref() == Some(&object.url)
                        || blocks::refer_to(&mut tx, id, &object.object_key, &app.rules.storage_base).await?
                }
                None => false,
            },
        };
        if !used {
            note_as_gone(&mut tx, &object).await?;
            unreferenced.push(object.object_key);
        }
        tx.commit().await?;
    }
    Ok(Data::new(Unreferenced { unreferenced }))
}

/// The portfolio with its row locked, as whoever writes its blocks locks it; `None` when it is deleted.
async fn lock(connection: &mut PgConnection, id: Uuid) -> ApiResult<Option<Loaded>> {
    match access::lock(connection, id).await {
        Ok(portfolio) => Ok(Some(portfolio)),
        Err(error) if error.code() == "PORTFOLIO_NOT_FOUND" => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether its owner shows the picture.
async fn is_shown(connection: &mut PgConnection, object: &Object) -> Result<bool, sqlx::Error> {
    let owner = sqlx::query!(
        "select avatar_url, banner_url from users where id = $1 and deleted_at is null for no key update",
        object.owner_id,
    )
    .fetch_optional(connection)
    .await?;
    let url = Some(object.url.as_str());
    Ok(owner.is_some_and(|owner| owner.avatar_url.as_deref() == url || owner.banner_url.as_deref() == url))
}

/// Whether any changelog shows the picture. The one that it was stored for is locked, as whoever shows it there or in another
/// one locks it: addresses can be copied.
async fn is_in_changelogs(connection: &mut PgConnection, object: &Object) -> Result<bool, sqlx::Error> {
    sqlx::query!("select id from changelogs where id = $1 for no key update", object.owner_id)
        .fetch_optional(&mut *connection)
        .await?;
    sqlx::query_scalar!(
        r#"
        select exists (
            select 1
            from changelog_blocks b
            join changelog_sections s on s.id = b.section_id
            join changelogs c on c.id = s.changelog_id and c.deleted_at is null
            where b.object_key = $1
        ) as "shown!"
        "#,
        object.object_key,
    )
    .fetch_one(connection)
    .await
}

/// Whether a message shows the picture. Its row is locked, as whoever sends it or deletes such a message locks it; where
/// its confirmation has not arrived there is a row from now on.
async fn is_sent(connection: &mut PgConnection, object: &Object) -> Result<bool, sqlx::Error> {
    sqlx::query!(
        "
        insert into media_objects as known (
            object_key, upload_id, url, kind, owner_id, portfolio_id, content_type, size, width, height, placeholder,
            confirmed_at
        )
        values ($1, '00000000-0000-0000-0000-000000000000', $2, $3, $4, $5, '', 0, 0, 0, '', now())
        on conflict on constraint media_objects_pkey do update set object_key = known.object_key
        ",
        object.object_key,
        object.url,
        object.kind,
        object.owner_id,
        object.portfolio_id,
    )
    .execute(&mut *connection)
    .await?;
    messages::is_shown(connection, &object.object_key).await
}

/// Also where the confirmation has not arrived yet, which then finds that it comes too late.
async fn note_as_gone(connection: &mut PgConnection, object: &Object) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "
        insert into media_objects as known (
            object_key, upload_id, url, kind, owner_id, portfolio_id, content_type, size, width, height, placeholder,
            confirmed_at, deleted_at
        )
        values ($1, '00000000-0000-0000-0000-000000000000', $2, $3, $4, $5, '', 0, 0, 0, '', now(), now())
        on conflict on constraint media_objects_pkey do update
        set deleted_at = coalesce(known.deleted_at, excluded.deleted_at)
        ",
        object.object_key,
        object.url,
        object.kind,
        object.owner_id,
        object.portfolio_id,
    )
    .execute(connection)
    .await
    .map(drop)
}
