//! Events of media: uploads that were confirmed, objects that are gone.

use anyhow::Context as _;
use grafikarsa_events::Message;
use grafikarsa_http::ApiError;
use proto_events::media::v1::{ObjectDeleted, UploadConfirmed};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    portfolios::{
        access,
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
    let inserted = sqlx::query!(
        "
        insert into media_objects (
            object_key, upload_id, url, kind, owner_id, portfolio_id, block_id, content_type, size, width, height,
            placeholder, confirmed_at
        )
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
        on conflict on constraint media_objects_pkey do nothing
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
    .execute(&mut *connection)
    .await?;
    // The deletion of the object may have overtaken this event.
    if inserted.rows_affected() == 0 {
        return Ok(());
    }
    match upload.kind.as_str() {
        "avatar" => set_avatar(connection, owner, &upload.url).await,
        "banner" => set_banner(connection, owner, &upload.url).await,
        "thumbnail" => {
            let portfolio = portfolio.context("a thumbnail without a portfolio")?;
            set_thumbnail(connection, portfolio, owner, Some(&upload.url), rules).await
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
            // Also of another user to whom the picture was given.
            let cleared = sqlx::query_scalar!(
                "update users set avatar_url = null where avatar_url = $1 returning id",
                object.url,
            )
            .fetch_all(&mut *connection)
            .await?;
            for user in cleared {
                profile::changed(connection, user).await?;
            }
            Ok(())
        }
        "banner" => {
            sqlx::query!("update users set banner_url = null, updated_at = now() where banner_url = $1", object.url,)
                .execute(connection)
                .await?;
            Ok(())
        }
        "thumbnail" => {
            let Some(portfolio) = portfolio else { return Ok(()) };
            let shown = sqlx::query_scalar!(
                "select id from portfolios where id = $1 and thumbnail_url = $2",
                portfolio,
                object.url,
            )
            .fetch_optional(&mut *connection)
            .await?;
            match shown {
                Some(_) => set_thumbnail(connection, portfolio, owner, None, rules).await,
                None => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

async fn set_avatar(connection: &mut PgConnection, user: Uuid, url: &str) -> anyhow::Result<()> {
    let before = sqlx::query_scalar!("select avatar_url from users where id = $1 for update", user)
        .fetch_optional(&mut *connection)
        .await?
        .context("the user is not known yet")?;
    sqlx::query!("update users set avatar_url = $2 where id = $1", user, url).execute(&mut *connection).await?;
    profile::changed(connection, user).await?;
    let old = before.filter(|before| before != url);
    profile::released(connection, user, old.into_iter().collect()).await?;
    Ok(())
}

async fn set_banner(connection: &mut PgConnection, user: Uuid, url: &str) -> anyhow::Result<()> {
    let before = sqlx::query_scalar!("select banner_url from users where id = $1 for update", user)
        .fetch_optional(&mut *connection)
        .await?
        .context("the user is not known yet")?;
    sqlx::query!("update users set banner_url = $2, updated_at = now() where id = $1", user, url)
        .execute(&mut *connection)
        .await?;
    let old = before.filter(|before| before != url);
    profile::released(connection, user, old.into_iter().collect()).await?;
    Ok(())
}

/// Sets or clears the thumbnail: a content change by `editor`.
async fn set_thumbnail(
    connection: &mut PgConnection,
    portfolio: Uuid,
    editor: Uuid,
    url: Option<&str>,
    rules: &Rules,
) -> anyhow::Result<()> {
    let portfolio = match access::lock(connection, portfolio).await {
        Ok(portfolio) => portfolio,
        // Deleted in the meantime.
        Err(error) if error.code() == "PORTFOLIO_NOT_FOUND" => return Ok(()),
        Err(error) => return Err(failure(&error)),
    };
    if portfolio.thumbnail_url.as_deref() == url {
        return Ok(());
    }
    sqlx::query!("update portfolios set thumbnail_url = $2 where id = $1", portfolio.id, url)
        .execute(&mut *connection)
        .await?;
    let is_manager = is_manager(connection, editor).await?;
    content::changed(connection, &portfolio, Editor { id: editor, is_manager }, rules).await?;
    if url.is_some() {
        let old = portfolio.thumbnail_url.clone();
        events::released(connection, portfolio.state(), old.into_iter().collect()).await?;
    }
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
