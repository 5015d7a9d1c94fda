//! Events of media: uploads that were confirmed, objects that are gone.
//!
//! They come in any order, and sometimes late. Each place of a picture knows since when it shows what it shows, so that
//! a confirmation that is older than that changes nothing any more.

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use grafikarsa_events::Message;
use grafikarsa_http::ApiError;
use proto_events::media::v1::{ObjectDeleted, UploadConfirmed};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    portfolios::{
        access::{self, Loaded},
        content::{self, Editor},
        events,
    },
    settings::Rules,
    users::profile,
};

/// Remembers the object, and shows it where its kind says.
pub async fn confirmed(connection: &mut PgConnection, message: &Message, rules: &Rules) -> anyhow::Result<()> {
    let upload: UploadConfirmed = message.decode()?;
    let owner: Uuid = upload.owner_id.parse()?;
    let portfolio = upload.portfolio_id.as_deref().map(str::parse::<Uuid>).transpose()?;
    let block = upload.block_id.as_deref().map(str::parse::<Uuid>).transpose()?;
    // Its deletion may have overtaken this event, and so may have the copy that was given to another user: both have left
    // a row that knows no upload.
    let object = sqlx::query!(
        "
        insert into media_objects as known (
            object_key, upload_id, url, kind, owner_id, portfolio_id, block_id, content_type, size, width, height,
            placeholder, confirmed_at
        )
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
        on conflict on constraint media_objects_pkey do update set
            upload_id = excluded.upload_id,
            block_id = excluded.block_id,
            content_type = excluded.content_type,
            size = excluded.size,
            width = excluded.width,
            height = excluded.height,
            placeholder = excluded.placeholder,
            confirmed_at = excluded.confirmed_at
        where known.upload_id = '00000000-0000-0000-0000-000000000000'
        returning given_to, deleted_at
        ",
        upload.object_key,
        upload.upload_id.parse::<Uuid>()?,
        upload.url,
        upload.kind,
        owner,
        portfolio,
        block,
        upload.content_type,
        upload.size,
        i32::try_from(upload.width)?,
        i32::try_from(upload.height)?,
        upload.placeholder,
        message.at,
    )
    .fetch_optional(&mut *connection)
    .await?;
    match object {
        Some(object) if object.given_to.is_none() && object.deleted_at.is_none() => {}
        _ => return Ok(()),
    }
    match upload.kind.as_str() {
        "avatar" => show_avatar(connection, owner, &upload.url, message.at).await,
        "banner" => show_banner(connection, owner, &upload.url, message.at).await,
        "thumbnail" => {
            let portfolio = portfolio.context("a thumbnail without a portfolio")?;
            show_thumbnail(connection, portfolio, owner, &upload.url, message.at, rules).await
        }
        _ => Ok(()),
    }
}

/// Clears the address of an object that is gone.
pub async fn deleted(connection: &mut PgConnection, message: &Message, rules: &Rules) -> anyhow::Result<()> {
    let object: ObjectDeleted = message.decode()?;
    let owner: Uuid = object.owner_id.parse()?;
    let portfolio = object.portfolio_id.as_deref().map(str::parse::<Uuid>).transpose()?;
    // Remembered even when its confirmation has not arrived, so that it does not come to life again.
    sqlx::query!(
        "
        insert into media_objects (
            object_key, upload_id, url, kind, owner_id, portfolio_id, content_type, size, width, height, placeholder,
            confirmed_at, deleted_at
        )
        values ($1, '00000000-0000-0000-0000-000000000000', $2, $3, $4, $5, '', 0, 0, 0, '', $6, $6)
        on conflict on constraint media_objects_pkey do update set deleted_at = excluded.deleted_at
        ",
        object.object_key,
        object.url,
        object.kind,
        owner,
        portfolio,
        message.at,
    )
    .execute(&mut *connection)
    .await?;
    match object.kind.as_str() {
        "avatar" => {
            let cleared = sqlx::query!(
                "update users set avatar_url = null, avatar_set_at = $3 where id = $1 and avatar_url = $2",
                owner,
                object.url,
                message.at,
            )
            .execute(&mut *connection)
            .await?;
            if cleared.rows_affected() > 0 {
                profile::changed(connection, owner).await?;
            }
            Ok(())
        }
        "banner" => {
            sqlx::query!(
                "
                update users
                set banner_url = null, banner_set_at = $3, updated_at = now()
                where id = $1 and banner_url = $2
                ",
                owner,
                object.url,
                message.at,
            )
            .execute(connection)
            .await?;
            Ok(())
        }
        "thumbnail" => {
            let portfolio = portfolio.context("a thumbnail without a portfolio")?;
            let Some(portfolio) = lock(connection, portfolio).await? else { return Ok(()) };
            if portfolio.thumbnail_url.as_deref() != Some(&object.url) {
                return Ok(());
            }
            let deleted_by = object.deleted_by.as_deref().map(str::parse::<Uuid>).transpose()?;
            set_thumbnail(connection, &portfolio, deleted_by.unwrap_or(owner), None, message.at, rules).await
        }
        _ => Ok(()),
    }
}

