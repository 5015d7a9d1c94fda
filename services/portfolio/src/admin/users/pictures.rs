//! Pictures in the user form. The web client uploads them as the actor's own, and only then says whose they are: the
//! picture goes to the target, and the actor's field returns to the last picture that he did not give away.

use grafikarsa_http::{ApiResult, FieldErrors};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    AppState,
    capabilities::Caller,
    storage::{self, Key},
    users::profile,
};

/// A confirmed picture.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Picture {
    pub object_key: String,
    pub url: String,
    #[serde(default)]
    content_type: String,
}

/// The picture at `url`, in `folder`: one that the actor has uploaded and not given to anybody but `target`. Empty is
/// none.
pub async fn check(
    app: &AppState,
    connection: &mut PgConnection,
    errors: &mut FieldErrors,
    actor: &Caller,
    target: Option<Uuid>,
    (field, folder): (&str, &str),
    url: Option<&str>,
) -> ApiResult<Option<Picture>> {
    let Some(url) = url.map(str::trim).filter(|url| !url.is_empty()) else { return Ok(None) };
    if let Some(key) = Key::at(&app.rules.storage_base, url, folder, actor.id)
        && let Some(object) = storage::confirmed_object(app, connection, &key).await?
        && object.owner_id == actor.id
        && (object.given_to.is_none() || object.given_to == target)
    {
        let object_key = key.to_string();
        return Ok(Some(Picture { object_key, url: url.to_owned(), content_type: object.content_type }));
    }
    errors.add(field, "Gambar harus berupa berkas yang telah diunggah");
    Ok(None)
}

pub async fn give_avatar(
    connection: &mut PgConnection,
    actor: Uuid,
    target: Uuid,
    picture: &Picture,
) -> Result<(), sqlx::Error> {
    if !give(connection, actor, target, "avatar", picture).await? {
        return Ok(());
    }
    sqlx::query!("update users set avatar_url = $2, avatar_set_at = now() where id = $1", target, picture.url)
        .execute(&mut *connection)
        .await?;
    let restored = sqlx::query!(
        "
        update users
        set (avatar_url, avatar_set_at) = (
            select m.url, m.confirmed_at
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
    if !give(connection, actor, target, "banner", picture).await? {
        return Ok(());
    }
    sqlx::query!("update users set banner_url = $2, banner_set_at = now() where id = $1", target, picture.url)
        .execute(&mut *connection)
        .await?;
    sqlx::query!(
        "
        update users
        set (banner_url, banner_set_at) = (
                select m.url, m.confirmed_at
                from media_objects m
                where m.owner_id = $1 and m.kind = 'banner' and m.given_to is null and m.deleted_at is null
                order by m.confirmed_at desc
                limit 1
            ),
            updated_at = now()
        where id = $1 and banner_url = $2
        ",
        actor,
        picture.url,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// False when it was given to somebody else, or deleted, since it was checked. Remembered also when the picture's
/// confirmation has not arrived here: media has told us of it, and the event fills in the rest.
async fn give(
    connection: &mut PgConnection,
    actor: Uuid,
    target: Uuid,
    kind: &str,
    picture: &Picture,
) -> Result<bool, sqlx::Error> {
    let given = sqlx::query!(
        "
        insert into media_objects as known (
            object_key, upload_id, url, kind, owner_id, content_type, size, width, height, placeholder, confirmed_at,
            given_to
        )
        values ($1, '00000000-0000-0000-0000-000000000000', $2, $3, $4, $5, 0, 0, 0, '', now(), $6)
        on conflict on constraint media_objects_pkey do update set given_to = excluded.given_to
        where known.deleted_at is null and (known.given_to is null or known.given_to = excluded.given_to)
        ",
        picture.object_key,
        picture.url,
        kind,
        actor,
        picture.content_type,
        target,
    )
    .execute(connection)
    .await?;
    Ok(given.rows_affected() == 1)
}
