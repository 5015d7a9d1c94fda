use axum::extract::State;
use grafikarsa_http::{ApiResult, Page, PageEnvelope, Paging, Query};
use serde::Deserialize;
use sqlx::QueryBuilder;
use utoipa::IntoParams;
use uuid::Uuid;

use super::render::{Conversation, render};
use crate::{AppState, capabilities::Caller, portfolios::filters, totals, window};

#[derive(Debug, Deserialize, IntoParams)]
pub struct Filter {
    /// Whether archived conversations are listed, too.
    #[param(value_type = Option<bool>)]
    include_archived: Option<String>,
}

/// The caller's conversations, those with the newest messages first.
#[utoipa::path(
    get,
    path = "/api/v1/conversations",
    tag = "chat",
    operation_id = "list_conversations",
    params(Filter, ("page" = Option<i64>, Query), ("limit" = Option<i64>, Query)),
    security(("bearer" = [])),
    responses((status = 200, body = PageEnvelope<Conversation>)),
)]
pub async fn list(
    State(app): State<AppState>,
    caller: Caller,
    Query(filter): Query<Filter>,
    paging: Paging,
) -> ApiResult<Page<Conversation>> {
    let with_archived = filters::boolean("include_archived", filter.include_archived.as_deref())?.unwrap_or(false);
    let window = paging.with(20, 50);
    let mut connection = app.db.acquire().await?;
    let mut page = QueryBuilder::new("select conversation_id from conversation_participants where user_id = ");
    page.push_bind(caller.id).push(listed(with_archived)).push(" order by sort_at desc, conversation_id");
    window::push(&mut page, window);
    let ids: Vec<Uuid> = page.build_query_scalar().fetch_all(&mut *connection).await?;
    let conversations = render(&mut connection, caller.id, &ids).await?;
    let total = match totals::of_last_page(window, ids.len()) {
        Some(total) => total,
        None => {
            let mut count = QueryBuilder::new("select count(*) from conversation_participants where user_id = ");
            count.push_bind(caller.id).push(listed(with_archived));
            count.build_query_scalar().fetch_one(&mut *connection).await?
        }
    };
    Ok(Page::new(conversations, window, total))
}

fn listed(with_archived: bool) -> &'static str {
    if with_archived { " and is_listed" } else { " and is_listed and not is_archived" }
}
