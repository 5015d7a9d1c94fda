//! Who follows whom. The counters of both stand in their rows and hold active users only.

use sqlx::PgConnection;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::AppState;

mod follow;
mod list;
mod unfollow;

pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(follow::follow, unfollow::unfollow))
        .routes(routes!(list::followers))
        .routes(routes!(list::following))
}

/// Locks the rows of both, in the order of their ids, so that two who follow each other cannot wait for each other, and
/// no deactivation comes between the follow and its counters. Returns those who are active.
async fn lock_active(connection: &mut PgConnection, users: [Uuid; 2]) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "
        select id
        from users
        where id = any($1) and is_active and deleted_at is null
        order by id
        for no key update
        ",
        &users[..],
    )
    .fetch_all(connection)
    .await
}

/// Moves the counters of both by `step`; returns how many follow `followed` now.
async fn count(connection: &mut PgConnection, follower: Uuid, followed: Uuid, step: i64) -> Result<i64, sqlx::Error> {
    sqlx::query!("update users set following_count = following_count + $2 where id = $1", follower, step)
        .execute(&mut *connection)
        .await?;
    sqlx::query_scalar!(
        "update users set follower_count = follower_count + $2 where id = $1 returning follower_count",
        followed,
        step,
    )
    .fetch_one(connection)
    .await
}

async fn followers(connection: &mut PgConnection, followed: Uuid) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!("select follower_count from users where id = $1", followed).fetch_one(connection).await
}
