use axum::extract::State;
use grafikarsa_http::{ApiResult, Body, BodyId, Data, Envelope, FieldErrors};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    Membership,
    render::{Conversation, render_one},
};
use crate::{
    AppState,
    capabilities::Caller,
    chat::{
        messages::{self, Draft, Message},
        permission::Standing,
    },
    users::find,
};

#[derive(Debug, Deserialize, ToSchema)]
pub struct NewConversation {
    #[schema(required = true, value_type = Uuid)]
    recipient_id: Option<BodyId>,
    /// The first message, 5000 characters at the most; absent or only white space is none.
    message: Option<String>,
    /// The same id again is the same message, not another one.
    #[schema(value_type = Option<Uuid>)]
    client_message_id: Option<BodyId>,
}

/// What whoever opens a conversation wants.
struct Opening {
    recipient: Uuid,
    message: Option<Draft>,
}

/// A conversation after its opening.
#[derive(Debug, Serialize, ToSchema)]
pub struct Opened {
    conversation: Conversation,
    /// `null` when none was sent.
    message: Option<Message>,
}

/// Opens a conversation, or finds the one that there is, and sends a message if there is one.
#[utoipa::path(
    post,
    path = "/api/v1/conversations",
    tag = "chat",
    operation_id = "open_conversation",
    request_body = NewConversation,
    security(("bearer" = [])),
    responses((status = 201, body = Envelope<Opened>, description = "Also when there was one")),
)]
pub async fn open(
    State(app): State<AppState>,
    caller: Caller,
    Body(body): Body<NewConversation>,
) -> ApiResult<Data<Opened>> {
    if body.first_message().is_some() {
        app.limits.messages(caller.id).hit(&app.db).await?;
    }
    let opening = body.check(caller.id)?;
    let known = sqlx::query_scalar!(
        r#"select exists (select from conversations where user_a = $1 and user_b = $2) as "known!""#,
        caller.id.min(opening.recipient),
        caller.id.max(opening.recipient),
    );
    if known.fetch_one(&app.db).await? {
        let (opened, _) = find_or_create(&app, caller.id, &opening).await?;
        return Ok(Data::created(opened));
    }
    let limit = app.limits.conversations(caller.id);
    limit.hit(&app.db).await?;
    let opened = find_or_create(&app, caller.id, &opening).await;
    if !matches!(opened, Ok((_, true))) {
        // Refused, or the other was faster: no conversation was opened.
        limit.take_back(&app.db).await?;
    }
    Ok(Data::created(opened?.0))
}

impl NewConversation {
    fn first_message(&self) -> Option<&str> {
        self.message.as_deref().filter(|text| !text.trim().is_empty())
    }

    fn check(self, caller: Uuid) -> ApiResult<Opening> {
        let mut errors = FieldErrors::new();
        let message = self.first_message().map(|text| Draft::text(text, self.client_message_id.map(Uuid::from)));
        let recipient = self.recipient_id.map(Uuid::from);
        match recipient {
            None => errors.add("recipient_id", "Penerima wajib diisi"),
            Some(id) if id == caller => {
                errors.add("recipient_id", "Anda tidak dapat mengirim pesan kepada diri sendiri");
            }
            Some(_) => {}
        }
        let message = message.and_then(|message| match message {
            Ok(message) => Some(message),
            Err(error) => {
                errors.add("message", error);
                None
            }
        });
        errors.finish()?;
        Ok(Opening { recipient: recipient.unwrap_or_default(), message })
    }
}

