//! Clients that do what the documentation tells them end with exactly the server's history, whatever happens on the way.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use grafikarsa_devstack::testing::{Stack, http_client};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use reqwest::Url;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{
    Two,
    client::{shake, talk},
};
use crate::support::{PATIENCE, User};

/// Fewer messages than this are in each conversation, so that the newest page is the whole.
const PAGE: usize = 100;
const OPERATIONS: usize = 240;
/// A fault after so many operations.
const FAULT_EVERY: usize = 30;

/// What somebody sees of a conversation: messages in their order, with their reactions.
type History = BTreeMap<String, (String, String, BTreeMap<String, String>)>;

/// A conversation in a client's memory.
#[derive(Clone, Debug, Default)]
struct Known {
    messages: BTreeMap<String, Message>,
    deleted: HashSet<String>,
}

#[derive(Clone, Debug)]
struct Message {
    created_at: String,
    text: String,
    reactions: BTreeMap<String, String>,
}

impl Message {
    fn of(message: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let reactions = message["reactions"].as_array().unwrap().iter();
        Self {
            created_at: text(&message["created_at"]),
            text: text(&message["content"]["text"]),
            reactions: reactions.map(|reaction| (text(&reaction["user_id"]), text(&reaction["emoji"]))).collect(),
        }
    }
}

impl Known {
    fn event(&mut self, kind: &str, payload: &Value) {
        match kind {
            "message.new" => {
                let id = payload["message"]["id"].as_str().unwrap();
                if !self.deleted.contains(id) {
                    self.messages.entry(id.to_owned()).or_insert_with(|| Message::of(&payload["message"]));
                }
            }
            "message.deleted" => {
                let id = payload["message_id"].as_str().unwrap();
                self.messages.remove(id);
                self.deleted.insert(id.to_owned());
            }
            "message.reaction" => {
                let Some(message) = self.messages.get_mut(payload["message_id"].as_str().unwrap()) else { return };
                let user = payload["reaction"]["user_id"].as_str().unwrap().to_owned();
                let emoji = payload["reaction"]["emoji"].as_str().unwrap().to_owned();
                if payload["action"] == "add" {
                    message.reactions.insert(user, emoji);
                } else if message.reactions.get(&user) == Some(&emoji) {
                    message.reactions.remove(&user);
                }
            }
            _ => {}
        }
    }

    /// The newest page says what is left, and how it looks.
    fn page(&mut self, page: &[Value]) {
        assert!(page.len() < PAGE);
        self.messages =
            page.iter().map(|message| (message["id"].as_str().unwrap().to_owned(), Message::of(message))).collect();
    }

    fn last(&self) -> Option<&str> {
        self.messages.iter().max_by_key(|(_, message)| &message.created_at).map(|(id, _)| id.as_str())
    }

    fn history(&self) -> History {
        let entry = |(id, message): (&String, &Message)| {
            (message.created_at.clone(), (id.clone(), message.text.clone(), message.reactions.clone()))
        };
        self.messages.iter().map(entry).collect()
    }
}

/// Everything a client remembers, by conversation.
type Memory = Arc<Mutex<BTreeMap<String, Known>>>;

/// A page that stays open for as long as the test: it connects, catches up, listens, and connects again.
async fn page(user: User, replicas: Vec<Url>, memory: Memory, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    loop {
        let url = replicas.choose(&mut random).unwrap();
        connected(&user, url, &memory).await;
        // The documented pause begins with a second; a test has less time.
        sleep(Duration::from_millis(random.random_range(20..200))).await;
    }
}

