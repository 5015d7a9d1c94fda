//! Pictures in the user form. The web client uploads them as the actor's own, and only then says whose they are: media
//! copies the picture for the target, and the actor's field returns to the last picture that he did not give away.

use grafikarsa_http::{ApiResult, FieldErrors};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    AppState,
    accounts::profile_change::PictureChange,
    capabilities::Caller,
    storage::{self, Key},
    users::profile,
};

const NOT_UPLOADED: &str = "Gambar harus berupa berkas yang telah diunggah";

/// A confirmed picture of the actor.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Picture {
    object_key: String,
    url: String,
    content_type: String,
}

/// A picture of the actor, and its copy that belongs to the target. A copy that nobody shows in the end is removed by
/// media.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Gift {
    picture: Picture,
    copy: Copied,
}

/// What media answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Copied {
    object_key: String,
    url: String,
    upload_id: Uuid,
    content_type: String,
    size: i64,
    width: i32,
    height: i32,
    placeholder: String,
}

#[derive(Serialize)]
struct Copy<'a> {
    object_key: &'a str,
    user_id: Uuid,
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
    errors.add(field, NOT_UPLOADED);
    Ok(None)
}

/// What a form wants to become of a picture that is `stored`.
#[derive(Debug)]
pub enum Wanted {
    Clear,
    Own(String),
    Take(Picture),
}

/// `None` is no change: absent, as stored, or given to the target before, for the form repeats itself when a later call of
/// its save has failed.
pub async fn wanted(
    app: &AppState,
    connection: &mut PgConnection,
    errors: &mut FieldErrors,
    (actor, target): (&Caller, Uuid),
    (field, folder): (&str, &str),
    stored: Option<&str>,
    sent: Option<&Option<String>>,
) -> ApiResult<Option<Wanted>> {
    let Some(sent) = sent else { return Ok(None) };
    let Some(url) = sent.as_deref().map(str::trim).filter(|url| !url.is_empty()) else {
        return Ok(stored.map(|_| Wanted::Clear));
    };
    if stored == Some(url) {
        return Ok(None);
    }
    if let Some(key) = Key::at(&app.rules.storage_base, url, folder, target)
        && let Some(object) = storage::confirmed_object(app, connection, &key).await?
        && object.owner_id == target
        && object.given_to.is_none()
    {
        return Ok(Some(Wanted::Own(url.to_owned())));
    }
    if actor.id == target {
        errors.add(field, NOT_UPLOADED);
        return Ok(None);
    }
    let Some(picture) = check(app, connection, errors, actor, Some(target), (field, folder), Some(url)).await? else {
        return Ok(None);
    };
    let given = sqlx::query_scalar!(
        r#"
        select exists (select from media_objects where object_key = $1 and given_to = $2) as "given!"
        "#,
        picture.object_key,
        target,
    )
    .fetch_one(connection)
    .await?;
    Ok((!given).then_some(Wanted::Take(picture)))
}

/// The change that it comes to, with the copy that it needs.
pub async fn change(app: &AppState, wanted: Option<Wanted>, target: Uuid) -> ApiResult<Option<PictureChange>> {
    Ok(match wanted {
        None => None,
        Some(Wanted::Clear) => Some(PictureChange::Clear),
        Some(Wanted::Own(url)) => Some(PictureChange::Own(url)),
        Some(Wanted::Take(picture)) => {
            copy(app, Some(&picture), target).await?.map(|gift| PictureChange::Give(Box::new(gift)))
        }
    })
}

impl PictureChange {
    pub async fn write_avatar(
        &self,
        connection: &mut PgConnection,
        user: Uuid,
        actor: Uuid,
    ) -> Result<(), sqlx::Error> {
        match self {
            Self::Clear => set_avatar(connection, user, None).await,
            Self::Own(url) => set_avatar(connection, user, Some(url)).await,
            Self::Give(gift) => give_avatar(connection, actor, user, gift).await,
        }
    }

    pub async fn write_banner(
        &self,
        connection: &mut PgConnection,
        user: Uuid,
        actor: Uuid,
    ) -> Result<(), sqlx::Error> {
        match self {
            Self::Clear => set_banner(connection, user, None).await,
            Self::Own(url) => set_banner(connection, user, Some(url)).await,
            Self::Give(gift) => give_banner(connection, actor, user, gift).await,
        }
    }
}

