//! Who has read what. A mark outlives a withdrawal, so that nothing is new twice.

use axum::{Json, extract::State};
use grafikarsa_http::{ApiResult, CurrentUser, Data, Envelope, Id, Nothing};
use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::not_found;
use crate::{AppState, capabilities::Caller, users};

#[derive(Debug, Serialize, ToSchema)]
pub struct UnreadChangelogs {
    count: i64,
}

/// The answer with a copy of the number beside `data`, where the badge of the web client reads it.
#[derive(Debug, Serialize, ToSchema)]
pub struct UnreadChangelogsEnvelope {
    success: bool,
    data: UnreadChangelogs,
    count: i64,
}

/// How many published changelogs the caller has not read.
#[utoipa::path(
    get,
    path = "/api/v1/changelogs/unread-count",
    tag = "changelogs",
    security(("bearer" = [])),
    responses((status = 200, body = UnreadChangelogsEnvelope)),
)]
pub async fn unread_count(State(app): State<AppState>, user: CurrentUser) -> ApiResult<Json<UnreadChangelogsEnvelope>> {
    // Every open tab asks once a minute: the token alone says who it is, and one statement on two indexes counts.
    let count = sqlx::query_scalar!(
        r#"
        select count(*) as "count!"
        from changelogs c
        where c.is_published
            and c.deleted_at is null
            and not exists (select 1 from changelog_reads r where r.user_id = $1 and r.changelog_id = c.id)
        "#,
        user.id,
    )
    .fetch_one(&app.db)
    .await?;
    Ok(Json(UnreadChangelogsEnvelope { success: true, data: UnreadChangelogs { count }, count }))
}

/// Marks every published changelog as read.
#[utoipa::path(
    post,
    path = "/api/v1/changelogs/mark-all-read",
    tag = "changelogs",
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Nothing>)),
)]
pub async fn mark_all_read(State(app): State<AppState>, caller: Caller) -> ApiResult<Data<()>> {
    let mut tx = app.db.begin().await?;
    lock_reader(&mut tx, caller.id).await?;
    // Locked, so that no mark comes after the deletion of a changelog has taken its marks away; and in one order, because
    // two calls at once wait for each other's marks.
    sqlx::query!(
        "
        with unread as materialized (
            select c.id
            from changelogs c
            where c.is_published
                and c.deleted_at is null
                and not exists (select 1 from changelog_reads r where r.user_id = $1 and r.changelog_id = c.id)
            order by c.id
            for share
        )
        insert into changelog_reads (user_id, changelog_id)
        select $1, id from unread order by id
        on conflict do nothing
        ",
        caller.id,
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Data::none())
}

/// Marks a published changelog as read. The first time counts.
#[utoipa::path(
    post,
    path = "/api/v1/changelogs/{id}/mark-read",
    tag = "changelogs",
    params(("id" = Uuid, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Nothing>)),
)]
pub async fn mark_read(State(app): State<AppState>, caller: Caller, Id(id): Id) -> ApiResult<Data<()>> {
    let mut tx = app.db.begin().await?;
    lock_reader(&mut tx, caller.id).await?;
    let published = sqlx::query_scalar!(
        "select id from changelogs where id = $1 and is_published and deleted_at is null for share",
        id,
    );
    published.fetch_optional(&mut *tx).await?.ok_or_else(not_found)?;
    sqlx::query!(
        "insert into changelog_reads (user_id, changelog_id) values ($1, $2) on conflict do nothing",
        caller.id,
        id,
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Data::none())
}

/// Forgets what a deleted account has read.
pub async fn forget_reader(connection: &mut PgConnection, user: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from changelog_reads where user_id = $1", user).execute(connection).await.map(drop)
}

/// Locks the caller's own row, so that no mark comes after the deletion of his account has taken his marks away.
async fn lock_reader(connection: &mut PgConnection, user: Uuid) -> ApiResult<()> {
    let usable =
        sqlx::query_scalar!("select id from users where id = $1 and is_active and deleted_at is null for share", user);
    usable.fetch_optional(connection).await?.map(drop).ok_or_else(users::revoked)
}