/// One connection's life. Errors end it.
async fn connected(user: &User, url: &Url, memory: &Memory) -> Option<()> {
    // Nobody may listen there at the moment.
    tokio::net::TcpStream::connect((url.host_str()?, url.port()?)).await.ok()?;
    let bearer = format!("Bearer {}", user.token);
    let url_of = url.clone();
    let opened = tokio::spawn(async move { shake(&url_of, "", &[("authorization", &bearer)]).await.ok() });
    let mut client = opened.await.ok()??;
    assert_eq!(client.next().await.ok()?["type"], "ready", "nothing comes before it");
    // What comes meanwhile waits in the connection, and is applied to what was read.
    catch_up(user, url, memory).await?;
    loop {
        let frame = client.next_or_quiet().await.ok()?;
        let Some(conversation) = frame["payload"]["conversation_id"].as_str() else { continue };
        let mut memory = memory.lock().unwrap();
        memory.entry(conversation.to_owned()).or_default().event(frame["type"].as_str()?, &frame["payload"]);
    }
}

async fn get(user: &User, url: &Url, path: &str) -> Option<Value> {
    let request = http_client().get(url.join(path).ok()?).bearer_auth(&user.token).timeout(Duration::from_secs(5));
    let response = request.send().await.ok()?;
    if !response.status().is_success() {
        return None;
    }
    Some(response.json::<Value>().await.ok()?["data"].take())
}

async fn catch_up(user: &User, url: &Url, memory: &Memory) -> Option<()> {
    for conversation in get(user, url, "/api/v1/conversations?limit=50").await?.as_array()? {
        let id = conversation["id"].as_str()?;
        let last = memory.lock().unwrap().get(id).and_then(|known| known.last().map(str::to_owned));
        if let Some(last) = last {
            let newer = get(user, url, &format!("/api/v1/conversations/{id}/messages?after={last}&limit=100")).await?;
            let mut memory = memory.lock().unwrap();
            let known = memory.entry(id.to_owned()).or_default();
            for message in newer.as_array()? {
                known.event("message.new", &json!({ "message": message }));
            }
        }
        let newest = get(user, url, &format!("/api/v1/conversations/{id}/messages?limit={PAGE}")).await?;
        memory.lock().unwrap().entry(id.to_owned()).or_default().page(newest.as_array()?);
    }
    Some(())
}

/// Somebody who does things, and what he has done.
struct Writer<'a> {
    people: &'a [User],
    conversations: &'a [(usize, usize, Uuid)],
    messages: Vec<(usize, Uuid, String)>,
    random: StdRng,
}

impl Writer<'_> {
    /// Does something at random. What fails may have happened or not.
    async fn act(&mut self, replicas: &[Url]) {
        let url = replicas.choose(&mut self.random).unwrap().clone();
        let &(one, other, conversation) = self.conversations.choose(&mut self.random).unwrap();
        let author = if self.random.random() { one } else { other };
        let request = |method, path: String, body: Option<Value>, user: &User| {
            let request = http_client().request(method, url.join(&path).unwrap()).bearer_auth(&user.token);
            let request = request.timeout(Duration::from_secs(8));
            if let Some(body) = body { request.json(&body) } else { request }
        };
        let message = self.messages.choose(&mut self.random).cloned();
        let user = &self.people[author];
        let (method, path, body) = match (self.random.random_range(0..10), message) {
            (0..=4, _) | (_, None) => {
                let text = format!("Pesan {}", self.random.random_range(0..1_000_000));
                let body = json!({ "message_type": "text", "content": { "text": text } });
                (reqwest::Method::POST, format!("/api/v1/conversations/{conversation}/messages"), Some(body))
            }
            (5, Some((sender, _, id))) => {
                let path = format!("/api/v1/messages/{id}");
                drop(request(reqwest::Method::DELETE, path, None, &self.people[sender]).send().await);
                return;
            }
            (6, Some((_, within, _))) => (reqwest::Method::POST, format!("/api/v1/conversations/{within}/read"), None),
            (7, Some((_, _, id))) => {
                (reqwest::Method::DELETE, format!("/api/v1/messages/{id}/reactions/%F0%9F%91%8D"), None)
            }
            (_, Some((_, _, id))) => {
                let emoji = *["👍", "🎉", "❤️"].choose(&mut self.random).unwrap();
                (reqwest::Method::POST, format!("/api/v1/messages/{id}/reactions"), Some(json!({ "emoji": emoji })))
            }
        };
        let Ok(response) = request(method, path, body, user).send().await else { return };
        if let Ok(answer) = response.json::<Value>().await
            && answer["data"]["message_type"] == "text"
        {
            self.messages.push((author, conversation, answer["data"]["id"].as_str().unwrap().to_owned()));
        }
    }
}

