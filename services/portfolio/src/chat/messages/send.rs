use axum::extract::State;
use grafikarsa_http::{ApiError, ApiResult, Data, DeferredBody, Envelope, FieldErrors, Id};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    Message, MessageType,
    content::{Draft, NewMessage, preview},
    not_found, render_one,
};
use crate::{
    AppState,
    capabilities::Caller,
    chat::{
        conversations::{self, Membership},
        events,
        permission::Standing,
    },
    portfolios::access,
    storage::{self, Key, Object},
    users::find,
};

/// Sends a message.
#[utoipa::path(
    post,
    path = "/api/v1/conversations/{id}/messages",
    tag = "chat",
    operation_id = "send_message",
    params(("id" = uuid::Uuid, Path)),
    request_body = NewMessage,
    security(("bearer" = [])),
    responses((status = 201, body = Envelope<Message>, description = "Also for a repeated client_message_id")),
)]
pub async fn send(
    State(app): State<AppState>,
    caller: Caller,
    id: Result<Id, ApiError>,
    body: DeferredBody<NewMessage>,
) -> ApiResult<Data<Message>> {
    let limit = app.limits.messages(caller.id);
    limit.hit(&app.db).await?;
    let Id(id) = id?;
    conversations::find(&app.db, id, caller.id).await?;
    let draft = body.read().await?.check(caller.id, &app.rules.storage_base)?;
    let mut picture = None;
    let message = loop {
        match attempt(&app, caller.id, id, &draft, picture.as_ref()).await? {
            Attempt::Sent(message) => break message,
            Attempt::Unknown(key) => match storage::ask_media(&app, &key).await {
                Ok(object) => picture = Some(object),
                Err(error) => {
                    // The same message again is another hit, as often as it takes.
                    limit.take_back(&app.db).await?;
                    return Err(error);
                }
            },
        }
    };
    Ok(Data::created(*message))
}

enum Attempt {
    Sent(Box<Message>),
    /// Nothing is stored yet: media has to be asked for this picture, while nobody waits for a lock or a connection.
    Unknown(Key),
}

/// Sends `draft`, or finds that it was sent. `picture` is what media answered, once it was asked.
async fn attempt(
    app: &AppState,
    sender: Uuid,
    conversation: Uuid,
    draft: &Draft,
    picture: Option<&Option<Object>>,
) -> ApiResult<Attempt> {
    let mut tx = app.db.begin().await?;
    let conversation = conversations::lock(&mut tx, conversation, sender).await?;
    let message = match earlier(&mut tx, &conversation, draft).await? {
        Some(message) => message,
        None => {
            let standing = Standing::load(&mut tx, sender, conversation.other).await?;
            standing.ok_or_else(find::not_found)?.may_send()?;
            match (draft.content.picture(), picture) {
                (Some(key), None) if !storage::is_known(&mut tx, key).await? => {
                    return Ok(Attempt::Unknown(key.clone()));
                }
                (Some(key), Some(Some(object))) => {
                    storage::remember(&mut tx, key, object, &app.rules.storage_base).await?;
                }
                _ => {}
            }
            deliver(app, &mut tx, &conversation, draft).await?
        }
    };
    let message = render_one(&mut tx, &app.rules, sender, message).await?;
    tx.commit().await?;
    Ok(Attempt::Sent(Box::new(message)))
}

/// The message that was sent before with the same key, if there is one. `conversation` is locked.
pub async fn earlier(
    connection: &mut PgConnection,
    conversation: &Membership,
    draft: &Draft,
) -> ApiResult<Option<Uuid>> {
    let Some(key) = draft.client_message_id else { return Ok(None) };
    let first = sqlx::query!(
        r#"
        select id, message_type as "kind: MessageType", text, object_key, portfolio_id, reply_to_id, deleted_at
        from messages
        where conversation_id = $1 and sender_id = $2 and client_message_id = $3
        "#,
        conversation.conversation,
        conversation.me,
        key,
    )
    .fetch_optional(connection)
    .await?;
    let Some(first) = first else { return Ok(None) };
    if first.deleted_at.is_some() {
        return Err(not_found());
    }
    let content = &draft.content;
    let is_same = first.kind == content.kind()
        && first.text.as_deref() == content.text()
        && first.object_key == content.object_key()
        && first.portfolio_id == content.portfolio()
        && first.reply_to_id == draft.reply_to;
    if !is_same {
        return Err(ApiError::conflict(
            "DUPLICATE_MESSAGE",
            "Pesan dengan ID yang sama sudah dikirim dengan isi berbeda",
        ));
    }
    Ok(Some(first.id))
}

