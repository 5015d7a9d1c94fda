//! How fast messages reach open sockets, and what a socket costs: many sockets on two replicas, a steady rate of messages
//! over HTTP, beside the same rate of bare NATS. Release builds, durable PostgreSQL.
//!
//! `cargo bench --bench chat -- [SOCKETS] [RATE] [SECONDS]`; without arguments what `docs/benchmarks-chat.md` says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a benchmark may panic")]
#![expect(clippy::cast_precision_loss, reason = "counts are small")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use futures_util::{StreamExt as _, future::join_all};
use grafikarsa_config::Secret;
use grafikarsa_devstack::{
    nats,
    testing::{Running, Stack, http_client},
};
use grafikarsa_jwt::{Role, TokenKeys};
use serde_json::{Value, json};
use tokio::{net::TcpStream, sync::mpsc, time::MissedTickBehavior};
use tokio_tungstenite::{
    client_async,
    tungstenite::{Message, client::IntoClientRequest as _},
};
use url::Url;
use uuid::Uuid;

/// Longer than everything here takes.
const LIFETIME: Duration = Duration::from_secs(3600);
/// Sockets that are opened at once.
const OPENING: usize = 50;

#[derive(Clone)]
struct Person {
    id: Uuid,
    token: String,
}

/// A text and when it was sent, in microseconds since 1970.
fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap()
}

#[tokio::main]
async fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse::<usize>().ok());
    let mut number = |default| numbers.next().unwrap_or(default);
    let (sockets, rate, seconds) = (number(2000), number(200), number(60));
    let mut stack = Stack::with_own_servers().await;
    for limit in ["LIMIT_MESSAGES", "LIMIT_CONVERSATIONS", "LIMIT_HANDSHAKES"] {
        stack.set(limit, "100000000/60");
    }
    stack.set("RATE_LIMIT_REQUESTS", "100000000").set("LOG_LEVEL", "warn");
    let _auth = stack.spawn("auth").await;
    let replicas = [stack.spawn("portfolio").await, stack.spawn_replica("portfolio", &[]).await];
    let urls = replicas.each_ref().map(Running::public_url);

    let people = people(&stack, sockets / 2 * 2).await;
    let conversations = conversations(&people, &urls).await;
    let before = replicas.each_ref().map(memory);
    let (heard, mut delays) = mpsc::unbounded_channel();
    let open = Arc::new(AtomicUsize::new(0));
    for some in people.chunks(OPENING) {
        let opening = some.iter().enumerate().map(|(place, person)| listen(&urls[place % 2], person, &heard, &open));
        join_all(opening).await;
    }
    drop(heard);
    while open.load(Ordering::Relaxed) < people.len() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let after = replicas.each_ref().map(memory);
    let each = (after.iter().sum::<u64>() - before.iter().sum::<u64>()) as f64 / people.len() as f64 / 1024.0;

    let processor = replicas.each_ref().map(processor_time);
    let started = Instant::now();
    let answers = send(&conversations, &urls, rate, seconds).await;
    let spent = started.elapsed().as_secs_f64();
    let busy: f64 = replicas.iter().zip(processor).map(|(replica, before)| processor_time(replica) - before).sum();
    // Two recipients hear each message: the sender has a socket, too.
    let expected = answers.len() * 2;
    let mut times = Vec::with_capacity(expected);
    while times.len() < expected {
        let next = tokio::time::timeout(Duration::from_secs(20), delays.recv()).await;
        let Ok(Some(delay)) = next else { panic!("{} of {expected} frames were heard", times.len()) };
        times.push(delay);
    }
    let grown = replicas.each_ref().map(memory).iter().sum::<u64>() - after.iter().sum::<u64>();
    let bare = bare(&stack, rate, seconds.min(20)).await;

    let row = |name: &str, times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        let at = |percent: usize| times[(times.len() - 1) * percent / 100];
        format!("| {name} | {} | {:.2} | {:.2} | {:.2} |", times.len(), at(50), at(99), at(100))
    };
    let (mut answers, mut bare) = (answers, bare);
    let report = format!(
        "# Measured: direct messages\n\n\
         Written by `make bench-chat`. {} open sockets on two replicas, one a person; {rate} messages/s for {seconds} s over HTTP, sent to both \
         replicas in turn, each heard on two sockets; release builds, durable PostgreSQL and NATS, clients and servers on the same {} cores. \
         Rate limits are lifted for the run; everything else is as delivered.\n\n\
         | what | times | p50 ms | p99 ms | longest ms |\n| --- | --- | --- | --- | --- |\n{}\n{}\n{}\n\n\
         - Resident memory of a socket: {each:.1} KiB (target: below 40). Both replicas grew by {} KiB more under the load.\n\
         - Processor time of both replicas: {:.0} % of one core, {:.2} ms a message.\n",
        people.len(),
        std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        row("from the request to the frame on a socket", &mut times),
        row("the request itself", &mut answers),
        row("bare NATS, publish to subscriber", &mut bare),
        grown / 1024,
        busy / spent * 100.0,
        busy * 1000.0 / answers.len() as f64,
    );
    println!("{report}");
    if (sockets, rate, seconds) == (2000, 200, 60) {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/benchmarks-chat.md"), report).unwrap();
    }
}

