//! Direct messages over HTTP.

use prost::Message as _;
use proto_events::portfolio::v1::{ChatMessageDeleted, ChatMessageSent, ChatReactionChanged, ChatRead};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{TestApp, User};

mod blocks;
mod conversations;
mod costs;
mod deleting;
mod lists;
mod messages;
mod pictures;
mod presence;
mod races;
mod reactions;
mod reading;
mod settings;
mod shared;
mod streaks;
mod who;

/// Budi and Siti, to whom everybody may write.
async fn school(changes: &[(&str, &str)]) -> (TestApp, User, User) {
    let app = TestApp::with(changes).await;
    let (budi, siti) = (app.student("budi").await, app.student("siti").await);
    open(&budi).await;
    open(&siti).await;
    (app, budi, siti)
}

async fn open(user: &User) {
    set(user, json!({ "dm_privacy": "open" })).await;
}

async fn set(user: &User, settings: Value) {
    user.patch("/api/v1/dm/settings", &settings).await.data(200);
}

/// A conversation without a message.
async fn begin(from: &User, to: &User) -> Chat {
    let data = from.post("/api/v1/conversations", &json!({ "recipient_id": to.id })).await.data(201);
    Chat(id(&data["conversation"]))
}

/// A conversation with a message, and the message.
async fn chat(from: &User, to: &User, text: &str) -> (Chat, String) {
    let body = json!({ "recipient_id": to.id, "message": text });
    let data = from.post("/api/v1/conversations", &body).await.data(201);
    (Chat(id(&data["conversation"])), id(&data["message"]))
}

fn id(of: &Value) -> String {
    of["id"].as_str().unwrap().to_owned()
}

fn text(text: &str) -> Value {
    json!({ "message_type": "text", "content": { "text": text } })
}

/// A conversation by its id.
#[derive(Clone, Debug)]
struct Chat(String);

impl Chat {
    fn path(&self, rest: &str) -> String {
        format!("/api/v1/conversations/{}{rest}", self.0)
    }

    fn messages(&self) -> String {
        self.path("/messages")
    }

    /// Sends a text; the id of the message.
    async fn say(&self, user: &User, said: &str) -> String {
        id(&user.post(&self.messages(), &text(said)).await.data(201))
    }

    async fn seen_by(&self, user: &User) -> Value {
        user.get(&self.path("")).await.data(200)
    }

    async fn unread_of(&self, user: &User) -> i64 {
        self.seen_by(user).await["unread_count"].as_i64().unwrap()
    }

    /// The texts on the newest page, newest first.
    async fn texts(&self, user: &User) -> Vec<String> {
        let data = user.get(&self.messages()).await.data(200);
        data.as_array().unwrap().iter().map(|message| message["content"]["text"].as_str().unwrap().to_owned()).collect()
    }
}

fn message_path(message: &str, rest: &str) -> String {
    format!("/api/v1/messages/{message}{rest}")
}

/// What the outbox tells sockets, oldest first: the event's name and the recipients.
async fn told(app: &TestApp) -> Vec<(String, Vec<Uuid>)> {
    let rows: Vec<(String, Vec<u8>)> =
        sqlx::query_as("select event_type, payload from outbox where event_type like 'chat.%' order by position")
            .fetch_all(&app.pool)
            .await
            .unwrap();
    rows.into_iter().map(|(name, payload)| (name.clone(), recipients(&name, &payload))).collect()
}

fn recipients(name: &str, payload: &[u8]) -> Vec<Uuid> {
    let recipients = match name {
        "chat.message_sent" => ChatMessageSent::decode(payload).unwrap().recipients,
        "chat.message_deleted" => ChatMessageDeleted::decode(payload).unwrap().recipients,
        "chat.reaction_changed" => ChatReactionChanged::decode(payload).unwrap().recipients,
        "chat.read" => ChatRead::decode(payload).unwrap().recipients,
        other => panic!("{other}"),
    };
    let mut ids: Vec<Uuid> = recipients.iter().map(|id| id.parse().unwrap()).collect();
    ids.sort();
    ids
}

/// The names of what was told since `before` events, without their recipients.
async fn names_since(app: &TestApp, before: usize) -> Vec<String> {
    told(app).await.into_iter().skip(before).map(|(name, _)| name).collect()
}

fn both(one: &User, other: &User) -> Vec<Uuid> {
    let mut both = vec![one.id, other.id];
    both.sort();
    both
}

fn block_path(user: &User) -> String {
    format!("/api/v1/dm/block/{}", user.id)
}

async fn block(user: &User, other: &User) {
    user.act(&block_path(other)).await.data(200);
}

async fn unblock(user: &User, other: &User) {
    user.delete(&block_path(other)).await.data(200);
}

async fn follow(user: &User, other: &User) {
    user.act(&format!("/api/v1/users/{}/follow", other.username)).await.data(200);
}

async fn unfollow(user: &User, other: &User) {
    user.delete(&format!("/api/v1/users/{}/follow", other.username)).await.data(200);
}
