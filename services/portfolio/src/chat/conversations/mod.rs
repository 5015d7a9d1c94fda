//! Conversations of two people, as each of them has them.

use chrono::{DateTime, Utc};
use grafikarsa_http::{ApiError, ApiResult};
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

pub mod detail;
pub mod flags;
pub mod list;
pub mod open;
pub mod read;
mod render;

/// A conversation in which the caller takes part.
#[derive(Clone, Debug)]
pub struct Membership {
    pub conversation: Uuid,
    pub me: Uuid,
    pub other: Uuid,
    /// When a message was sent last, be it deleted by now.
    pub last_sent_at: Option<DateTime<Utc>>,
    /// Messages that are left.
    pub message_count: i64,
}

impl Membership {
    pub fn both(&self) -> [Uuid; 2] {
        [self.me, self.other]
    }
}

struct Row {
    id: Uuid,
    user_a: Uuid,
    user_b: Uuid,
    last_sent_at: Option<DateTime<Utc>>,
    message_count: i64,
}

impl Row {
    fn membership(self, caller: Uuid) -> ApiResult<Membership> {
        let other = match caller {
            caller if caller == self.user_a => self.user_b,
            caller if caller == self.user_b => self.user_a,
            _ => return Err(not_participant()),
        };
        let Self { id, last_sent_at, message_count, .. } = self;
        Ok(Membership { conversation: id, me: caller, other, last_sent_at, message_count })
    }
}

fn not_found() -> ApiError {
    ApiError::not_found("NOT_FOUND", "Percakapan tidak ditemukan")
}

pub fn not_participant() -> ApiError {
    ApiError::forbidden_with("NOT_PARTICIPANT", "Anda bukan peserta percakapan ini")
}

/// The conversation `id`, for the checks that come before the body is read.
pub async fn find(executor: impl PgExecutor<'_>, id: Uuid, caller: Uuid) -> ApiResult<Membership> {
    let row = sqlx::query_as!(
        Row,
        "select id, user_a, user_b, last_sent_at, message_count from conversations where id = $1",
        id,
    );
    row.fetch_optional(executor).await?.ok_or_else(not_found)?.membership(caller)
}

/// The conversation `id` with its row locked: every change of it and of its messages begins here.
pub async fn lock(connection: &mut PgConnection, id: Uuid, caller: Uuid) -> ApiResult<Membership> {
    let row = sqlx::query_as!(
        Row,
        "
        select id, user_a, user_b, last_sent_at, message_count
        from conversations
        where id = $1
        for no key update
        ",
        id,
    );
    row.fetch_optional(connection).await?.ok_or_else(not_found)?.membership(caller)
}

/// Makes those wait who open a conversation of the two, or block one of them. What they have locked after it, they have
/// locked in this order: the pair, their conversation.
pub async fn lock_pair(connection: &mut PgConnection, one: Uuid, other: Uuid) -> Result<(), sqlx::Error> {
    let pair = format!("dm {} {}", one.min(other), one.max(other));
    sqlx::query!("select pg_advisory_xact_lock(hashtextextended($1, 0))", pair).execute(connection).await.map(drop)
}

/// The conversation that `caller` has with `other`, if there is one, with its row locked.
pub async fn lock_with(
    connection: &mut PgConnection,
    caller: Uuid,
    other: Uuid,
) -> Result<Option<Membership>, sqlx::Error> {
    let row = sqlx::query_as!(
        Row,
        "
        select id, user_a, user_b, last_sent_at, message_count
        from conversations
        where user_a = $1 and user_b = $2
        for no key update
        ",
        caller.min(other),
        caller.max(other),
    );
    Ok(row.fetch_optional(connection).await?.map(|row| Membership {
        conversation: row.id,
        me: caller,
        other,
        last_sent_at: row.last_sent_at,
        message_count: row.message_count,
    }))
}