/// People as portfolio knows them; nobody here ever asks auth.
async fn people(stack: &Stack, count: usize) -> Vec<Person> {
    let keys = TokenKeys::new(&Secret::new(stack.env_of("portfolio")["JWT_ACCESS_SECRET"].clone()), LIFETIME);
    let people: Vec<Person> = (0..count)
        .map(|_| {
            let id = Uuid::now_v7();
            let token = keys.mint(id, Role::Student, Uuid::now_v7(), 0, chrono::Utc::now()).unwrap();
            Person { id, token }
        })
        .collect();
    let ids: Vec<Uuid> = people.iter().map(|person| person.id).collect();
    let pool = stack.pool("portfolio").await;
    sqlx::query(
        "insert into users (
             id, account_version, username, email, role, is_active, must_change_password, created_at, nama
         )
         select id, 1, 'siswa_' || place, place || '@sekolah.sch.id', 'student', true, false, now(), 'Siswa ' || place
         from unnest($1::uuid[]) with ordinality as person (id, place)",
    )
    .bind(&ids)
    .execute(&pool)
    .await
    .unwrap();
    sqlx::query("insert into dm_settings (user_id, dm_privacy) select unnest($1::uuid[]), 'open'")
        .bind(&ids)
        .execute(&pool)
        .await
        .unwrap();
    people
}

/// A conversation of each two neighbours.
async fn conversations(people: &[Person], urls: &[Url; 2]) -> Vec<(Person, Uuid)> {
    let mut all = Vec::new();
    for some in people.chunks(40) {
        let opening = some.chunks(2).map(async |pair| {
            let body = json!({ "recipient_id": pair[1].id, "message": "Halo" });
            let url = urls[0].join("/api/v1/conversations").unwrap();
            let answer = http_client().post(url).bearer_auth(&pair[0].token).json(&body).send().await.unwrap();
            let answer: Value = answer.json().await.unwrap();
            let id = answer["data"]["conversation"]["id"].as_str().unwrap_or_else(|| panic!("{answer}"));
            (pair[0].clone(), id.parse().unwrap())
        });
        all.extend(join_all(opening).await);
    }
    all
}

/// Opens a socket that tells how long each text took, in milliseconds.
async fn listen(url: &Url, person: &Person, heard: &mpsc::UnboundedSender<f64>, open: &Arc<AtomicUsize>) {
    let address = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
    let mut request = format!("ws://{address}/api/v1/ws/chat").into_client_request().unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {}", person.token).parse().unwrap());
    let (mut socket, _) = client_async(request, TcpStream::connect(address).await.unwrap()).await.unwrap();
    let (heard, open) = (heard.clone(), open.clone());
    tokio::spawn(async move {
        while let Some(message) = socket.next().await {
            let text = match message {
                Ok(Message::Text(text)) => text,
                Ok(Message::Close(frame)) => panic!("a socket was closed: {frame:?}"),
                Ok(_) => continue,
                Err(error) => panic!("a socket broke: {error}"),
            };
            let frame: Value = serde_json::from_str(&text).unwrap();
            match frame["type"].as_str() {
                Some("ready") => drop(open.fetch_add(1, Ordering::Relaxed)),
                Some("message.new") => {
                    let sent = frame["payload"]["message"]["content"]["text"].as_str().unwrap();
                    if let Ok(sent) = sent.parse::<u64>() {
                        heard.send(now().saturating_sub(sent) as f64 / 1000.0).unwrap();
                    }
                }
                _ => {}
            }
        }
    });
}

/// Sends at a steady rate, and gives how long each request took, in milliseconds.
async fn send(conversations: &[(Person, Uuid)], urls: &[Url; 2], rate: usize, seconds: usize) -> Vec<f64> {
    let client = http_client();
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / rate as f64));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut requests = Vec::with_capacity(rate * seconds);
    for number in 0..rate * seconds {
        ticks.tick().await;
        let (person, conversation) = conversations[number * 7919 % conversations.len()].clone();
        let url = urls[number % 2].join(&format!("/api/v1/conversations/{conversation}/messages")).unwrap();
        let client = client.clone();
        requests.push(tokio::spawn(async move {
            let started = Instant::now();
            let body = json!({ "message_type": "text", "content": { "text": now().to_string() } });
            let answer = client.post(url).bearer_auth(person.token).json(&body).send().await.unwrap();
            assert_eq!(answer.status(), 201);
            answer.bytes().await.unwrap();
            started.elapsed().as_secs_f64() * 1000.0
        }));
    }
    join_all(requests).await.into_iter().map(Result::unwrap).collect()
}

/// The same rate without anything of ours: how long a message takes from a publisher to a subscriber, in milliseconds.
async fn bare(stack: &Stack, rate: usize, seconds: usize) -> Vec<f64> {
    let connect = async || {
        let servers = &stack.installation.servers;
        nats::connect("portfolio", servers.nats, &servers.password).await.unwrap()
    };
    let client = connect().await;
    let subject = format!("{}.portfolio.live.bench", stack.installation.namespace);
    let mut subscriber = connect().await.subscribe(subject.clone()).await.unwrap();
    // The server knows of it as soon as something comes.
    while tokio::time::timeout(Duration::from_millis(50), subscriber.next()).await.is_err() {
        client.publish(subject.clone(), "".into()).await.unwrap();
    }
    let count = rate * seconds;
    let hearing = tokio::spawn(async move {
        let mut times = Vec::with_capacity(count);
        while times.len() < count {
            let message = subscriber.next().await.unwrap();
            if let Ok(sent) = String::from_utf8_lossy(&message.payload).parse::<u64>() {
                times.push(now().saturating_sub(sent) as f64 / 1000.0);
            }
        }
        times
    });
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / rate as f64));
    for _ in 0..count {
        ticks.tick().await;
        client.publish(subject.clone(), now().to_string().into()).await.unwrap();
    }
    hearing.await.unwrap()
}

/// Bytes.
fn memory(replica: &Running) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", replica.pid().unwrap())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// Seconds of a core.
fn processor_time(replica: &Running) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", replica.pid().unwrap())).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    // In ticks of a hundredth of a second.
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}
