//! Removes what nobody will ask for again: staging of uploads that were never confirmed, objects of deleted portfolios
//! and accounts, objects that nothing refers to.

use std::time::Duration;

use anyhow::anyhow;
use chrono::{DateTime, Utc};
use grafikarsa_http::Counter;
use serde::{Deserialize, Serialize};
use sqlx::{Connection as _, PgConnection};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    app::AppState,
    uploads::{
        delete::{Object, hide},
        keys,
        kinds::Kind,
    },
};

const EVERY: Duration = Duration::from_mins(5);
/// Rows that are looked at together.
const BATCH: i64 = 200;
/// Objects that portfolio is asked for together, within the time of an internal call.
const ASKED: i64 = 20;
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
            swept = sweep(&app, &Step::ALL) => swept,
        };
        if let Err(error) = swept {
            tracing::warn!(error = format!("{error:#}"), "a sweep did not end");
        }
    }
}

/// A part of the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Step {
    /// Uploads that cannot be confirmed any more.
    Expire,
    /// What was uploaded and never confirmed.
    Staging,
    /// Objects of deleted portfolios and accounts.
    Orphans,
    /// Objects that nothing refers to.
    Unreferenced,
    /// The bytes of deleted objects.
    Objects,
    /// Counters of limits whose time is over.
    Counters,
}

impl Step {
    /// In this order: what one hides, a later one removes.
    const ALL: [Self; 6] =
        [Self::Expire, Self::Staging, Self::Orphans, Self::Unreferenced, Self::Objects, Self::Counters];

    async fn run(self, app: &AppState, connection: &mut PgConnection) -> anyhow::Result<()> {
        match self {
            Self::Expire => expire(connection).await,
            Self::Staging => staging(app, connection).await,
            Self::Orphans => hide_orphans(connection).await,
            Self::Unreferenced => hide_unreferenced(app, connection).await,
            Self::Objects => objects(app, connection).await,
            Self::Counters => Counter::forget_ended(connection).await.map_err(Into::into),
        }
    }
}

/// Runs `step`, or all of them, for somebody who waits for it.
pub(crate) async fn now(app: &AppState, step: Option<Step>) -> anyhow::Result<()> {
    let steps = step.map_or(Step::ALL.to_vec(), |step| vec![step]);
    match sweep(app, &steps).await? {
        None => anyhow::bail!("another sweep is at work"),
        Some(failed) if failed.is_empty() => Ok(()),
        Some(failed) => anyhow::bail!("these steps did not end: {failed:?}"),
    }
}

/// The steps that failed; `None` while another sweep is at work.
async fn sweep(app: &AppState, steps: &[Step]) -> anyhow::Result<Option<Vec<Step>>> {
    let mut connection = app.db.acquire().await?;
    let locked = sqlx::query_scalar!(r#"select pg_try_advisory_lock($1) as "locked!""#, LOCK)
        .fetch_one(&mut *connection)
        .await?;
    if !locked {
        return Ok(None);
    }
    let mut failed = Vec::new();
    for &step in steps {
        // Each for itself: one that fails must not keep the others from their work.
        if let Err(error) = step.run(app, &mut connection).await {
            tracing::warn!(?step, error = format!("{error:#}"), "a step of the sweep did not end");
            failed.push(step);
        }
    }
    sqlx::query_scalar!("select pg_advisory_unlock($1)", LOCK).fetch_one(&mut *connection).await?;
    Ok(Some(failed))
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

/// Objects that nothing refers to stop being served, days after the last reference. Portfolio says which those are.
async fn hide_unreferenced(app: &AppState, connection: &mut PgConnection) -> anyhow::Result<()> {
    loop {
        let rows = sqlx::query!(
            "
            select object_key, kind, owner_id, portfolio_id
            from objects
            where deleted_at is null and look_again_at < now()
            order by look_again_at
            limit $1
            ",
            ASKED,
        )
        .fetch_all(&mut *connection)
        .await?;
        if rows.is_empty() {
            return Ok(());
        }
        let objects: Vec<Object> = rows
            .into_iter()
            .map(|row| Object {
                url: app.url(&row.object_key),
                object_key: row.object_key,
                kind: row.kind,
                owner_id: row.owner_id,
                portfolio_id: row.portfolio_id,
            })
            .collect();
        let answer: Answer =
            app.portfolio.post("/internal/objects/unreferenced", &Candidates { objects: &objects }).await?;
        let mut tx = connection.begin().await?;
        for object in objects {
            if answer.unreferenced.contains(&object.object_key) {
                tracing::info!(kind = object.kind, "an object that nothing refers to goes");
                hide(&mut tx, &object, None).await?;
            } else {
                sqlx::query!(
                    "update objects set released_at = null, look_again_at = now() + grace(kind) where object_key = $1",
                    object.object_key,
                )
                .execute(&mut *tx)
                .await?;
            }
        }
        tx.commit().await?;
    }
}

#[derive(Serialize)]
struct Candidates<'a> {
    objects: &'a [Object],
}

#[derive(Deserialize)]
struct Answer {
    unreferenced: Vec<String>,
}

async fn objects(app: &AppState, connection: &mut PgConnection) -> anyhow::Result<()> {
    let mut last = (DateTime::UNIX_EPOCH, String::new());
    loop {
        let rows = sqlx::query_as!(
            Hidden,
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

struct Hidden {
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
        app.store.delete(&keys::webp_variant(object_key, width)).await?;
    }
    Ok(())
}
