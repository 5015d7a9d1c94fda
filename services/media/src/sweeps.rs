//! Removes what nobody will ask for again: staging of uploads that were never confirmed, objects of deleted portfolios
//! and accounts.

use std::time::Duration;

use sqlx::PgConnection;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::{app::AppState, uploads::keys};

const EVERY: Duration = Duration::from_mins(5);
/// Rows of one round; the next round goes on.
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
        if let Err(error) = sweep(&app).await {
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
    let swept = rounds(app, &mut connection).await;
    sqlx::query_scalar!("select pg_advisory_unlock($1)", LOCK).fetch_one(&mut *connection).await?;
    swept
}

async fn rounds(app: &AppState, connection: &mut PgConnection) -> anyhow::Result<()> {
    expire(connection).await?;
    staging(app, connection).await?;
    hide_orphans(connection).await?;
    objects(app, connection).await?;
    sqlx::query!("delete from rate_limits where window_ends_at < now() - interval '1 hour'")
        .execute(&mut *connection)
        .await?;
    Ok(())
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
    let rows = sqlx::query!(
        "
        select id, state, object_key
        from uploads
        where swept_at is null
          and state <> 'issued'
          and created_at < now() - interval '75 minutes'
        order by created_at
        limit $1
        ",
        BATCH,
    )
    .fetch_all(&mut *connection)
    .await?;
    for row in rows {
        app.store.delete(&keys::staging(row.id)).await?;
        if row.state != "confirmed" {
            remove_renderings(app, &row.object_key).await?;
            app.store.delete(&row.object_key).await?;
        }
        sqlx::query!("update uploads set swept_at = now() where id = $1", row.id).execute(&mut *connection).await?;
    }
    Ok(())
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
    let rows = sqlx::query!(
        "
        select object_key
        from objects
        where deleted_at is not null
          and swept_at is null
        order by deleted_at
        limit $1
        ",
        BATCH,
    )
    .fetch_all(&mut *connection)
    .await?;
    for row in rows {
        let variants = sqlx::query_scalar!("select stored_key from variants where object_key = $1", row.object_key)
            .fetch_all(&mut *connection)
            .await?;
        for key in variants {
            app.store.delete(&key).await?;
        }
        app.store.delete(&row.object_key).await?;
        sqlx::query!("delete from variants where object_key = $1", row.object_key).execute(&mut *connection).await?;
        sqlx::query!("update objects set swept_at = now() where object_key = $1", row.object_key)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Renderings that a confirmation may have written before it failed.
async fn remove_renderings(app: &AppState, object_key: &str) -> anyhow::Result<()> {
    for width in crate::storage::WIDTHS {
        app.store.delete(&keys::variant(object_key, width)).await?;
    }
    Ok(())
}