/// Whether something newer has decided what is shown.
fn is_late(at: DateTime<Utc>, set_at: Option<DateTime<Utc>>) -> bool {
    set_at.is_some_and(|set_at| at < set_at)
}

async fn show_avatar(connection: &mut PgConnection, user: Uuid, url: &str, at: DateTime<Utc>) -> anyhow::Result<()> {
    let before = sqlx::query!("select avatar_url, avatar_set_at from users where id = $1 for no key update", user)
        .fetch_optional(&mut *connection)
        .await?
        .context("the user is not known yet")?;
    if is_late(at, before.avatar_set_at) {
        return Ok(profile::released(connection, user, vec![url.to_owned()]).await?);
    }
    sqlx::query!("update users set avatar_url = $2, avatar_set_at = $3 where id = $1", user, url, at)
        .execute(&mut *connection)
        .await?;
    profile::changed(connection, user).await?;
    profile::released(connection, user, before.avatar_url.into_iter().collect()).await?;
    Ok(())
}

async fn show_banner(connection: &mut PgConnection, user: Uuid, url: &str, at: DateTime<Utc>) -> anyhow::Result<()> {
    let before = sqlx::query!("select banner_url, banner_set_at from users where id = $1 for no key update", user)
        .fetch_optional(&mut *connection)
        .await?
        .context("the user is not known yet")?;
    if is_late(at, before.banner_set_at) {
        return Ok(profile::released(connection, user, vec![url.to_owned()]).await?);
    }
    sqlx::query!(
        "update users set banner_url = $2, banner_set_at = $3, updated_at = now() where id = $1",
        user,
        url,
        at,
    )
    .execute(&mut *connection)
    .await?;
    profile::released(connection, user, before.banner_url.into_iter().collect()).await?;
    Ok(())
}

async fn show_thumbnail(
    connection: &mut PgConnection,
    portfolio: Uuid,
    editor: Uuid,
    url: &str,
    at: DateTime<Utc>,
    rules: &Rules,
) -> anyhow::Result<()> {
    let Some(portfolio) = lock(connection, portfolio).await? else { return Ok(()) };
    // The editor sends the address right after the confirmation.
    if portfolio.thumbnail_url.as_deref() == Some(url) {
        return Ok(());
    }
    let set_at = sqlx::query_scalar!("select thumbnail_set_at from portfolios where id = $1", portfolio.id)
        .fetch_one(&mut *connection)
        .await?;
    if is_late(at, set_at) {
        return Ok(events::released(connection, portfolio.state(), vec![url.to_owned()]).await?);
    }
    set_thumbnail(connection, &portfolio, editor, Some(url), at, rules).await?;
    let old = portfolio.thumbnail_url.clone();
    events::released(connection, portfolio.state(), old.into_iter().collect()).await?;
    Ok(())
}

/// The portfolio with its row locked; `None` when it was deleted in the meantime.
async fn lock(connection: &mut PgConnection, portfolio: Uuid) -> anyhow::Result<Option<Loaded>> {
    match access::lock(connection, portfolio).await {
        Ok(portfolio) => Ok(Some(portfolio)),
        Err(error) if error.code() == "PORTFOLIO_NOT_FOUND" => Ok(None),
        Err(error) => Err(failure(&error)),
    }
}

/// Sets or clears the thumbnail: a content change by `editor`.
async fn set_thumbnail(
    connection: &mut PgConnection,
    portfolio: &Loaded,
    editor: Uuid,
    url: Option<&str>,
    at: DateTime<Utc>,
    rules: &Rules,
) -> anyhow::Result<()> {
    sqlx::query!(
        "update portfolios set thumbnail_url = $2, thumbnail_set_at = $3 where id = $1",
        portfolio.id,
        url,
        at,
    )
    .execute(&mut *connection)
    .await?;
    let is_manager = is_manager(connection, editor).await?;
    content::changed(connection, portfolio, Editor { id: editor, is_manager }, rules).await?;
    Ok(())
}

async fn is_manager(connection: &mut PgConnection, user: Uuid) -> Result<bool, sqlx::Error> {
    let found = sqlx::query_scalar!(
        r#"
        select u.role = 'admin' or exists (
            select 1
            from user_special_roles a
            join special_roles r on r.id = a.special_role_id
            where a.user_id = u.id and r.is_active and r.deleted_at is null and 'portfolios' = any(r.capabilities)
        ) as "manager!"
        from users u
        where u.id = $1 and u.is_active and u.deleted_at is null
        "#,
        user,
    )
    .fetch_optional(connection)
    .await?;
    Ok(found.unwrap_or(false))
}

fn failure(error: &ApiError) -> anyhow::Error {
    anyhow::anyhow!("the portfolio could not be locked: {}", error.code())
}
