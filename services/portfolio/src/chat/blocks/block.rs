use axum::extract::State;
use grafikarsa_http::{ApiError, ApiResult, Data, Envelope, FieldErrors, Id, Nothing};
use sqlx::PgExecutor;
use uuid::Uuid;

use crate::{
    AppState,
    capabilities::Caller,
    chat::{conversations, people},
    users::find,
};

/// Blocks a user: nothing is sent between the two until he is unblocked.
#[utoipa::path(
    post,
    path = "/api/v1/dm/block/{userId}",
    tag = "chat",
    operation_id = "block_user",
    params(("userId" = uuid::Uuid, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Nothing>, description = "Also when he was blocked before")),
)]
pub async fn block(State(app): State<AppState>, caller: Caller, id: Result<Id, ApiError>) -> ApiResult<Data<()>> {
    app.limits.dm_changes(caller.id).hit(&app.db).await?;
    let Id(id) = id?;
    if !exists(&app.db, id).await? {
        return Err(find::not_found());
    }
    if id == caller.id {
        let mut errors = FieldErrors::new();
        errors.add("userId", "Anda tidak dapat memblokir diri sendiri");
        errors.finish()?;
    }
    let mut tx = app.db.begin().await?;
    // What is sent at the same time is there before the block, or sees it.
    conversations::lock_pair(&mut tx, caller.id, id).await?;
    let conversation = conversations::lock_with(&mut tx, caller.id, id).await?;
    let saw_each_other = conversation.is_some_and(|conversation| conversation.last_sent_at.is_some())
        && !people::is_blocked(&mut *tx, caller.id, id).await?;
    sqlx::query!(
        "insert into dm_blocks (blocker_id, blocked_id) values ($1, $2) on conflict do nothing",
        caller.id,
        id,
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    if saw_each_other {
        app.realtime.hide(caller.id, id).await;
    }
    Ok(Data::none().message("Pengguna diblokir"))
}

async fn exists(executor: impl PgExecutor<'_>, user: Uuid) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(r#"select exists (select from users where id = $1 and deleted_at is null) as "exists!""#, user,)
        .fetch_one(executor)
        .await
}

/// Takes one's own block of a user back. Fine when there is none.
#[utoipa::path(
    delete,
    path = "/api/v1/dm/block/{userId}",
    tag = "chat",
    operation_id = "unblock_user",
    params(("userId" = uuid::Uuid, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Nothing>)),
)]
pub async fn unblock(State(app): State<AppState>, caller: Caller, id: Result<Id, ApiError>) -> ApiResult<Data<()>> {
    app.limits.dm_changes(caller.id).hit(&app.db).await?;
    let Id(id) = id?;
    sqlx::query!("delete from dm_blocks where blocker_id = $1 and blocked_id = $2", caller.id, id)
        .execute(&app.db)
        .await?;
    Ok(Data::none().message("Blokir dibuka"))
}