/// Shows this picture, and releases the one it takes the place of.
async fn set_avatar(connection: &mut PgConnection, user: Uuid, url: Option<&str>) -> Result<(), sqlx::Error> {
    let replaced = sqlx::query_scalar!(
        "
        update users
        set avatar_url = $2, avatar_set_at = now()
        from (select id, avatar_url from users where id = $1 for no key update) before
        where users.id = before.id
        returning before.avatar_url
        ",
        user,
        url,
    )
    .fetch_optional(&mut *connection)
    .await?
    .flatten();
    profile::released(connection, user, replaced.into_iter().collect()).await
}

async fn set_banner(connection: &mut PgConnection, user: Uuid, url: Option<&str>) -> Result<(), sqlx::Error> {
    let replaced = sqlx::query_scalar!(
        "
        update users
        set banner_url = $2, banner_set_at = now(), updated_at = now()
        from (select id, banner_url from users where id = $1 for no key update) before
        where users.id = before.id
        returning before.banner_url
        ",
        user,
        url,
    )
    .fetch_optional(&mut *connection)
    .await?
    .flatten();
    profile::released(connection, user, replaced.into_iter().collect()).await
}

/// Has media copy the picture for `target`.
pub async fn copy(app: &AppState, picture: Option<&Picture>, target: Uuid) -> ApiResult<Option<Gift>> {
    let Some(picture) = picture else { return Ok(None) };
    let wanted = Copy { object_key: &picture.object_key, user_id: target };
    let copy = app.media.post("/internal/pictures/copy", &wanted).await?;
    Ok(Some(Gift { picture: picture.clone(), copy }))
}

pub async fn give_avatar(
    connection: &mut PgConnection,
    actor: Uuid,
    target: Uuid,
    gift: &Gift,
) -> Result<(), sqlx::Error> {
    if !give(connection, actor, target, "avatar", gift).await? {
        return Ok(());
    }
    set_avatar(connection, target, Some(&gift.copy.url)).await?;
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
        gift.picture.url,
    )
    .execute(&mut *connection)
    .await?;
    if restored.rows_affected() > 0 {
        profile::changed(connection, actor).await?;
    }
    profile::released(connection, actor, vec![gift.picture.url.clone()]).await
}

pub async fn give_banner(
    connection: &mut PgConnection,
    actor: Uuid,
    target: Uuid,
    gift: &Gift,
) -> Result<(), sqlx::Error> {
    if !give(connection, actor, target, "banner", gift).await? {
        return Ok(());
    }
    set_banner(connection, target, Some(&gift.copy.url)).await?;
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
        gift.picture.url,
    )
    .execute(&mut *connection)
    .await?;
    profile::released(connection, actor, vec![gift.picture.url.clone()]).await
}

/// Notes to whom the picture was given, and its copy as a picture of the target. False when it was given to somebody
/// else, or deleted, since it was checked. Remembered also when the picture's confirmation has not arrived here: media has
/// told us of it, and the event fills in the rest.
async fn give(
    connection: &mut PgConnection,
    actor: Uuid,
    target: Uuid,
    kind: &str,
    gift: &Gift,
) -> Result<bool, sqlx::Error> {
    let Gift { picture, copy } = gift;
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
    .execute(&mut *connection)
    .await?;
    if given.rows_affected() == 0 {
        return Ok(false);
    }
    // media may have removed a copy that nobody has shown for a day, and said so.
    let copied = sqlx::query!(
        "
        insert into media_objects (
            object_key, upload_id, url, kind, owner_id, content_type, size, width, height, placeholder, confirmed_at
        )
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, now())
        on conflict on constraint media_objects_pkey do nothing
        ",
        copy.object_key,
        copy.upload_id,
        copy.url,
        kind,
        target,
        copy.content_type,
        copy.size,
        copy.width,
        copy.height,
        copy.placeholder,
    )
    .execute(connection)
    .await?;
    Ok(copied.rows_affected() == 1)
}
