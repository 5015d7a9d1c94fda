use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use grafikarsa_http::{ApiError, ApiResult, Id, Meta, PageWindow, Paging, Query};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, QueryBuilder};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{Message, render};
use crate::{AppState, capabilities::Caller, chat::conversations, portfolios::filters};

#[derive(Debug, Deserialize, IntoParams)]
pub struct Cursors {
    /// Messages older than this one, newest first.
    #[param(value_type = Option<Uuid>)]
    before: Option<String>,
    /// Messages newer than this one, oldest first.
    #[param(value_type = Option<Uuid>)]
    after: Option<String>,
}

/// Which part of the list is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Page,
    Before(Uuid),
    After(Uuid),
}

/// Where a part stands in the list.
#[derive(Debug, Serialize, ToSchema)]
pub struct MessagesMeta {
    /// Of a page; absent behind a cursor.
    #[serde(skip_serializing_if = "Option::is_none")]
    current_page: Option<i64>,
    /// The limit applied.
    per_page: i64,
    /// Of a page; absent behind a cursor.
    #[serde(skip_serializing_if = "Option::is_none")]
    total_pages: Option<i64>,
    /// Of a page; absent behind a cursor.
    #[serde(skip_serializing_if = "Option::is_none")]
    total_count: Option<i64>,
    /// Whether there are more in this direction.
    has_more: bool,
    /// The last message of this part, to go on from; `null` when there are no more.
    next_cursor: Option<Uuid>,
}

/// A part of the messages of a conversation as it goes over the wire.
#[derive(Debug, Serialize, ToSchema)]
pub struct Messages {
    success: bool,
    data: Vec<Message>,
    meta: MessagesMeta,
}

impl IntoResponse for Messages {
    fn into_response(self) -> Response {
        Json(self).into_response()
    }
}

/// Messages of a conversation by page, newest first, or from a message on. Reading them does not mark them as read.
#[utoipa::path(
    get,
    path = "/api/v1/conversations/{id}/messages",
    tag = "chat",
    operation_id = "list_messages",
    params(
        ("id" = uuid::Uuid, Path), Cursors, ("page" = Option<i64>, Query), ("limit" = Option<i64>, Query),
    ),
    security(("bearer" = [])),
    responses((status = 200, body = Messages)),
)]
pub async fn list(
    State(app): State<AppState>,
    caller: Caller,
    Id(id): Id,
    Query(cursors): Query<Cursors>,
    paging: Paging,
) -> ApiResult<Messages> {
    let part = cursors.part()?;
    let window = paging.with(30, 100);
    let mut connection = app.db.acquire().await?;
    let conversation = conversations::find(&mut *connection, id, caller.id).await?;
    let mut ids = fetch(&mut connection, id, part, window).await?;
    // One more than asked for tells whether there are more.
    let has_more = ids.len() > usize::try_from(window.limit()).unwrap_or(usize::MAX);
    if has_more {
        ids.pop();
    }
    let page = (part == Part::Page).then(|| Meta::new(window, conversation.message_count));
    let meta = MessagesMeta {
        current_page: page.map(|page| page.current_page),
        per_page: window.limit(),
        total_pages: page.map(|page| page.total_pages),
        total_count: page.map(|page| page.total_count),
        has_more,
        next_cursor: ids.last().copied().filter(|_| has_more),
    };
    let data = render(&mut connection, &app.rules, caller.id, &ids).await?;
    Ok(Messages { success: true, data, meta })
}

impl Cursors {
    fn part(&self) -> ApiResult<Part> {
        let before = filters::uuid("before", self.before.as_deref())?;
        let after = filters::uuid("after", self.after.as_deref())?;
        match (before, after) {
            (None, None) => Ok(Part::Page),
            (Some(message), None) => Ok(Part::Before(message)),
            (None, Some(message)) => Ok(Part::After(message)),
            (Some(_), Some(_)) => Err(ApiError::syntax("after", "before dan after tidak dapat dipakai bersama")),
        }
    }
}

async fn fetch(
    connection: &mut PgConnection,
    conversation: Uuid,
    part: Part,
    window: PageWindow,
) -> ApiResult<Vec<Uuid>> {
    let mut query = QueryBuilder::new("select id from messages where deleted_at is null and conversation_id = ");
    query.push_bind(conversation);
    match part {
        Part::Page => {
            query.push(" order by created_at desc");
        }
        Part::Before(message) => {
            let at = sent_at(connection, conversation, "before", message).await?;
            query.push(" and created_at < ").push_bind(at).push(" order by created_at desc");
        }
        Part::After(message) => {
            let at = sent_at(connection, conversation, "after", message).await?;
            query.push(" and created_at > ").push_bind(at).push(" order by created_at");
        }
    }
    // In the text, not as a parameter: see `crate::window`.
    query.push(" limit ").push(window.limit() + 1);
    if part == Part::Page && window.offset() > 0 {
        query.push(" offset ").push_bind(window.offset());
    }
    Ok(query.build_query_scalar().fetch_all(connection).await?)
}

/// Of a message of the conversation, be it deleted by now.
async fn sent_at(
    connection: &mut PgConnection,
    conversation: Uuid,
    field: &str,
    message: Uuid,
) -> ApiResult<DateTime<Utc>> {
    let sent_at = sqlx::query_scalar!(
        "select created_at from messages where id = $1 and conversation_id = $2",
        message,
        conversation,
    );
    let sent_at = sent_at.fetch_optional(connection).await?;
    sent_at.ok_or_else(|| ApiError::syntax(field, "Pesan tidak ditemukan di percakapan ini"))
}
