use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{Viewer, recorder::View};

/// A portfolio, and whether its viewer is new to it.
struct Written {
    portfolio_id: Uuid,
    is_new: bool,
}

/// Writes views and counts the new ones, in one transaction. Locks are taken as everywhere: users, then portfolios, each
/// in the order of their ids.
pub(super) async fn write(db: &PgPool, views: &[(&View, &DateTime<Utc>)]) -> Result<(), sqlx::Error> {
    let mut tx = db.begin().await?;
    let mut written = of_users(&mut tx, views).await?;
    written.extend(of_guests(&mut tx, views).await?);
    let mut new: BTreeMap<Uuid, i64> = BTreeMap::new();
    for view in written.iter().filter(|view| view.is_new) {
        *new.entry(view.portfolio_id).or_default() += 1;
    }
    count(&mut tx, new).await?;
    tx.commit().await
}

async fn of_users(
    connection: &mut PgConnection,
    views: &[(&View, &DateTime<Utc>)],
) -> Result<Vec<Written>, sqlx::Error> {
    let (mut portfolios, mut users, mut times) = (Vec::new(), Vec::new(), Vec::new());
    for ((portfolio, viewer), time) in views {
        if let Viewer::User(user) = viewer {
            portfolios.push(*portfolio);
            users.push(*user);
            times.push(**time);
        }
    }
    // The views of a deleted account are deleted: none may come after that.
    let living: HashSet<Uuid> = sqlx::query_scalar!(
        "select id from users where id = any($1) and deleted_at is null order by id for share",
        &users,
    )
    .fetch_all(&mut *connection)
    .await?
    .into_iter()
    .collect();
    let is_there: Vec<bool> = users.iter().map(|user| living.contains(user)).collect();
    sqlx::query_as!(
        Written,
        r#"
        insert into portfolio_views (portfolio_id, user_id, viewed_at)
        select v.portfolio_id, v.user_id, v.viewed_at
        from unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::boolean[])
            as v (portfolio_id, user_id, viewed_at, is_there)
        where v.is_there
        on conflict (portfolio_id, user_id) where user_id is not null
            do update set viewed_at = greatest(portfolio_views.viewed_at, excluded.viewed_at)
        returning portfolio_id, xmax = 0 as "is_new!"
        "#,
        &portfolios,
        &users,
        &times,
        &is_there,
    )
    .fetch_all(connection)
    .await
}

async fn of_guests(
    connection: &mut PgConnection,
    views: &[(&View, &DateTime<Utc>)],
) -> Result<Vec<Written>, sqlx::Error> {
    let (mut portfolios, mut sessions, mut times) = (Vec::new(), Vec::new(), Vec::new());
    for ((portfolio, viewer), time) in views {
        if let Viewer::Guest(session) = viewer {
            portfolios.push(*portfolio);
            sessions.push(session.clone());
            times.push(**time);
        }
    }
    sqlx::query_as!(
        Written,
        r#"
        insert into portfolio_views (portfolio_id, session_id, viewed_at)
        select * from unnest($1::uuid[], $2::text[], $3::timestamptz[])
        on conflict (portfolio_id, session_id) where session_id is not null
            do update set viewed_at = greatest(portfolio_views.viewed_at, excluded.viewed_at)
        returning portfolio_id, xmax = 0 as "is_new!"
        "#,
        &portfolios,
        &sessions,
        &times,
    )
    .fetch_all(connection)
    .await
}

async fn count(connection: &mut PgConnection, new: BTreeMap<Uuid, i64>) -> Result<(), sqlx::Error> {
    if new.is_empty() {
        return Ok(());
    }
    let (portfolios, counts): (Vec<Uuid>, Vec<i64>) = new.into_iter().unzip();
    sqlx::query!("select id from portfolios where id = any($1) order by id for no key update", &portfolios)
        .fetch_all(&mut *connection)
        .await?;
    sqlx::query!(
        "
        update portfolios p
        set view_count = p.view_count + new.views
        from unnest($1::uuid[], $2::bigint[]) as new (id, views)
        where p.id = new.id
        ",
        &portfolios,
        &counts,
    )
    .execute(connection)
    .await?;
    Ok(())
}
