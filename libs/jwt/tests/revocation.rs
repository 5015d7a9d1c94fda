//! The replicated revocation list against a real nats-server that is killed, restarted and robbed of its storage.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, reason = "a test may panic")]

use std::{
    path::Path,
    time::{Duration, Instant},
};

use chrono::Utc;
use futures_util::StreamExt as _;
use grafikarsa_config::Secret;
use grafikarsa_devstack::process::free_port;
use grafikarsa_jwt::{Claims, Revocation, RevocationList, RevocationWriter, Role, TokenKeys};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const LIFETIME: Duration = Duration::from_mins(15);

struct Nats {
    process: Child,
    port: u16,
    folder: TempDir,
}

impl Nats {
    async fn start() -> Self {
        let port = free_port().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut nats = Self { process: launch(port, folder.path()), port, folder };
        nats.wait().await;
        nats
    }

    async fn wait(&mut self) {
        eventually("nats-server listens", async || {
            tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.is_ok()
        })
        .await;
    }

    async fn kill(&mut self) {
        self.process.kill().await.unwrap();
    }

    async fn restart(&mut self) {
        self.process = launch(self.port, self.folder.path());
        self.wait().await;
    }

    fn lose_storage(&self) {
        std::fs::remove_dir_all(self.folder.path()).unwrap();
        std::fs::create_dir(self.folder.path()).unwrap();
    }

    async fn client(&self) -> async_nats::Client {
        async_nats::ConnectOptions::new()
            .reconnect_delay_callback(|_| Duration::from_millis(50))
            .connect(format!("127.0.0.1:{}", self.port))
            .await
            .unwrap()
    }
}

