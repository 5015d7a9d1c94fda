//! A client of the socket, as a web page would be.

use futures_util::{SinkExt as _, StreamExt as _};
use grafikarsa_devstack::testing::Running;
use reqwest::Url;
use serde_json::{Value, json};
use tokio::{
    net::{TcpSocket, TcpStream},
    time::{Instant, timeout, timeout_at},
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, client::IntoClientRequest as _, http::Response},
};
use uuid::Uuid;

use crate::support::{PATIENCE, TestApp, User};

/// What opens a conversation that a test only needs. Clients pass over it: it may be on its way still when they connect.
const GREETING: &str = "Halo";

/// An open socket.
pub struct Client {
    pub stream: WebSocketStream<TcpStream>,
    /// Frames that were read while something else was waited for.
    pub seen: Vec<Value>,
}

/// How a handshake was refused.
pub struct Refusal {
    pub status: u16,
    pub response: Response<Option<Vec<u8>>>,
}

impl Refusal {
    #[track_caller]
    pub fn is(&self, status: u16, code: &str) {
        let body = self.response.body().clone().unwrap_or_default();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        assert_eq!((self.status, body["error"]["code"].as_str()), (status, Some(code)), "{body:#}");
    }
}

/// A handshake with some headers changed.
pub async fn shake(base: &Url, query: &str, headers: &[(&'static str, &str)]) -> Result<Client, Refusal> {
    shake_on(TcpSocket::new_v4().unwrap(), base, query, headers).await
}

pub async fn shake_on(
    socket: TcpSocket,
    base: &Url,
    query: &str,
    headers: &[(&'static str, &str)],
) -> Result<Client, Refusal> {
    let (host, port) = (base.host_str().unwrap().replace("localhost", "127.0.0.1"), base.port().unwrap());
    let url = format!("ws://{host}:{port}/api/v1/ws/chat{query}");
    let mut request = url.into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    let tcp = socket.connect(format!("{host}:{port}").parse().unwrap()).await.unwrap();
    match timeout(PATIENCE, client_async(request, tcp)).await.expect("an answer") {
        Ok((stream, _)) => Ok(Client { stream, seen: Vec::new() }),
        Err(Error::Http(response)) => Err(Refusal { status: response.status().as_u16(), response: *response }),
        Err(error) => panic!("no answer: {error}"),
    }
}

impl User {
    /// A socket on `replica` that has said `ready`.
    pub async fn socket(&self, replica: &Running) -> Client {
        self.socket_at(&replica.public_url()).await
    }

    pub async fn socket_at(&self, base: &Url) -> Client {
        let mut client = self.opening(base).await;
        client.expect("ready").await;
        client
    }

    /// A socket that may not have said anything yet.
    pub async fn opening(&self, base: &Url) -> Client {
        let opened = shake(base, "", &[("authorization", &format!("Bearer {}", self.token))]).await;
        opened.unwrap_or_else(|refusal| panic!("refused: {} {:?}", refusal.status, refusal.response.body()))
    }
}

impl Client {
    pub async fn say(&mut self, frame: &Value) {
        self.send(Message::text(frame.to_string())).await;
    }

    pub async fn send(&mut self, message: Message) {
        self.stream.send(message).await.unwrap();
    }

    pub async fn ping(&mut self) {
        self.say(&json!({ "type": "ping" })).await;
    }

    /// The next text frame; how the socket ended otherwise.
    pub async fn next(&mut self) -> Result<Value, Option<u16>> {
        self.next_until(Instant::now() + PATIENCE).await.expect("a frame or an end")
    }

    /// The next text frame, however long it takes.
    pub async fn next_or_quiet(&mut self) -> Result<Value, Option<u16>> {
        loop {
            if let Some(next) = self.next_until(Instant::now() + PATIENCE).await {
                return next;
            }
        }
    }

    async fn next_until(&mut self, deadline: Instant) -> Option<Result<Value, Option<u16>>> {
        loop {
            match timeout_at(deadline, self.stream.next()).await.ok()? {
                Some(Ok(Message::Text(text))) => {
                    let frame: Value = serde_json::from_str(&text).unwrap();
                    if frame["payload"]["message"]["content"]["text"] != GREETING {
                        return Some(Ok(frame));
                    }
                }
                Some(Ok(Message::Close(close))) => return Some(Err(close.map(|close| close.code.into()))),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Some(Err(None)),
            }
        }
    }

    /// Waits for a frame of this type and gives its payload.
    #[track_caller]
    pub fn expect(&mut self, kind: &str) -> impl Future<Output = Value> {
        let kind = kind.to_owned();
        self.expect_with(kind, |_| true)
    }

    /// Waits for a frame of this type that fits.
    pub async fn expect_with(&mut self, kind: impl Into<String>, fits: impl Fn(&Value) -> bool) -> Value {
        let kind = kind.into();
        loop {
            let frame = self.next().await.unwrap_or_else(|code| panic!("ended with {code:?} instead of {kind}"));
            if frame["type"] == kind.as_str() && fits(&frame["payload"]) {
                return frame["payload"].clone();
            }
            self.seen.push(frame);
        }
    }

    /// Waits for the end, and gives the close code.
    pub async fn closed(&mut self) -> Option<u16> {
        loop {
            match self.next().await {
                Ok(frame) => self.seen.push(frame),
                Err(code) => return code,
            }
        }
    }

    #[track_caller]
    pub fn closes_with(&mut self, code: u16) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move { assert_eq!(self.closed().await, Some(code), "{caller}") }
    }

    /// All frames up to the answer to a question, which stands behind everything that was on its way.
    pub async fn frames_so_far(&mut self) -> Vec<Value> {
        self.ping().await;
        self.expect("pong").await;
        std::mem::take(&mut self.seen)
    }

    /// Payloads of this type among the frames so far.
    pub async fn heard(&mut self, kind: &str) -> Vec<Value> {
        let frames = self.frames_so_far().await;
        let fitting = frames.into_iter().filter(|frame| frame["type"] == kind);
        fitting.map(|frame| frame["payload"].clone()).collect()
    }

    pub async fn close(mut self) {
        self.stream.close(None).await.unwrap();
        while self.stream.next().await.is_some_and(|message| message.is_ok()) {}
    }
}

/// Two people who may write to each other, and their conversation.
pub struct Pair {
    pub siti: User,
    pub budi: User,
    pub conversation: Uuid,
}

impl Pair {
    /// Their conversation has one message, so that they see each other's presence.
    pub async fn of(app: &TestApp) -> Self {
        let siti = app.student("siti").await;
        let budi = app.student("budi").await;
        let conversation = talk(&siti, &budi).await;
        Self { siti, budi, conversation }
    }

    /// A text of siti's; its id.
    pub async fn write(&self, text: &str) -> Uuid {
        write(&self.siti, self.conversation, text).await
    }
}

/// A conversation with one message of `one`.
pub async fn talk(one: &User, other: &User) -> Uuid {
    other.patch("/api/v1/dm/settings", &json!({ "dm_privacy": "open" })).await.data(200);
    let body = json!({ "recipient_id": other.id, "message": GREETING });
    let data = one.post("/api/v1/conversations", &body).await.data(201);
    data["conversation"]["id"].as_str().unwrap().parse().unwrap()
}

pub async fn write(user: &User, conversation: Uuid, text: &str) -> Uuid {
    let body = json!({ "message_type": "text", "content": { "text": text } });
    let data = user.post(&format!("/api/v1/conversations/{conversation}/messages"), &body).await.data(201);
    data["id"].as_str().unwrap().parse().unwrap()
}
