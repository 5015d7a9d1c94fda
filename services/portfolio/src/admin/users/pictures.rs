//! Pictures in the user form. The web client uploads them as the actor's own, and only then says whose they are: the
//! picture goes to the target, and the actor's field returns to the last picture that he did not give away.

use grafikarsa_http::{ApiResult, FieldErrors};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{AppState, capabilities::Caller, storage, users::profile};

/// A confirmed picture.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Picture {
    pub object_key: String,
    pub url: String,
}

/// The picture at `url`: one that the actor has uploaded. Empty is none.
pub async fn check(
    app: &AppState,
    connection: &mut PgConnection,
    errors: &mut FieldErrors,
    actor: &Caller,
    field: &str,
    kind: &str,
    url: Option<&str>,
) -> ApiResult<Option<Picture>> {
    let Some(url) = url.map(str::trim).filter(|url| !url.is_empty()) else { return Ok(None) };
    let object = if url.len() <= 2048 { storage::confirmed_object(app, connection, url).await? } else { None };
    match object.filter(|object| object.kind == kind && object.owner_id == actor.id) {
        Some(object) => Ok(Some(Picture { object_key: object.object_key, url: url.to_owned() })),
        None => {
            errors.add(field, "Gambar harus berupa berkas yang telah diunggah");
            Ok(None)
        }
    }
}

pub async fn give_avatar(
    connection: &mut PgConnection,
    actor: Uuid,
    target: Uuid,
    picture: &Picture,
) -> Result<(), sqlx::Error> {
    give(connection, target, picture).await?;
    let restored = sqlx::query!(
        "
        update users
        set avatar_url = (
            select m.url
            from media_objects m
            where m.owner_id = $1 and m.kind = 'avatar' and m.given_to is null and m.deleted_at is null
            order by m.confirmed_at desc
            limit 1
        )
        where id = $1 and avatar_url = $2
        ",
        actor,
        picture.url,
    )
    .execute(&mut *connection)
    .await?;
    if restored.rows_affected() > 0 {
        profile::changed(connection, actor).await?;
    }
    Ok(())
}

pub async fn give_banner(
    connection: &mut PgConnection,
    actor: Uuid,
    target: Uuid,
    picture: &Picture,
) -> Result<(), sqlx::Error> {
    give(connection, target, picture).await?;
    sqlx::query!(
        "
        update users
        set updated_at = now(),
            banner_url = (
                select m.url
                from media_objects m
                where m.owner_id = $1 and m.kind = 'banner' and m.given_to is null and m.deleted_at is null
                order by m.confirmed_at desc
                limit 1
            )
        where id = $1 and banner_url = $2
        ",
        actor,
        picture.url,
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn give(connection: &mut PgConnection, target: Uuid, picture: &Picture) -> Result<(), sqlx::Error> {
    sqlx::query!("update media_objects set given_to = $2 where object_key = $1", picture.object_key, target)
        .execute(connection)
        .await?;
    Ok(())
}
