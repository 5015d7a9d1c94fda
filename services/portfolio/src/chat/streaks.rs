//! On how many days in a row two people have written to each other. Sending a message counts them.

use anyhow::Context as _;
use axum::extract::State;
use chrono::{DateTime, NaiveTime, Utc};
use grafikarsa_http::{ApiResult, Data, Envelope, Paging};
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;

use super::people::{self, DmUser, UserRow};
use crate::{AppState, capabilities::Caller};

/// A streak that goes on.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChatStreak {
    other_user: DmUser,
    current_streak: i32,
    longest_streak: i32,
    /// Midnight of the day that was counted last.
    last_chat_date: DateTime<Utc>,
}

/// The caller's streaks that go on, the longest first.
#[utoipa::path(
    get,
    path = "/api/v1/dm/streaks",
    tag = "chat",
    operation_id = "list_streaks",
    params(("limit" = Option<i64>, Query)),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Vec<ChatStreak>>)),
)]
pub async fn list(State(app): State<AppState>, caller: Caller, paging: Paging) -> ApiResult<Data<Vec<ChatStreak>>> {
    let mut connection = app.db.acquire().await?;
    let rows = sqlx::query!(
        r#"
        select
            u.id,
            u.username,
            u.nama,
            u.avatar_url,
            u.role,
            s.current_streak as "current_streak!",
            s.longest_streak as "longest_streak!",
            s.last_chat_date as "last_chat_date!"
        from (
            select user_b as other_id, current_streak, longest_streak, last_chat_date
            from chat_streaks
            where user_a = $1 and last_chat_date >= (now() at time zone $2)::date - 1
            union all
            select user_a as other_id, current_streak, longest_streak, last_chat_date
            from chat_streaks
            where user_b = $1 and last_chat_date >= (now() at time zone $2)::date - 1
        ) s
        join users u on u.id = s.other_id and u.is_active and u.deleted_at is null
        where not exists (select from dm_blocks where blocker_id = $1 and blocked_id = s.other_id)
          and not exists (select from dm_blocks where blocker_id = s.other_id and blocked_id = $1)
        order by s.current_streak desc, s.last_chat_date desc, u.id
        limit $3
        "#,
        caller.id,
        app.rules.streak_time_zone,
        paging.with(100, 100).limit(),
    )
    .fetch_all(&mut *connection)
    .await?;
    // Whoever has a streak has written, and there is no block: both see whether the other is online.
    let online = people::online(&mut connection, rows.iter().map(|row| row.id)).await?;
    let streaks = rows.into_iter().filter_map(|row| {
        let user = UserRow {
            username: Some(row.username),
            nama: Some(row.nama),
            avatar_url: row.avatar_url,
            role: Some(row.role),
        };
        Some(ChatStreak {
            other_user: user.user(row.id, &online)?,
            current_streak: row.current_streak,
            longest_streak: row.longest_streak,
            last_chat_date: row.last_chat_date.and_time(NaiveTime::MIN).and_utc(),
        })
    });
    Ok(Data::new(streaks.collect()))
}

/// Refuses a time zone that PostgreSQL does not know: every message would fail by it.
pub async fn check_time_zone(db: &PgPool, zone: &str) -> anyhow::Result<()> {
    sqlx::query_scalar!(r#"select now() at time zone $1 as "here!""#, zone)
        .fetch_one(db)
        .await
        .context("STREAK_TIME_ZONE is no time zone of PostgreSQL's")?;
    Ok(())
}
