use std::collections::HashMap;

use chrono::{DateTime, Utc};
use grafikarsa_http::ApiResult;
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use super::{Message, MessageContent, MessageType, SharedPortfolio, SharedPortfolioOwner, not_found};
use crate::{
    chat::{
        people::{self, UserRow},
        reactions::Reaction,
    },
    settings::Rules,
};

/// A message, or one that is answered, with everything that belongs to it.
struct Row {
    id: Uuid,
    conversation_id: Uuid,
    sender_id: Uuid,
    message_type: MessageType,
    text: Option<String>,
    object_key: Option<String>,
    portfolio_id: Option<Uuid>,
    reply_to_id: Option<Uuid>,
    client_message_id: Option<Uuid>,
    created_at: DateTime<Utc>,
    username: Option<String>,
    nama: Option<String>,
    avatar_url: Option<String>,
    role: Option<String>,
    shows_presence: bool,
    judul: Option<String>,
    slug: Option<String>,
    thumbnail_url: Option<String>,
    owner_id: Option<Uuid>,
    owner_username: Option<String>,
    owner_nama: Option<String>,
    owner_avatar_url: Option<String>,
    reactions: Json<Vec<Reaction>>,
}

/// The messages `ids` as `viewer` sees them, in this order, in two statements. Those that are deleted are left out. Whether
/// he takes part in their conversations is for the caller to say.
pub async fn render(
    connection: &mut PgConnection,
    rules: &Rules,
    viewer: Uuid,
    ids: &[Uuid],
) -> Result<Vec<Message>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"
        with asked as (
            select id, reply_to_id
            from messages
            -- Through a subquery, so that the planner expects as many ids whatever the array holds: it would plan all of
            -- this anew for each message otherwise, which takes longer than reading one.
            where id = any(array(select unnest($1::uuid[]))) and deleted_at is null
        )
        select
            m.id,
            m.conversation_id,
            m.sender_id,
            m.message_type as "message_type: MessageType",
            m.text,
            m.object_key,
            m.portfolio_id,
            m.reply_to_id,
            m.client_message_id,
            m.created_at,
            u.username as "username?",
            u.nama as "nama?",
            u.avatar_url,
            u.role as "role?",
            coalesce(u.is_active, false) and (
                m.sender_id = $2
                or not exists (select from dm_blocks where blocker_id = c.user_a and blocked_id = c.user_b)
                and not exists (select from dm_blocks where blocker_id = c.user_b and blocked_id = c.user_a)
            ) as "shows_presence!",
            p.judul as "judul?",
            p.slug as "slug?",
            p.thumbnail_url,
            o.id as "owner_id?",
            o.username as "owner_username?",
            o.nama as "owner_nama?",
            o.avatar_url as owner_avatar_url,
            (
                select coalesce(
                    jsonb_agg(
                        jsonb_build_object(
                            'user_id', r.user_id,
                            'username', coalesce(ru.username, ''),
                            'emoji', r.emoji
                        )
                        order by r.created_at, r.id
                    ),
                    '[]'
                )
                from message_reactions r
                left join users ru on ru.id = r.user_id and ru.deleted_at is null
                where r.message_id = m.id
            ) as "reactions!: Json<Vec<Reaction>>"
        from messages m
        join conversations c on c.id = m.conversation_id
        left join users u on u.id = m.sender_id and u.deleted_at is null
        left join (portfolios p join users o on o.id = p.user_id) on p.id = m.portfolio_id and p.is_public
        where m.deleted_at is null
          and m.id in (
              select id from asked
              union
              select reply_to_id from asked where reply_to_id is not null
          )
        "#,
        ids,
        viewer,
    )
    .fetch_all(&mut *connection)
    .await?;
    let shown = rows.iter().filter(|row| row.shows_presence).map(|row| row.sender_id);
    let online = people::online(connection, shown).await?;
    let replies: HashMap<Uuid, Option<Uuid>> = rows.iter().map(|row| (row.id, row.reply_to_id)).collect();
    let found: HashMap<Uuid, Message> = rows
        .into_iter()
        .map(|mut row| {
            let user = UserRow {
                username: row.username.take(),
                nama: row.nama.take(),
                avatar_url: row.avatar_url.take(),
                role: row.role.take(),
            };
            let sender = user.user(row.sender_id, &online);
            let message = Message {
                id: row.id,
                conversation_id: row.conversation_id,
                sender_id: row.sender_id,
                sender,
                message_type: row.message_type,
                reply_to: None,
                reactions: std::mem::take(&mut row.reactions.0),
                created_at: row.created_at,
                is_deleted: false,
                client_message_id: row.client_message_id,
                content: row.content(&rules.storage_base),
            };
            (message.id, message)
        })
        .collect();
    let with_reply = |id: &Uuid| {
        let mut message = found.get(id)?.clone();
        let answered = replies.get(id).copied().flatten().and_then(|id| found.get(&id).cloned());
        message.reply_to = answered.map(|answered| Box::new(Message { reactions: Vec::new(), ..answered }));
        Some(message)
    };
    Ok(ids.iter().filter_map(with_reply).collect())
}

/// The message `id`, which is there.
pub async fn render_one(connection: &mut PgConnection, rules: &Rules, viewer: Uuid, id: Uuid) -> ApiResult<Message> {
    render(connection, rules, viewer, &[id]).await?.pop().ok_or_else(not_found)
}

impl Row {
    fn content(self, storage_base: &str) -> MessageContent {
        let portfolio = self.portfolio();
        match (self.object_key, self.portfolio_id) {
            (Some(object_key), _) => {
                MessageContent::Image { url: format!("{storage_base}/{object_key}"), object_key, text: self.text }
            }
            (None, Some(portfolio_id)) => MessageContent::Portfolio { portfolio_id, text: self.text, portfolio },
            (None, None) => MessageContent::Text { text: self.text.unwrap_or_default() },
        }
    }

    /// `None` unless it is public.
    fn portfolio(&self) -> Option<SharedPortfolio> {
        Some(SharedPortfolio {
            id: self.portfolio_id?,
            judul: self.judul.clone()?,
            slug: self.slug.clone()?,
            thumbnail_url: self.thumbnail_url.clone(),
            owner: SharedPortfolioOwner {
                id: self.owner_id?,
                username: self.owner_username.clone()?,
                nama: self.owner_nama.clone()?,
                avatar_url: self.owner_avatar_url.clone(),
            },
        })
    }
}
