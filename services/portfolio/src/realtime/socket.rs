//! One open socket: a task that writes what is queued and reads what comes, until somebody ends it.

use std::{ops::ControlFlow, sync::Arc, time::Duration, time::Instant};

use chrono::DateTime;
use futures_util::{SinkExt as _, StreamExt as _};
use grafikarsa_http::ServerSocket;
use tokio::{io::AsyncReadExt as _, sync::mpsc, time::timeout};
use tokio_tungstenite::tungstenite::{
    Bytes, Error, Message, Utf8Bytes,
    error::ProtocolError,
    protocol::{CloseFrame, frame::coding::CloseCode},
};
use uuid::Uuid;

use super::{
    Realtime,
    frames::{self, Auth, Close, Expiry, Fault, Incoming, IsOnline, Ready},
    hub::{Frame, Place, Socket, Token},
    pace::{SharedPace, Verdict},
    typing::{self, LastTold},
};

/// How long a client may take to answer the end.
const CLOSING: Duration = Duration::from_secs(5);
/// How long all of an end may take: what is left to write, the reason, and the client's answer.
pub const LONGEST_END: Duration = Duration::from_secs(10);
/// Nothing more comes from a client that has been silent for this long after the end.
const QUIET: Duration = Duration::from_secs(1);

/// How a socket ends.
enum End {
    /// We end it.
    Ours(Close),
    /// The client has closed it, or is gone.
    Theirs,
}

/// Serves a socket from its first frame to its last.
pub async fn serve(
    realtime: Realtime,
    mut stream: ServerSocket,
    place: Place,
    user: Uuid,
    token: Token,
    pace: SharedPace,
) {
    let Some((socket, mut queue)) = realtime.hub.register(place, user, token) else {
        return finish(&mut stream, Close::Restart).await;
    };
    // Keeps its place until the client was told of the end.
    let _place = socket.clone();
    let registered = Registered { realtime, socket };
    let end = talk(&registered, &mut stream, &mut queue, pace).await;
    drop(registered);
    match end {
        End::Ours(reason) => {
            metrics::counter!("chat_sockets_closed_total", "code" => reason.code().to_string()).increment(1);
            let ending = async {
                if reason.leaves_time() {
                    drop(timeout(CLOSING, flush(&mut stream, &mut queue)).await);
                }
                finish(&mut stream, reason).await;
            };
            drop(timeout(LONGEST_END, ending).await);
        }
        End::Theirs => drop(timeout(CLOSING, stream.close(None)).await),
    }
}

/// Takes the socket off the books, however its task ends.
struct Registered {
    realtime: Realtime,
    socket: Arc<Socket>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.realtime.hub.remove(&self.socket);
        self.realtime.presence.close(&self.socket);
    }
}

async fn talk(
    registered: &Registered,
    stream: &mut ServerSocket,
    queue: &mut mpsc::Receiver<Frame>,
    pace: SharedPace,
) -> End {
    let Registered { realtime, socket } = registered;
    if let ControlFlow::Break(end) = Box::pin(greet(realtime, socket, stream)).await {
        return end;
    }
    let mut client = Client { pace, last_told: None };
    loop {
        let step = tokio::select! {
            biased;
            reason = socket.ended() => ControlFlow::Break(End::Ours(reason)),
            message = stream.next() => {
                realtime.hub.heard(socket);
                tokio::select! {
                    biased;
                    // A database that keeps the client's question waiting must not keep the socket from ending.
                    reason = socket.ended() => ControlFlow::Break(End::Ours(reason)),
                    step = client.heard(realtime, socket, message) => step,
                }
            }
            Some(frame) = queue.recv() => write(socket, stream, frame, queue).await,
        };
        if let ControlFlow::Break(end) = step {
            return end;
        }
    }
}

/// The first frames: `ready`, and who is online. What happens meanwhile waits in the queue.
async fn greet(realtime: &Realtime, socket: &Socket, stream: &mut ServerSocket) -> ControlFlow<End> {
    let opened = match realtime.presence.open(&realtime.hub, socket).await {
        Ok(opened) => opened,
        Err(error) => {
            tracing::warn!(%error, "a socket cannot be written down");
            return ControlFlow::Break(End::Ours(Close::ServerError));
        }
    };
    socket.opened_at(opened.at);
    let ready = Ready {
        user_id: socket.user,
        heartbeat_seconds: realtime.settings.ping_interval.as_secs(),
        expires_at: socket.token().expires_at,
    };
    send(socket, stream, written(frames::write("ready", &ready))?).await?;
    for user_id in opened.partners {
        send(socket, stream, written(frames::write("presence", &IsOnline { user_id, is_online: true }))?).await?;
    }
    ControlFlow::Continue(())
}

/// Writes a frame and those behind it, and waits until the client's side has taken them.
async fn write(
    socket: &Socket,
    stream: &mut ServerSocket,
    first: Frame,
    queue: &mut mpsc::Receiver<Frame>,
) -> ControlFlow<End> {
    let all = async {
        stream.feed(message(first)).await?;
        flush(stream, queue).await
    };
    tokio::select! {
        biased;
        // A client that takes nothing must not keep the socket from ending.
        reason = socket.ended() => ControlFlow::Break(End::Ours(reason)),
        sent = all => if sent.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(End::Theirs) },
    }
}

/// Writes what is queued.
async fn flush(stream: &mut ServerSocket, queue: &mut mpsc::Receiver<Frame>) -> Result<(), Error> {
    while let Ok(frame) = queue.try_recv() {
        stream.feed(message(frame)).await?;
    }
    stream.flush().await
}