/// Stores a message that is permitted, with everything that follows from it. `conversation` is locked. Returns its id.
pub async fn deliver(
    app: &AppState,
    connection: &mut PgConnection,
    conversation: &Membership,
    draft: &Draft,
) -> ApiResult<Uuid> {
    check_references(connection, conversation, draft).await?;
    let id = Uuid::now_v7();
    let Membership { conversation: place, me, other, .. } = *conversation;
    let content = &draft.content;
    // The moment is later than everything that was sent or marked as read before, whatever the clock says.
    sqlx::query!(
        r#"
        with moment as materialized (
            select greatest(
                clock_timestamp(),
                c.last_sent_at + interval '1 microsecond',
                (
                    select max(p.last_read_at) + interval '1 microsecond'
                    from conversation_participants p
                    where p.conversation_id = c.id
                )
            ) as at
            from conversations c
            where c.id = $2
        ),
        message as (
            insert into messages (
                id, conversation_id, sender_id, message_type, text, object_key, portfolio_id, reply_to_id,
                client_message_id, created_at
            )
            select $1, $2, $3, $4, $5, $6, $7, $8, $9, at
            from moment
        ),
        conversation as (
            update conversations
            set last_sent_at = at, last_message_at = at, last_message_preview = $10, message_count = message_count + 1
            from moment
            where id = $2
        ),
        participant as (
            update conversation_participants
            set sort_at = at,
                is_listed = true,
                has_sent = has_sent or user_id = $3,
                unread_count = unread_count + case when user_id = $3 then 0 else 1 end
            from moment
            where conversation_id = $2
        )
        insert into chat_streaks as streak (user_a, user_b, current_streak, longest_streak, last_chat_date)
        select $11, $12, 1, 1, (at at time zone $13)::date
        from moment
        on conflict on constraint chat_streaks_pkey do update set
            current_streak = case
                when streak.last_chat_date = excluded.last_chat_date - 1 then streak.current_streak + 1
                else 1
            end,
            longest_streak = case
                when streak.last_chat_date = excluded.last_chat_date - 1
                    then greatest(streak.longest_streak, streak.current_streak + 1)
                else streak.longest_streak
            end,
            last_chat_date = excluded.last_chat_date
        where streak.last_chat_date < excluded.last_chat_date
        "#,
        id,
        place,
        me,
        content.kind() as MessageType,
        content.text(),
        content.object_key(),
        content.portfolio(),
        draft.reply_to,
        draft.client_message_id,
        preview(content.kind(), content.text()),
        me.min(other),
        me.max(other),
        app.rules.streak_time_zone,
    )
    .execute(&mut *connection)
    .await?;
    events::message_sent(connection, place, id, &conversation.both()).await?;
    Ok(id)
}

/// What a message refers to must be there.
async fn check_references(connection: &mut PgConnection, conversation: &Membership, draft: &Draft) -> ApiResult<()> {
    let mut errors = FieldErrors::new();
    if let Some(answered) = draft.reply_to
        && !is_here(connection, conversation, answered).await?
    {
        errors.add("reply_to_id", "Pesan yang dibalas tidak ditemukan di percakapan ini");
    }
    if let Some(key) = draft.content.picture()
        && !is_uploaded(connection, key, conversation.me).await?
    {
        errors.add("content.object_key", "Gambar belum diunggah oleh pengirim untuk pesan");
    }
    errors.finish()?;
    match draft.content.portfolio() {
        Some(portfolio) if !is_published(connection, portfolio).await? => Err(access::not_found()),
        _ => Ok(()),
    }
}

async fn is_here(connection: &mut PgConnection, conversation: &Membership, message: Uuid) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        select exists (
            select from messages where id = $1 and conversation_id = $2 and deleted_at is null
        ) as "here!"
        "#,
        message,
        conversation.conversation,
    )
    .fetch_one(connection)
    .await
}

/// Whether the sender uploaded the picture for messages. Its row is locked, so that it does not go while the message comes.
async fn is_uploaded(connection: &mut PgConnection, key: &Key, sender: Uuid) -> Result<bool, sqlx::Error> {
    let object = sqlx::query!(
        "select kind, owner_id, deleted_at from media_objects where object_key = $1 for share",
        key.to_string(),
    )
    .fetch_optional(connection)
    .await?;
    Ok(object
        .is_some_and(|object| object.deleted_at.is_none() && object.kind == "chat_image" && object.owner_id == sender))
}

/// As everybody sees it: the sender's own drafts are not.
async fn is_published(connection: &mut PgConnection, portfolio: Uuid) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (select from portfolios where id = $1 and is_public) as "published!""#,
        portfolio,
    )
    .fetch_one(connection)
    .await
}