fn launch(port: u16, folder: &Path) -> Child {
    Command::new("nats-server")
        .args(["--addr", "127.0.0.1", "--port", &port.to_string(), "--jetstream", "--store_dir"])
        .arg(folder)
        .stderr(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("nats-server is installed (scripts/install-deps.sh)")
}

async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < Duration::from_secs(15), "still not true: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// One writer (auth) and the lists of two replicas.
struct House {
    nats: Nats,
    writer: RevocationWriter,
    replicas: Vec<RevocationList>,
    shutdown: CancellationToken,
}

impl House {
    async fn new() -> Self {
        let nats = Nats::start().await;
        let writer = RevocationWriter::new(nats.client().await, "test", LIFETIME, 1);
        writer.restore(&[]).await.unwrap();
        let shutdown = CancellationToken::new();
        let mut replicas = Vec::new();
        for _ in 0..2 {
            replicas.push(RevocationList::watch(nats.client().await, "test", shutdown.clone()));
        }
        let house = Self { nats, writer, replicas, shutdown };
        for replica in &house.replicas {
            eventually("the replica has read the list", async || replica.is_ready()).await;
        }
        house
    }

    fn session(&self) -> (Revocation, Claims) {
        let session = Uuid::new_v4();
        let keys = TokenKeys::new(&Secret::new("k".repeat(32)), LIFETIME);
        let token = keys.mint(Uuid::new_v4(), Role::Student, session, 0, Utc::now()).unwrap();
        (Revocation::Session { session, expires_at: self.writer.expiry(Utc::now()) }, keys.decode(&token).unwrap())
    }

    async fn refused_everywhere(&self, claims: &Claims) {
        for replica in &self.replicas {
            eventually("the replica refuses the token", async || replica.refuses(claims)).await;
        }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

#[tokio::test]
async fn a_revocation_reaches_every_replica_within_a_second() {
    let house = House::new().await;
    let (revocation, claims) = house.session();
    house.writer.publish(&[revocation]).await.unwrap();
    let published = Instant::now();
    house.refused_everywhere(&claims).await;
    assert!(published.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn a_replica_that_starts_later_knows_what_was_revoked_before() {
    let house = House::new().await;
    let (revocation, claims) = house.session();
    house.writer.publish(&[revocation]).await.unwrap();
    let late = RevocationList::watch(house.nats.client().await, "test", house.shutdown.clone());
    eventually("the late replica is ready", async || late.is_ready()).await;
    assert!(late.refuses(&claims), "a replica is not ready before it knows the whole list");
}

#[tokio::test]
async fn a_replica_is_not_ready_without_the_list() {
    let nats = Nats::start().await;
    let shutdown = CancellationToken::new();
    let list = RevocationList::watch(nats.client().await, "test", shutdown.clone());
    assert!(!list.is_ready());
    let writer = RevocationWriter::new(nats.client().await, "test", LIFETIME, 1);
    assert!(!list.is_ready(), "nobody has made the bucket yet");
    writer.restore(&[]).await.unwrap();
    eventually("the list is read once the bucket is there", async || list.is_ready()).await;
    shutdown.cancel();
}

#[tokio::test]
async fn who_waits_for_the_list_waits_until_it_was_read() {
    let nats = Nats::start().await;
    let shutdown = CancellationToken::new();
    let list = RevocationList::watch(nats.client().await, "test", shutdown.clone());
    let waiting = tokio::spawn(list.ready());
    assert!(!waiting.is_finished(), "nobody has made the bucket yet");
    let writer = RevocationWriter::new(nats.client().await, "test", LIFETIME, 1);
    let session = Uuid::new_v4();
    writer.publish(&[Revocation::Session { session, expires_at: writer.expiry(Utc::now()) }]).await.unwrap();
    tokio::time::timeout(Duration::from_secs(15), waiting).await.unwrap().unwrap();
    assert!(list.is_ready());
    list.ready().await;
    shutdown.cancel();
}

#[tokio::test]
async fn a_replica_is_ready_at_once_when_the_bucket_is_there() {
    let house = House::new().await;
    let entries: Vec<Revocation> = (0..500).map(|_| house.session().0).collect();
    house.writer.publish(&entries).await.unwrap();
    let client = house.nats.client().await;
    let started = Instant::now();
    let late = RevocationList::watch(client, "test", house.shutdown.clone());
    late.ready().await;
    // Well below the two seconds of silence: it counts.
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_revocation_is_heard_while_there_is_no_bucket() {
    let house = House::new().await;
    let client = house.nats.client().await;
    let context = async_nats::jetstream::new(client.clone());
    context.delete_stream("KV_test_revocations").await.unwrap();
    // Longer than a replica takes to notice, after which it waits for the bucket.
    let deleted = Instant::now();
    eventually("time passes", async || deleted.elapsed() > Duration::from_millis(2500)).await;
    let (revocation, claims) = house.session();
    client.publish("test.revoked", revocation.to_string().into()).await.unwrap();
    client.flush().await.unwrap();
    let published = Instant::now();
    house.refused_everywhere(&claims).await;
    assert!(published.elapsed() < Duration::from_secs(1));
    assert!(context.get_stream("KV_test_revocations").await.is_err(), "the bucket was never there");
}

#[tokio::test]
async fn revocations_arrive_after_nats_was_killed_and_restarted() {
    let mut house = House::new().await;
    let (before, known) = house.session();
    house.writer.publish(&[before]).await.unwrap();
    house.refused_everywhere(&known).await;
    house.nats.kill().await;
    assert!(house.replicas[0].refuses(&known), "the last known list goes on");
    house.nats.restart().await;
    let (after, claims) = house.session();
    eventually("auth can write again", async || house.writer.publish(&[after]).await.is_ok()).await;
    house.refused_everywhere(&claims).await;
    house.refused_everywhere(&known).await;
}

#[tokio::test]
async fn the_list_survives_the_loss_of_the_storage_of_nats() {
    let mut house = House::new().await;
    let (before, known) = house.session();
    house.writer.publish(&[before]).await.unwrap();
    house.refused_everywhere(&known).await;
    house.nats.kill().await;
    house.nats.lose_storage();
    house.nats.restart().await;
    eventually("auth's leader makes the bucket anew", async || house.writer.restore(&[before]).await.is_ok()).await;
    let late = RevocationList::watch(house.nats.client().await, "test", house.shutdown.clone());
    eventually("a new replica reads it", async || late.is_ready()).await;
    assert!(late.refuses(&known), "the entry was restored");
    let (after, claims) = house.session();
    house.writer.publish(&[after]).await.unwrap();
    house.refused_everywhere(&claims).await;
}

#[tokio::test]
async fn only_missing_entries_are_restored() {
    let house = House::new().await;
    let (first, known) = house.session();
    let (second, missing) = house.session();
    house.writer.publish(&[first]).await.unwrap();
    house.writer.restore(&[first, second]).await.unwrap();
    house.refused_everywhere(&known).await;
    house.refused_everywhere(&missing).await;
}

/// Updates that race crash a server before 2.10, and every logout comes by here.
#[tokio::test]
async fn the_bucket_is_updated_when_its_settings_differ_and_only_then() {
    let nats = Nats::start().await;
    let client = nats.client().await;
    let context = async_nats::jetstream::new(client.clone());
    let bucket = "KV_test_revocations";
    let max_age = async || context.get_stream(bucket).await.unwrap().cached_info().config.max_age;
    let mut updates = client.subscribe("$JS.EVENT.ADVISORY.STREAM.UPDATED.>").await.unwrap();
    client.flush().await.unwrap();

    let house = RevocationWriter::new(client.clone(), "test", LIFETIME, 1);
    let session = || Revocation::Session { session: Uuid::new_v4(), expires_at: house.expiry(Utc::now()) };
    house.restore(&[session()]).await.unwrap();
    house.publish(&[session()]).await.unwrap();
    house.restore(&[session()]).await.unwrap();
    assert_eq!(max_age().await, LIFETIME + Duration::from_secs(60));
    // The server tells of updates in their order: this one would come after one of the bucket.
    let mut marker = async_nats::jetstream::stream::Config { name: "marker".to_owned(), ..Default::default() };
    context.create_stream(marker.clone()).await.unwrap();
    marker.max_age = LIFETIME;
    context.update_stream(marker).await.unwrap();
    let first = updates.next().await.unwrap();
    assert!(first.subject.ends_with(".marker"), "{}", first.subject);

    let longer = RevocationWriter::new(client, "test", LIFETIME * 2, 1);
    longer.restore(&[]).await.unwrap();
    assert_eq!(max_age().await, LIFETIME * 2 + Duration::from_secs(60));
    assert!(updates.next().await.unwrap().subject.ends_with(bucket));
}
