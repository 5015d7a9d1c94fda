//! Removes what nobody will ask for again: staging of uploads that were never confirmed, objects of deleted portfolios
//! and accounts.

use std::time::Duration;

use anyhow::anyhow;
use chrono::{DateTime, Utc};
use grafikarsa_http::Counter;
use sqlx::PgConnection;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    app::AppState,
    uploads::{keys, kinds::Kind},
};

const EVERY: Duration = Duration::from_mins(5);
/// Rows that are looked at together.
const BATCH: i64 = 200;
/// One replica sweeps at a time.
const LOCK: i64 = 0x6d65_6469_6100_0001;

pub(crate) async fn run(app: AppState, shutdown: CancellationToken) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let swept = tokio::select! {
            () = shutdown.cancelled() => return,
            swept = sweep(&app) => swept,
        };
        if let Err(error) = swept {
            tracing::warn!(error = format!("{error:#}"), "a sweep did not end");
        }
    }
}

async fn sweep(app: &AppState) -> anyhow::Result<()> {
    let mut connection = app.db.acquire().await?;
    let locked = sqlx::query_scalar!(r#"select pg_try_advisory_lock($1) as "locked!""#, LOCK)
        .fetch_one(&mut *connection)
        .await?;
    if !locked {
        return Ok(());
    }
    steps(app, &mut connection).await;
    sqlx::query_scalar!("select pg_advisory_unlock($1)", LOCK).fetch_one(&mut *connection).await?;
    Ok(())
}

/// Each for itself: one that fails must not keep the others from their work.
async fn steps(app: &AppState, connection: &mut PgConnection) {
    for (step, ended) in [
        ("expire", expire(connection).await),
        ("staging", staging(app, connection).await),
        ("orphans", hide_orphans(connection).await),
        ("objects", objects(app, connection).await),
        ("counters", Counter::forget_ended(connection).await.map_err(Into::into)),
    ] {
        if let Err(error) = ended {
            tracing::warn!(step, error = format!("{error:#}"), "a step of the sweep did not end");
        }
    }
}

/// After half an hour an upload cannot be confirmed any more.
async fn expire(connection: &mut PgConnection) -> anyhow::Result<()> {
    sqlx::query!(
        "
        update uploads
        set state = 'expired',
            settled_at = now()
        where state = 'issued'
          and created_at < now() - interval '30 minutes'
          and (claimed_until is null or claimed_until < now())
        "
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The presigned URL works for 15 minutes; an hour later its object goes, also one that was PUT again after the
/// confirmation, and what a confirmation that never committed has written.
async fn staging(app: &AppState, connection: &mut PgConnection) -> anyhow::Result<()> {
    let mut last = (DateTime::UNIX_EPOCH, Uuid::nil());
    loop {
        let rows = sqlx::query_as!(
            Upload,
            "
            select id, state, object_key, created_at
            from uploads
            where swept_at is null
              and state <> 'issued'
              and created_at < now() - interval '75 minutes'
              and (created_at, id) > ($1, $2)
            order by created_at, id
            limit $3
            ",
            last.0,
            last.1,
            BATCH,
        )
        .fetch_all(&mut *connection)
        .await?;
        let Some(row) = rows.last() else { return Ok(()) };
        last = (row.created_at, row.id);
        for row in rows {
            if let Err(error) = remove_upload(app, connection, &row).await {
                passed_over(app, "an upload", &row.id.to_string(), &error).await?;
            }
        }
    }
}

struct Upload {
    id: Uuid,
    state: String,
    object_key: String,
    created_at: DateTime<Utc>,
}

async fn remove_upload(app: &AppState, connection: &mut PgConnection, upload: &Upload) -> anyhow::Result<()> {
    app.store.delete(&keys::staging(upload.id)).await?;
    if upload.state != "confirmed" {
        remove_renderings(app, &upload.object_key).await?;
        app.store.delete(&upload.object_key).await?;
    }
    sqlx::query!("update uploads set swept_at = now() where id = $1", upload.id).execute(connection).await?;
    Ok(())
}

/// What could not be removed is tried again in the next sweep, and this one goes on, unless the store is to blame: then
/// nothing else would fare better.
async fn passed_over(app: &AppState, what: &str, which: &str, error: &anyhow::Error) -> anyhow::Result<()> {
    tracing::warn!(which, error = format!("{error:#}"), "{what} was not removed");
    app.store.ping().await.map_err(|why| anyhow!(why))
}

/// Objects of a deleted portfolio or account stop being served.
async fn hide_orphans(connection: &mut PgConnection) -> anyhow::Result<()> {
    sqlx::query!(
        "
        update objects
        set deleted_at = now()
        where deleted_at is null
          and (
              portfolio_id in (select id from portfolios where deleted)
              or (portfolio_id is null and owner_id in (select id from accounts where deleted))
              or portfolio_id in (
                  select portfolio.id
                  from portfolios portfolio
                  join accounts account on account.id = portfolio.owner_id
                  where account.deleted
              )
          )
        "
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn objects(app: &AppState, connection: &mut PgConnection) -> anyhow::Result<()> {
    let mut last = (DateTime::UNIX_EPOCH, String::new());
    loop {
        let rows = sqlx::query_as!(
            Object,
            r#"
            select object_key, kind, deleted_at as "deleted_at!"
            from objects
            where deleted_at is not null
              and swept_at is null
              and (deleted_at, object_key) > ($1, $2)
            order by deleted_at, object_key
            limit $3
            "#,
            last.0,
            last.1,
            BATCH,
        )
        .fetch_all(&mut *connection)
        .await?;
        let Some(row) = rows.last() else { return Ok(()) };
        last = (row.deleted_at, row.object_key.clone());
        for row in rows {
            if let Err(error) = remove_object(app, connection, &row.object_key, &row.kind).await {
                passed_over(app, "an object", &row.object_key, &error).await?;
            }
        }
    }
}

struct Object {
    object_key: String,
    kind: String,
    deleted_at: DateTime<Utc>,
}

/// Removes the bytes of an object that is deleted already.
pub(crate) async fn remove_object(
    app: &AppState,
    connection: &mut PgConnection,
    object_key: &str,
    kind: &str,
) -> anyhow::Result<()> {
    if kind != Kind::Document.as_str() {
        remove_renderings(app, object_key).await?;
    }
    app.store.delete(object_key).await?;
    sqlx::query!("delete from variants where object_key = $1", object_key).execute(&mut *connection).await?;
    sqlx::query!("update objects set swept_at = now() where object_key = $1", object_key).execute(connection).await?;
    Ok(())
}

/// Also those that were written and never recorded, because whoever made them failed in between.
async fn remove_renderings(app: &AppState, object_key: &str) -> anyhow::Result<()> {
    for width in crate::storage::WIDTHS {
        app.store.delete(&keys::variant(object_key, width)).await?;
    }
    Ok(())
}
