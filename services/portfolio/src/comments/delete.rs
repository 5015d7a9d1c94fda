use axum::extract::State;
use grafikarsa_http::{ApiError, ApiResult, Data, Envelope, Id, Nothing};

use super::not_found;
use crate::{
    AppState,
    capabilities::{Caller, Capability},
};

/// Deletes a comment with all replies to it and what people were told of them.
#[utoipa::path(
    delete,
    path = "/api/v1/comments/{id}",
    tag = "comments",
    params(("id" = uuid::Uuid, Path)),
    security(("bearer" = [])),
    responses((status = 200, body = Envelope<Nothing>)),
)]
pub async fn delete(State(app): State<AppState>, caller: Caller, Id(id): Id) -> ApiResult<Data<()>> {
    let mut tx = app.db.begin().await?;
    // The thread is locked by its first comment: a reply comes before this and goes too, or after it and is refused.
    sqlx::query!(
        "select id from comments where id = (select root_id from comments where id = $1) for no key update",
        id,
    )
    .fetch_optional(&mut *tx)
    .await?;
    let comment = sqlx::query!(
        "
        select c.user_id as author, p.user_id as owner
        from comments c
        join portfolios p on p.id = c.portfolio_id and p.deleted_at is null
        join users o on o.id = p.user_id and o.deleted_at is null
        where c.id = $1 and c.deleted_at is null
        ",
        id,
    );
    let comment = comment.fetch_optional(&mut *tx).await?.ok_or_else(not_found)?;
    if ![comment.author, comment.owner].contains(&caller.id) && !caller.has(Capability::Moderation) {
        return Err(ApiError::forbidden());
    }
    sqlx::query!(
        "
        with recursive gone as (
            select id from comments where id = $1
            union all
            select c.id from comments c join gone on c.parent_id = gone.id where c.deleted_at is null
        ),
        told as (
            delete from notifications where data ? 'comment_id' and data ->> 'comment_id' in (select id::text from gone)
        )
        update comments set deleted_at = now(), updated_at = now() where id in (select id from gone)
        ",
        id,
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Data::none().message("Komentar dihapus"))
}
