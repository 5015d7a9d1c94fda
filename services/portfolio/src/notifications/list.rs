use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use grafikarsa_http::{ApiError, ApiResult, Meta, PageWindow, Paging, Query};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{Kind, text};
use crate::{AppState, capabilities::Caller, portfolios::filters};

#[derive(Debug, Deserialize, IntoParams)]
pub struct Filter {
    /// `true` leaves out what is read.
    unread_only: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Notification {
    id: Uuid,
    #[serde(rename = "type")]
    kind: Kind,
    title: &'static str,
    /// Plain text, to be escaped where it is shown.
    message: String,
    /// Depends on the type. Names and pictures of people are those of now, titles of portfolios those of then.
    #[schema(value_type = Object)]
    data: Value,
    is_read: bool,
    read_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
}

/// A page of notifications as it goes over the wire.
#[derive(Debug, Serialize, ToSchema)]
pub struct Notifications {
    /// Always true.
    success: bool,
    data: Vec<Notification>,
    meta: NotificationMeta,
}

/// Where the page stands, under the names of this list and under the common ones.
#[derive(Debug, Serialize, ToSchema)]
pub struct NotificationMeta {
    page: i64,
    limit: i64,
    total: i64,
    /// Of all, whatever is filtered.
    unread_count: i64,
    #[serde(flatten)]
    common: Meta,
}

impl NotificationMeta {
    fn new(window: PageWindow, total: i64, unread_count: i64) -> Self {
        Self { page: window.page, limit: window.per_page, total, unread_count, common: Meta::new(window, total) }
    }
}

impl IntoResponse for Notifications {
    fn into_response(self) -> Response {
        Json(self).into_response()
    }
}

/// What the caller was told, the newest first. Reading the list marks nothing as read.
#[utoipa::path(
    get,
    path = "/api/v1/notifications",
    tag = "notifications",
    params(Filter, ("page" = Option<i64>, Query), ("limit" = Option<i64>, Query)),
    security(("bearer" = [])),
    responses((status = 200, body = Notifications)),
)]
pub async fn list(
    State(app): State<AppState>,
    caller: Caller,
    Query(filter): Query<Filter>,
    paging: Paging,
) -> ApiResult<Notifications> {
    let unread_only = filters::boolean("unread_only", filter.unread_only.as_deref())?.unwrap_or(false);
    let window = paging.with(20, 50);
    // Totals and rows of one moment.
    let mut tx = app.db.begin().await?;
    sqlx::query!("set transaction isolation level repeatable read, read only").execute(&mut *tx).await?;
    let counted = sqlx::query!(
        r#"
        select count(*) as "all!", count(*) filter (where read_at is null) as "unread!"
        from notifications
        where user_id = $1 and deleted_at is null
        "#,
        caller.id,
    )
    .fetch_one(&mut *tx)
    .await?;
    let rows = sqlx::query_as!(
        Row,
        r#"
        select
            n.id as "id!",
            n.kind as "kind!",
            n.data as "data!",
            n.read_at,
            n.created_at as "created_at!",
            a.username as "actor_username?",
            a.nama as "actor_nama?",
            a.avatar_url as actor_avatar,
            f.follower_id is not null as "is_following!",
            o.username as "owner_username?"
        from (
            -- One of the two runs, each along its own index.
            (
                select *
                from notifications
                where not $2 and user_id = $1 and deleted_at is null
                order by created_at desc, id desc
                limit $3
                offset $4
            )
            union all
            (
                select *
                from notifications
                where $2 and user_id = $1 and deleted_at is null and read_at is null
                order by created_at desc, id desc
                limit $3
                offset $4
            )
        ) n
        left join users a on a.id = n.actor_id and a.deleted_at is null and a.is_active
        left join follows f on f.follower_id = n.user_id and f.followed_id = a.id
        left join portfolios p
            on n.kind in ('new_comment', 'reply_comment') and p.id = (n.data ->> 'portfolio_id')::uuid
        left join users o on o.id = p.user_id and o.deleted_at is null and o.is_active
        order by n.created_at desc, n.id desc
        "#,
        caller.id,
        unread_only,
        window.limit(),
        window.offset(),
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    let total = if unread_only { counted.unread } else { counted.all };
    Ok(Notifications {
        success: true,
        data: rows.into_iter().map(Row::render).collect::<ApiResult<_>>()?,
        meta: NotificationMeta::new(window, total, counted.unread),
    })
}

/// A notification as it is stored, with the people in it as they are now.
struct Row {
    id: Uuid,
    kind: String,
    data: Value,
    read_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    actor_username: Option<String>,
    actor_nama: Option<String>,
    actor_avatar: Option<String>,
    is_following: bool,
    owner_username: Option<String>,
}

impl Row {
    fn render(self) -> ApiResult<Notification> {
        let kind: Kind = self.kind.parse().map_err(ApiError::internal)?;
        let mut data = self.data;
        if let Some(prefix) = kind.actor_prefix() {
            data[format!("{prefix}_username")] = json!(self.actor_username);
            data[format!("{prefix}_nama")] = json!(self.actor_nama);
            data[format!("{prefix}_avatar")] = json!(self.actor_avatar);
            data[format!("{prefix}_is_following")] = json!(self.is_following);
        }
        if matches!(kind, Kind::NewComment | Kind::ReplyComment) {
            data["portfolio_owner_username"] = json!(self.owner_username);
        }
        Ok(Notification {
            id: self.id,
            kind,
            title: text::title(kind),
            message: text::message(kind, self.actor_username.as_deref(), &data),
            data,
            is_read: self.read_at.is_some(),
            read_at: self.read_at,
            created_at: self.created_at,
        })
    }
}
