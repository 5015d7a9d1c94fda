use axum::extract::State;
use grafikarsa_http::{ApiError, ApiResult, Data, DeferredBody, Envelope, FieldErrors, Id, required_text};
use serde::Deserialize;
use serde_json::json;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Comment, Row, not_found};
use crate::{
    AppState,
    capabilities::Caller,
    notifications::{self, Kind},
    portfolios::{
        Status,
        access::{self, Loaded},
    },
    users,
};

/// A thread is that deep at the most.
const MOST_LEVELS: i32 = 5;

#[derive(Debug, Deserialize, ToSchema)]
pub struct NewComment {
    /// 1 to 2000 characters.
    content: Option<String>,
    /// The comment that is replied to.
    parent_id: Option<Uuid>,
}

/// What is replied to.
#[derive(Clone, Copy, Debug)]
struct Parent {
    id: Uuid,
    root_id: Uuid,
    level: i32,
    author: Uuid,
}

/// Comments on a published portfolio, or replies to a comment on it.
#[utoipa::path(
    post,
    path = "/api/v1/portfolios/{id}/comments",
    tag = "comments",
    params(("id" = uuid::Uuid, Path)),
    request_body = NewComment,
    security(("bearer" = [])),
    responses((status = 201, body = Envelope<Comment>)),
)]
pub async fn create(
    State(app): State<AppState>,
    caller: Caller,
    Id(id): Id,
    body: DeferredBody<NewComment>,
) -> ApiResult<Data<Comment>> {
    let limit = app.limits.comments(caller.id);
    limit.hit(&app.db).await?;
    let written = write(&app, &caller, id, body).await;
    if written.is_err() {
        // What was refused is no comment.
        limit.take_back(&app.db).await?;
    }
    Ok(Data::created(written?).message("Komentar berhasil ditambahkan"))
}

async fn write(app: &AppState, caller: &Caller, id: Uuid, body: DeferredBody<NewComment>) -> ApiResult<Comment> {
    if !access::find(&app.db, id).await?.is_visible_to(Some(caller)) {
        return Err(access::not_found());
    }
    let new = body.read().await?;
    let mut errors = FieldErrors::new();
    let content = required_text(&mut errors, "content", "Komentar", new.content.as_deref(), 1..=2000);

    let mut tx = app.db.begin().await?;
    let portfolio = lock_portfolio(&mut tx, id, caller).await?;
    let parent = match new.parent_id {
        Some(parent) => Some(lock_parent(&mut tx, id, parent).await?),
        None => None,
    };
    if parent.is_some_and(|parent| parent.level >= MOST_LEVELS) {
        errors.add("parent_id", format!("Balasan komentar paling dalam {MOST_LEVELS} tingkat"));
    }
    errors.finish()?;
    if portfolio.status != Status::Published {
        return Err(ApiError::bad_request("INVALID_STATUS", "Hanya portofolio yang terbit dapat dikomentari"));
    }
    let comment = insert(&mut tx, &portfolio, caller, &content, parent).await?;
    notify(&mut tx, &portfolio, caller, comment.id, parent).await?;
    tx.commit().await?;
    Ok(comment)
}

/// The portfolio, which stays as it is until the comment is there.
async fn lock_portfolio(connection: &mut PgConnection, id: Uuid, caller: &Caller) -> ApiResult<Loaded> {
    sqlx::query!("select id from portfolios where id = $1 for share", id).fetch_optional(&mut *connection).await?;
    let portfolio = access::find(connection, id).await?;
    if portfolio.is_visible_to(Some(caller)) { Ok(portfolio) } else { Err(access::not_found()) }
}

/// The comment `id` with its thread locked, so that a deletion takes the reply along or prevents it.
async fn lock_parent(connection: &mut PgConnection, portfolio: Uuid, id: Uuid) -> ApiResult<Parent> {
    sqlx::query!("select id from comments where id = (select root_id from comments where id = $1) for share", id)
        .fetch_optional(&mut *connection)
        .await?;
    let parent = sqlx::query_as!(
        Parent,
        "
        select id, root_id, level, user_id as author
        from comments
        where id = $1 and portfolio_id = $2 and deleted_at is null
        ",
        id,
        portfolio,
    );
    parent.fetch_optional(connection).await?.ok_or_else(not_found)
}

async fn insert(
    connection: &mut PgConnection,
    portfolio: &Loaded,
    caller: &Caller,
    content: &str,
    parent: Option<Parent>,
) -> ApiResult<Comment> {
    let id = Uuid::now_v7();
    sqlx::query!(
        "
        insert into comments (id, portfolio_id, user_id, parent_id, root_id, level, content)
        values ($1, $2, $3, $4, $5, $6, $7)
        ",
        id,
        portfolio.id,
        caller.id,
        parent.map(|parent| parent.id),
        parent.map_or(id, |parent| parent.root_id),
        parent.map_or(1, |parent| parent.level + 1),
        content,
    )
    .execute(&mut *connection)
    .await?;
    let row = sqlx::query_as!(
        Row,
        r#"
        select
            c.id,
            c.portfolio_id,
            c.parent_id,
            c.content,
            c.created_at,
            c.updated_at,
            u.id as "user_id?",
            u.username as "username?",
            u.nama as "nama?",
            u.avatar_url,
            u.role as "role?"
        from comments c
        join users u on u.id = c.user_id and u.is_active and u.deleted_at is null
        where c.id = $1
        "#,
        id,
    );
    // Deactivated a moment ago: what he wrote is not written.
    Ok(row.fetch_optional(connection).await?.ok_or_else(users::revoked)?.into())
}

/// Tells the author of the comment that was replied to, and the owner of the portfolio unless he is told already.
async fn notify(
    connection: &mut PgConnection,
    portfolio: &Loaded,
    caller: &Caller,
    comment: Uuid,
    parent: Option<Parent>,
) -> ApiResult<()> {
    let owner = sqlx::query_scalar!("select username from users where id = $1", portfolio.user_id)
        .fetch_one(&mut *connection)
        .await?;
    let mut data = json!({
        "actor_id": caller.id,
        "portfolio_id": portfolio.id,
        "portfolio_slug": portfolio.slug,
        "portfolio_judul": portfolio.judul,
        "portfolio_owner_username": owner,
        "comment_id": comment,
    });
    let key = comment.to_string();
    if parent.is_none_or(|parent| parent.author != portfolio.user_id) {
        notifications::insert(connection, portfolio.user_id, caller.id, Kind::NewComment, &key, data.clone()).await?;
    }
    if let Some(parent) = parent {
        data["parent_comment_id"] = json!(parent.id);
        notifications::insert(connection, parent.author, caller.id, Kind::ReplyComment, &key, data).await?;
    }
    Ok(())
}
