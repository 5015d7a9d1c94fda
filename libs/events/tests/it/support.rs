//! A world of its own for each test: a NATS server, a database, and shorthands for what the tests do.

use std::time::Duration;

use futures_util::future::BoxFuture;
use grafikarsa_config::Secret;
use grafikarsa_devstack::{
    nats, postgres,
    process::{Server, free_port},
    testing::Stack,
};
use grafikarsa_events::{Bus, Consumer, EventsSettings, Message, Relay, outbox};
use proto_events::auth::v1::{Account, AccountChanged};
use sqlx::{PgConnection, PgPool, postgres::PgPoolOptions};
use tempfile::TempDir;
use tokio::{task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Far more than anything here takes, so that a slow machine fails no test.
const PATIENCE: Duration = Duration::from_secs(40);

/// Everything a test needs; what it started ends with it. The publisher is auth, with its role, its tables and its
/// permissions on the bus. The consumers have the permissions of portfolio, but work on auth's database: one is enough
/// to see what they do.
pub struct World {
    /// A server that the test may kill.
    pub nats: Server,
    pub bus: Bus,
    pub peer: Bus,
    pub pool: PgPool,
    pub shutdown: CancellationToken,
    storage: TempDir,
    /// Its database goes with it.
    _stack: Stack,
}

impl World {
    pub async fn new() -> Self {
        let owner = Stack::new().await;
        let stack = &owner.installation;
        let storage = tempfile::tempdir().expect("a folder");
        let port = free_port().expect("a free port");
        let password = &stack.servers.password;
        let nats = nats::start(storage.path(), port, password).await.expect("nats-server starts");
        let url = postgres::url("auth", stack.servers.postgres, password, &stack.database);
        let pool = PgPoolOptions::new()
            .max_connections(5)
            .acquire_timeout(Duration::from_secs(5))
            .connect(&url)
            .await
            .expect("the database is there");
        sqlx::raw_sql(
            "create table effects (n bigserial, consumer text, event_id uuid, name text, version bigint, again bool)",
        )
        .execute(&pool)
        .await
        .expect("a table for effects");
        let bus = connect("auth", port, password, &stack.namespace).await;
        let peer = connect("portfolio", port, password, &stack.namespace).await;
        Self { nats, bus, peer, pool, shutdown: CancellationToken::new(), storage, _stack: owner }
    }

    /// Forgets all streams; only while NATS is killed.
    pub fn lose_storage(&self) {
        std::fs::remove_dir_all(self.storage.path().join("streams")).expect("it had a storage");
    }

    /// Commits one change of an account and returns the event id.
    pub async fn change(&self, account: Uuid, version: i64) -> Uuid {
        let mut transaction = self.pool.begin().await.expect("a transaction");
        let id = append(&mut transaction, account, version).await;
        transaction.commit().await.expect("it commits");
        id
    }

    pub fn relay(&self) -> (JoinHandle<()>, CancellationToken) {
        let shutdown = self.shutdown.child_token();
        let relay = Relay::new(self.bus.clone(), (*self.pool.connect_options()).clone(), "auth");
        (tokio::spawn(relay.run(shutdown.clone())), shutdown)
    }

    /// A consumer that gives up after three tries in quick succession.
    pub fn consumer(&self, name: &str) -> Consumer {
        Consumer::new(&self.peer, self.pool.clone(), "test", name, "auth", "account.*")
            .retries(3, Duration::from_millis(10))
            .ack_wait(Duration::from_secs(2))
    }

    /// Runs a consumer that writes each event to the table of effects.
    pub fn record(&self, name: &'static str) -> JoinHandle<()> {
        tokio::spawn(
            self.consumer(name)
                .run(self.shutdown.child_token(), move |connection, message| note(connection, name, message)),
        )
    }

    /// Versions in the order in which `consumer` applied them.
    pub async fn applied(&self, consumer: &str) -> Vec<i64> {
        sqlx::query_scalar("select version from effects where consumer = $1 order by n")
            .bind(consumer)
            .fetch_all(&self.pool)
            .await
            .expect("effects")
    }

    pub async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&self.pool).await.expect(query)
    }

    pub async fn unpublished(&self) -> i64 {
        self.count("select count(*) from outbox where published_at is null").await
    }

    /// What the stream of auth holds, in its order: message id and version.
    pub async fn stream(&self) -> Vec<(String, i64)> {
        let name = proto_events::stream_name(self.bus.namespace(), "auth");
        let Ok(stream) = self.bus.jetstream().get_stream(name).await else { return Vec::new() };
        let mut messages = Vec::new();
        let state = &stream.cached_info().state;
        for sequence in state.first_sequence.max(1)..=state.last_sequence {
            let message = stream.get_raw_message(sequence).await.expect("nothing is deleted");
            let text = |name: &str| message.headers.get(name).expect("every event has it").as_str().to_owned();
            messages.push((text("Nats-Msg-Id"), text("Grafikarsa-Version").parse().expect("a number")));
        }
        messages
    }

    pub async fn versions_in_stream(&self) -> Vec<i64> {
        self.stream().await.into_iter().map(|(_, version)| version).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

async fn connect(service: &str, port: u16, password: &str, namespace: &str) -> Bus {
    let settings = EventsSettings {
        url: Secret::new(nats::url(service, port, password)),
        namespace: namespace.to_owned(),
        max_bytes: None,
        replicas: 1,
        connect_timeout: PATIENCE,
    };
    Bus::connect(&settings, service).await.expect("NATS answers")
}

/// Appends a change without committing it.
pub async fn append(connection: &mut PgConnection, account: Uuid, version: i64) -> Uuid {
    outbox::append(connection, &changed(account, version), account, version).await.expect("the outbox takes it")
}

pub fn changed(account: Uuid, version: i64) -> AccountChanged {
    let account = Account { id: account.to_string(), version, username: "siti".to_owned(), ..Account::default() };
    AccountChanged { account: Some(account) }
}

/// The effect of an event in these tests.
pub fn note<'a>(
    connection: &'a mut PgConnection,
    consumer: &'static str,
    message: &'a Message,
) -> BoxFuture<'a, anyhow::Result<()>> {
    Box::pin(async move {
        let event: AccountChanged = message.decode()?;
        anyhow::ensure!(
            event.account.is_some_and(|account| account.version == message.version),
            "payload and header differ"
        );
        sqlx::query("insert into effects (consumer, event_id, name, version, again) values ($1, $2, $3, $4, $5)")
            .bind(consumer)
            .bind(message.id)
            .bind(&message.name)
            .bind(message.version)
            .bind(message.again)
            .execute(connection)
            .await?;
        Ok(())
    })
}

/// Asks again and again until `question` says yes.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut question: impl FnMut() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !question().await {
        assert!(Instant::now() < deadline, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Ends in time or fails the test.
pub async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("in vain: {what}"))
}