/// Says also whether the conversation is new.
async fn find_or_create(app: &AppState, caller: Uuid, opening: &Opening) -> ApiResult<(Opened, bool)> {
    let mut tx = app.db.begin().await?;
    super::lock_pair(&mut tx, caller, opening.recipient).await?;
    let known = super::lock_with(&mut tx, caller, opening.recipient).await?;
    let earlier = match (&known, &opening.message) {
        (Some(conversation), Some(draft)) => messages::earlier(&mut tx, conversation, draft).await?,
        _ => None,
    };
    if earlier.is_none() {
        permit(&mut tx, caller, opening, known.as_ref()).await?;
    }
    let is_new = known.is_none();
    let conversation = match known {
        Some(conversation) => conversation,
        None => create(&mut tx, caller, opening.recipient).await?,
    };
    let sent = match (earlier, &opening.message) {
        (None, Some(draft)) => Some(messages::deliver(app, &mut tx, &conversation, draft).await?),
        (earlier, _) => earlier,
    };
    let message = match sent {
        Some(id) => Some(messages::render_one(&mut tx, &app.rules, caller, id).await?),
        None => None,
    };
    let conversation = render_one(&mut tx, caller, conversation.conversation).await?;
    tx.commit().await?;
    Ok((Opened { conversation, message }, is_new))
}

async fn permit(
    connection: &mut PgConnection,
    caller: Uuid,
    opening: &Opening,
    known: Option<&Membership>,
) -> ApiResult<()> {
    let is_listed = match known {
        Some(conversation) => is_listed(connection, conversation).await?,
        None => false,
    };
    let standing = Standing::load(connection, caller, opening.recipient).await?.ok_or_else(find::not_found)?;
    if !is_listed {
        return standing.may_open();
    }
    standing.may_find()?;
    // To find it again needs nobody's permission.
    if opening.message.is_some() { standing.may_send() } else { Ok(()) }
}

/// Whether the caller knows of the conversation: he opened it, or a message was sent.
async fn is_listed(connection: &mut PgConnection, conversation: &Membership) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        "select is_listed from conversation_participants where conversation_id = $1 and user_id = $2",
        conversation.conversation,
        conversation.me,
    )
    .fetch_one(connection)
    .await
}

async fn create(connection: &mut PgConnection, caller: Uuid, recipient: Uuid) -> Result<Membership, sqlx::Error> {
    let id = Uuid::now_v7();
    sqlx::query!(
        "
        with conversation as (
            insert into conversations (id, user_a, user_b, opened_by) values ($1, $2, $3, $4)
        )
        insert into conversation_participants (conversation_id, user_id, other_id, is_listed)
        values ($1, $2, $3, $2 = $4), ($1, $3, $2, $3 = $4)
        ",
        id,
        caller.min(recipient),
        caller.max(recipient),
        caller,
    )
    .execute(connection)
    .await?;
    Ok(Membership { conversation: id, me: caller, other: recipient, last_sent_at: None, message_count: 0 })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn broken(body: Value) -> Option<u16> {
        let body: NewConversation = serde_json::from_value(body).unwrap();
        body.check(Uuid::from_u128(1)).err().map(|error| error.status().as_u16())
    }

    #[test]
    fn a_first_message_may_be_missing_and_is_never_changed() {
        let other = Uuid::from_u128(2);
        for message in [json!(null), json!(""), json!(" \n\u{3000}")] {
            let body: NewConversation =
                serde_json::from_value(json!({ "recipient_id": other, "message": message })).unwrap();
            assert_eq!(body.check(Uuid::from_u128(1)).unwrap().message, None);
        }
        let body = json!({ "recipient_id": other, "message": " Halo\n" });
        let opening = serde_json::from_value::<NewConversation>(body).unwrap().check(Uuid::from_u128(1)).unwrap();
        assert_eq!(opening.message, Some(Draft::text(" Halo\n", None).unwrap()));
        assert_eq!(broken(json!({ "recipient_id": other, "message": "é".repeat(5000) })), None);
        assert_eq!(broken(json!({ "recipient_id": other, "message": "é".repeat(5001) })), Some(422));
        assert_eq!(broken(json!({ "recipient_id": other, "message": "a\0" })), Some(422));
        assert_eq!(broken(json!({ "recipient_id": Uuid::from_u128(1) })), Some(422));
        assert_eq!(broken(json!({ "message": "x" })), Some(422));
    }
}