#[tokio::test]
async fn clients_that_catch_up_as_documented_end_with_exactly_the_servers_history() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let random = StdRng::seed_from_u64(seed);
    let mut stack = Stack::with_own_servers().await;
    for limit in ["MESSAGES", "CONVERSATIONS", "REACTIONS", "DM_CHANGES", "HANDSHAKES"] {
        stack.set(&format!("LIMIT_{limit}"), "100000/60");
    }
    stack.set("RATE_LIMIT_REQUESTS", "1000000").set("PRESENCE_LEASE", "3s");
    let mut two = Two::on(stack, &[]).await;
    let replicas = vec![two.app.portfolio.public_url(), two.second.public_url()];
    let mut people = Vec::new();
    for name in ["siti", "budi", "wati"] {
        people.push(two.app.student(name).await);
    }
    let mut conversations = Vec::new();
    for (one, other) in [(0, 1), (1, 2), (2, 0)] {
        conversations.push((one, other, talk(&people[one], &people[other]).await));
    }
    let mut pages = Vec::new();
    for (number, person) in people.iter().cycle().take(6).enumerate() {
        let memory = Memory::default();
        let client = page(person.clone(), replicas.clone(), memory.clone(), seed.wrapping_add(number as u64));
        pages.push((person.clone(), memory, tokio::spawn(client)));
    }

    let mut writer = Writer { people: &people, conversations: &conversations, messages: Vec::new(), random };
    let mut faults = Vec::new();
    for operation in 1..=OPERATIONS {
        writer.act(&replicas).await;
        if operation % FAULT_EVERY != 0 {
            continue;
        }
        let fault = writer.random.random_range(0..3);
        faults.push(fault);
        match fault {
            0 => two.second.kill().await,
            1 => two.second.terminate().await,
            _ => two.app.stack.own.nats.as_mut().unwrap().kill().await.unwrap(),
        }
        for _ in 0..writer.random.random_range(0..8) {
            writer.act(&replicas).await;
        }
        if fault == 2 {
            two.app.stack.own.nats.as_mut().unwrap().restart().await.unwrap();
        } else {
            two.second.restart().await;
        }
    }

    let deadline = Instant::now() + PATIENCE;
    for (person, memory, client) in pages {
        loop {
            let mut truth = BTreeMap::new();
            for &(one, other, conversation) in &conversations {
                if [people[one].id, people[other].id].contains(&person.id) {
                    let path = format!("/api/v1/conversations/{conversation}/messages?limit={PAGE}");
                    let mut known = Known::default();
                    known.page(person.get(&path).await.data(200).as_array().unwrap());
                    truth.insert(conversation.to_string(), known.history());
                }
            }
            let seen: BTreeMap<String, History> =
                memory.lock().unwrap().iter().map(|(id, known)| (id.clone(), known.history())).collect();
            if seen == truth {
                break;
            }
            let differing: BTreeSet<_> = truth.keys().filter(|id| seen.get(*id) != truth.get(*id)).collect();
            assert!(!client.is_finished(), "seed {seed}: a client has panicked");
            assert!(
                Instant::now() < deadline,
                "seed {seed}, faults {faults:?}: {} differs in {differing:?}\nseen {seen:#?}\ntruth {truth:#?}",
                person.username
            );
            sleep(Duration::from_millis(50)).await;
        }
        client.abort();
    }
}