fn message(frame: Frame) -> Message {
    match frame {
        Frame::Text(text) => Message::Text(text),
        Frame::Ping => Message::Ping(Bytes::new()),
    }
}

/// Writes a frame past the queue.
async fn send(socket: &Socket, stream: &mut ServerSocket, text: Utf8Bytes) -> ControlFlow<End> {
    tokio::select! {
        biased;
        reason = socket.ended() => ControlFlow::Break(End::Ours(reason)),
        sent = stream.send(Message::Text(text)) => {
            if sent.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(End::Theirs) }
        }
    }
}

fn written(frame: Result<Utf8Bytes, serde_json::Error>) -> ControlFlow<End, Utf8Bytes> {
    match frame {
        Ok(text) => ControlFlow::Continue(text),
        Err(error) => {
            tracing::error!(%error, "a frame cannot be written");
            ControlFlow::Break(End::Ours(Close::ServerError))
        }
    }
}

/// What the server remembers of how the client behaves.
struct Client {
    pace: SharedPace,
    last_told: LastTold,
}

impl Client {
    async fn heard(
        &mut self,
        realtime: &Realtime,
        socket: &Socket,
        message: Option<Result<Message, Error>>,
    ) -> ControlFlow<End> {
        let message = match message {
            Some(Err(_)) if self.pace.is_flooded() => return ControlFlow::Break(End::Ours(Close::Flooding)),
            Some(Ok(Message::Close(_))) | None => return ControlFlow::Break(End::Theirs),
            Some(Err(error)) => return ControlFlow::Break(broken(&error)),
            Some(Ok(message)) => message,
        };
        match (self.pace.frame(Instant::now()), message) {
            (Verdict::Flood, _) => ControlFlow::Break(End::Ours(Close::Flooding)),
            (_, Message::Binary(_)) => ControlFlow::Break(End::Ours(Close::Unsupported)),
            (Verdict::Heard, Message::Text(text)) => Box::pin(self.act(realtime, socket, frames::read(&text))).await,
            (Verdict::Dropped, Message::Text(_)) => answer(socket, Ok(Fault::TooMany.frame())),
            // The protocol's own question, whose answer is on its way already, or its answer.
            _ => ControlFlow::Continue(()),
        }
    }

    async fn act(
        &mut self,
        realtime: &Realtime,
        socket: &Socket,
        read: Result<Incoming, serde_json::Error>,
    ) -> ControlFlow<End> {
        match read {
            Ok(Incoming::Ping) => answer(socket, Ok(frames::PONG)),
            Ok(Incoming::Typing(typing)) => {
                match typing::tell(&realtime.db, &realtime.live, socket.user, &typing, &mut self.last_told).await {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(fault) => answer(socket, Ok(fault.frame())),
                }
            }
            Ok(Incoming::Auth(auth)) => renew(realtime, socket, &auth),
            Ok(Incoming::Unknown) => ControlFlow::Continue(()),
            Err(_) => {
                answer(socket, Ok(Fault::Malformed.frame()))?;
                if self.pace.malformed() {
                    return ControlFlow::Break(End::Ours(Close::Malformed));
                }
                ControlFlow::Continue(())
            }
        }
    }
}

/// Puts an answer behind what waits to be written.
fn answer(socket: &Socket, frame: Result<Utf8Bytes, serde_json::Error>) -> ControlFlow<End> {
    socket.send(Frame::Text(written(frame)?));
    ControlFlow::Continue(())
}

/// Goes on with a newer token of the same user.
fn renew(realtime: &Realtime, socket: &Socket, auth: &Auth) -> ControlFlow<End> {
    let claims = realtime.verifier.verify_session(&auth.token).ok().filter(|claims| claims.sub == socket.user);
    let Some((claims, expires_at)) = claims.and_then(|claims| {
        let expires_at = DateTime::from_timestamp(claims.exp, 0)?;
        Some((claims, expires_at))
    }) else {
        return ControlFlow::Break(End::Ours(Close::TokenEnded));
    };
    socket.renew(Token { session: claims.sid, epoch: claims.epoch, expires_at, told: false });
    answer(socket, frames::write("auth.ok", &Expiry { expires_at }))
}

fn broken(error: &Error) -> End {
    match error {
        Error::Capacity(_) => End::Ours(Close::TooLarge),
        Error::Utf8(_) => End::Ours(Close::Malformed),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => End::Theirs,
        Error::Protocol(_) => End::Ours(Close::Protocol),
        _ => End::Theirs,
    }
}

/// Tells the client why, and waits for its answer. What it was still sending is read and thrown away: a connection that
/// is closed with unread bytes is reset, and the reason would be lost with it.
async fn finish(stream: &mut ServerSocket, reason: Close) {
    let goodbye = CloseFrame { code: CloseCode::from(reason.code()), reason: Utf8Bytes::default() };
    let answered = async {
        if stream.send(Message::Close(Some(goodbye))).await.is_err() {
            return false;
        }
        while let Some(Ok(message)) = stream.next().await {
            if message.is_close() {
                return true;
            }
        }
        // After an error of the protocol nothing is read as frames any more, neither now nor later.
        false
    };
    match timeout(CLOSING, answered).await {
        Ok(true) => drop(timeout(CLOSING, stream.close(None)).await),
        Ok(false) => {
            let rest = async {
                let mut thrown_away = [0; 1024];
                let stream = stream.get_mut();
                while let Ok(Ok(1..)) = timeout(QUIET, stream.read(&mut thrown_away)).await {}
            };
            drop(timeout(CLOSING, rest).await);
        }
        Err(_) => {}
    }
}
