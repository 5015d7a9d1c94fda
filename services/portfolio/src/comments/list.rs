use std::collections::HashMap;

use axum::extract::State;
use grafikarsa_http::{ApiResult, Id, Page, PageEnvelope, Paging};
use uuid::Uuid;

use super::{Comment, Row};
use crate::{AppState, capabilities::Viewer, portfolios::access};

/// Comments on a portfolio: a page of threads, the oldest first, each with all its replies.
#[utoipa::path(
    get,
    path = "/api/v1/portfolios/{id}/comments",
    tag = "comments",
    params(("id" = uuid::Uuid, Path), ("page" = Option<i64>, Query), ("limit" = Option<i64>, Query)),
    security((), ("bearer" = [])),
    responses((status = 200, body = PageEnvelope<Comment>)),
)]
pub async fn list(State(app): State<AppState>, viewer: Viewer, Id(id): Id, paging: Paging) -> ApiResult<Page<Comment>> {
    let portfolio = access::find(&app.db, id).await?;
    if !portfolio.is_visible_to(viewer.0.as_ref()) {
        return Err(access::not_found());
    }
    let window = paging.with(50, 100);
    let rows = sqlx::query_as!(
        Row,
        r#"
        with roots as materialized (
            select id
            from comments
            where portfolio_id = $1 and parent_id is null and deleted_at is null
            order by created_at, id
            limit $2 offset $3
        )
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
        from roots
        join comments c on c.root_id = roots.id and c.deleted_at is null
        left join users u on u.id = c.user_id and u.is_active and u.deleted_at is null
        order by c.created_at, c.id
        "#,
        id,
        window.limit(),
        window.offset(),
    )
    .fetch_all(&app.db)
    .await?;
    let total = sqlx::query_scalar!(
        r#"
        select count(*) as "count!"
        from comments
        where portfolio_id = $1 and parent_id is null and deleted_at is null
        "#,
        id,
    )
    .fetch_one(&app.db)
    .await?;
    Ok(Page::new(threads(rows.into_iter().map(Comment::from).collect()), window, total))
}

/// Puts every comment below the one it replies to. Both stay in the order they came in.
fn threads(comments: Vec<Comment>) -> Vec<Comment> {
    let mut replies: HashMap<Option<Uuid>, Vec<Comment>> = HashMap::new();
    for comment in comments {
        replies.entry(comment.parent_id).or_default().push(comment);
    }
    take(&mut replies, None)
}

/// Five levels deep at the most: the table allows no more.
fn take(replies: &mut HashMap<Option<Uuid>, Vec<Comment>>, parent: Option<Uuid>) -> Vec<Comment> {
    let mut comments = replies.remove(&parent).unwrap_or_default();
    for comment in &mut comments {
        comment.children = take(replies, Some(comment.id));
    }
    comments
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn replies_stand_below_what_they_reply_to_in_their_order() {
        let comment = |id: u128, parent: Option<u128>| Comment {
            id: Uuid::from_u128(id),
            portfolio_id: Uuid::nil(),
            parent_id: parent.map(Uuid::from_u128),
            content: id.to_string(),
            created_at: DateTime::UNIX_EPOCH,
            updated_at: DateTime::UNIX_EPOCH,
            user: None,
            children: Vec::new(),
        };
        let all = vec![
            comment(1, None),
            comment(2, Some(1)),
            comment(3, None),
            comment(4, Some(2)),
            comment(5, Some(1)),
            // The parent is gone: nobody sees what hung below it.
            comment(6, Some(9)),
        ];
        fn shape(comments: &[Comment]) -> String {
            comments
                .iter()
                .map(|comment| format!("{}({})", comment.content, shape(&comment.children)))
                .collect::<Vec<_>>()
                .concat()
        }
        assert_eq!(shape(&threads(all)), "1(2(4())5())3()");
    }
}
