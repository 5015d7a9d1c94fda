//! An installation of its own for each test, on servers that `devstack exec` has started.
//!
//! Every test gets its own database (a copy of a migrated one), event namespace and bucket, so that tests run in
//! parallel. Functions here panic: a test that cannot have its servers has failed.
#![allow(clippy::expect_used, clippy::panic, reason = "only tests call this")]

use std::{collections::BTreeMap, sync::OnceLock, time::Duration};

use sqlx::{PgConnection, PgPool, postgres::PgPoolOptions};
use tempfile::TempDir;
use tokio::sync::Mutex;
use url::Url;
use uuid::Uuid;

use crate::{
    nats, nginx, postgres,
    process::{self, Server},
    s3, seaweedfs,
    services::{self, Installation, Ports, SERVICES, Servers},
};

/// The variable through which `devstack exec` tells the tests where the servers are.
pub const VARIABLE: &str = "GRAFIKARSA_TEST_STACK";
/// The database that tests copy.
pub const TEMPLATE: &str = "grafikarsa_template";
/// Name and password of the first admin.
pub const ADMIN: (&str, &str) = ("admin", "kata-sandi-admin-uji");

/// The data of a test may take this long to be deleted.
const FORGET: Duration = Duration::from_secs(20);

/// What `devstack exec` hands over.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Shared {
    /// The servers.
    pub servers: Servers,
    /// The program of SeaweedFS, where that is the store.
    pub weed: Option<std::path::PathBuf>,
}

/// An installation for one test.
pub struct Stack {
    /// How it is set up.
    pub installation: Installation,
    /// Its PostgreSQL, NATS and store, where it asked for own ones.
    pub own: Own,
    folder: TempDir,
    extra: BTreeMap<String, String>,
    nginx: Mutex<Option<Server>>,
    replicas: std::sync::Mutex<BTreeMap<String, Vec<Ports>>>,
    nginx_port: u16,
}

/// Servers that a test may kill, restart and rob.
#[derive(Default)]
pub struct Own {
    /// PostgreSQL.
    pub postgres: Option<Server>,
    /// NATS.
    pub nats: Option<Server>,
    /// The object store.
    pub s3: Option<Server>,
}

impl Stack {
    /// An installation on the shared servers.
    pub async fn new() -> Self {
        let Some(shared) = shared() else {
            panic!("no servers: run the tests through `make test`, or `devstack exec -- cargo nextest run`")
        };
        let name = format!("t{}", Uuid::new_v4().simple());
        let mut server = superuser(&shared.servers, "postgres").await;
        postgres::execute(&mut server, &format!("create database {name} template {TEMPLATE}"))
            .await
            .expect("the template can be copied");
        Self::assemble(shared.servers, name, Own::default())
    }

    /// An installation with a PostgreSQL, a NATS and a store of its own, which the test may kill and restart.
    pub async fn with_own_servers() -> Self {
        let folder = public_folder();
        let ports: Vec<u16> = (0..3).map(|_| process::free_port().expect("a free port")).collect();
        let servers = Servers {
            postgres: ports[0],
            nats: ports[1],
            s3: ports[2],
            password: format!("p{}", Uuid::new_v4().simple()),
        };
        let name = "grafikarsa".to_owned();
        let objects = folder.path().join("s3");
        let store = match shared().and_then(|shared| shared.weed) {
            Some(weed) => seaweedfs::start(&weed, &objects, servers.s3, &servers.password).await,
            None => s3::start(&devstack(), &objects, servers.s3, &servers.password).await,
        };
        // Durable: these tests kill the server.
        let own = Own {
            postgres: Some(
                postgres::start(&folder.path().join("postgres"), servers.postgres, &servers.password, true)
                    .await
                    .expect("PostgreSQL starts"),
            ),
            nats: Some(
                nats::start(&folder.path().join("nats"), servers.nats, &servers.password).await.expect("NATS starts"),
            ),
            s3: Some(store.expect("the store starts")),
        };
        postgres::prepare(servers.postgres, &servers.password, &name).await.expect("a database");
        let mut stack = Self::assemble(servers, name, own);
        stack.folder = folder;
        for service in SERVICES {
            services::migrate(service, &stack.env_of(service)).await.expect("the migrations apply");
        }
        stack
    }

    fn assemble(servers: Servers, name: String, own: Own) -> Self {
        let nginx_port = process::free_port().expect("a free port");
        let ports = SERVICES.iter().map(|&service| (service.to_owned(), Ports::free().expect("free ports"))).collect();
        let installation = Installation {
            servers,
            database: name.clone(),
            bucket: name.clone(),
            namespace: name,
            ports,
            replicas: BTreeMap::new(),
            public: format!("http://127.0.0.1:{nginx_port}"),
            origins: "http://localhost:3000".to_owned(),
            seed: Uuid::new_v4().simple().to_string(),
            admin: (ADMIN.0.to_owned(), ADMIN.1.to_owned()),
        };
        // NATS reserves the room of every stream, and hundreds of tests share one server.
        let extra = BTreeMap::from([("EVENTS_MAX_BYTES".to_owned(), "4194304".to_owned())]);
        Self {
            installation,
            own,
            folder: public_folder(),
            extra,
            nginx: Mutex::default(),
            replicas: std::sync::Mutex::default(),
            nginx_port,
        }
    }

    /// Changes a setting of all services that are started from now on.
    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        self.extra.insert(name.to_owned(), value.to_owned());
        self
    }

    /// All settings of `service`.
    pub fn env_of(&self, service: &str) -> BTreeMap<String, String> {
        let mut env = self.installation.env(service);
        env.extend(self.extra.clone());
        env
    }

    /// All settings of all services; ports are auth's.
    pub fn env(&self) -> BTreeMap<String, String> {
        let mut env = BTreeMap::new();
        for service in SERVICES.iter().rev() {
            env.extend(self.env_of(service));
        }
        env
    }

    /// Starts `service` and waits until it is ready.
    pub async fn spawn(&self, service: &str) -> Running {
        self.spawn_with(service, &[]).await
    }

    /// Starts `service` with some settings changed.
    pub async fn spawn_with(&self, service: &str, changes: &[(&str, &str)]) -> Running {
        self.start(service, self.installation.ports[service], changes, "").await
    }

    /// Starts one more replica of `service`, on ports of its own. nginx knows of those that were started before it.
    pub async fn spawn_replica(&self, service: &str, changes: &[(&str, &str)]) -> Running {
        let ports = Ports::free().expect("free ports");
        self.replicas.lock().expect("no panic").entry(service.to_owned()).or_default().push(ports);
        self.start(service, ports, changes, &format!("-{}", ports.public)).await
    }

    async fn start(&self, service: &str, ports: Ports, changes: &[(&str, &str)], suffix: &str) -> Running {
        let mut env = self.env_of(service);
        env.insert("APP_PORT".to_owned(), ports.public.to_string());
        env.insert("INTERNAL_PORT".to_owned(), ports.internal.to_string());
        env.extend(changes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let log = self.folder.path().join(format!("{service}{suffix}.log"));
        let server = match services::start(service, env, ports, &log).await {
            Ok(server) => server,
            Err(error) => panic!("{error:#}"),
        };
        Running { name: service.to_owned(), ports, server }
    }

    /// nginx in front of the services; started at the first call.
    pub async fn nginx(&self) -> Url {
        let mut running = self.nginx.lock().await;
        if running.is_none() {
            let folder = self.folder.path().join("nginx");
            std::fs::create_dir_all(&folder).expect("a folder");
            let replicas = self.replicas.lock().expect("no panic").clone();
            let installation = Installation { replicas, ..self.installation.clone() };
            match nginx::start(&folder, self.nginx_port, &installation).await {
                Ok(server) => *running = Some(server),
                Err(error) => panic!("{error:#}"),
            }
        }
        Url::parse(&self.installation.public).expect("an address")
    }

    /// The database with the role of `service`.
    pub async fn pool(&self, service: &str) -> PgPool {
        PgPoolOptions::new()
            .max_connections(2)
            .connect(&self.database_url(service))
            .await
            .expect("the database is there")
    }

    /// The database as superuser.
    pub async fn superuser(&self) -> PgConnection {
        superuser(&self.installation.servers, &self.installation.database).await
    }

    /// Address of the database with the role of `service`.
    pub fn database_url(&self, service: &str) -> String {
        let Servers { postgres: port, password, .. } = &self.installation.servers;
        postgres::url(service, *port, password, &self.installation.database)
    }

    /// Address of the database with the role that may do everything.
    pub fn superuser_url(&self) -> String {
        self.database_url(postgres::SUPERUSER)
    }

    /// A NATS client with the user of `service`'s address.
    pub fn nats_url(&self, service: &str) -> String {
        let Servers { nats: port, password, .. } = &self.installation.servers;
        nats::url(service, *port, password)
    }

    /// Forgets everything that the own NATS has stored; only while it is killed.
    pub fn lose_nats_storage(&self) {
        std::fs::remove_dir_all(self.folder.path().join("nats/streams")).expect("there was a storage");
    }

    /// Gives its database and its streams back: hundreds of tests share the servers, which would otherwise hold all of
    /// them at the end. What fails here goes with the servers themselves.
    fn forget(&self) {
        if self.own.postgres.is_some() {
            return;
        }
        let (servers, name) = (self.installation.servers.clone(), self.installation.namespace.clone());
        // A runtime of its own: the test's cannot be waited for in here.
        let work = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let both = async { tokio::join!(nats::forget(&servers, &name), postgres::forget(&servers, &name)) };
                let (streams, database) = tokio::time::timeout(FORGET, both).await?;
                streams.and(database)
            })
        };
        if let Ok(Err(error)) = std::thread::spawn(work).join() {
            eprintln!("devstack: a test's data stay: {error:#}");
        }
    }

    /// What `service` has logged so far.
    pub fn log(&self, service: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(format!("{service}.log"))).unwrap_or_default()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.forget();
        if std::thread::panicking() {
            for service in SERVICES {
                let end = process::tail(&self.folder.path().join(format!("{service}.log")));
                if !end.is_empty() {
                    eprintln!("--- end of {service}'s log ---\n{end}");
                }
            }
        }
    }
}

/// A service of a test. It is killed when this is dropped.
pub struct Running {
    name: String,
    ports: Ports,
    server: Server,
}

impl Running {
    /// Address of the public listener.
    pub fn public_url(&self) -> Url {
        Url::parse(&format!("http://127.0.0.1:{}", self.ports.public)).expect("an address")
    }

    /// Address of the internal listener.
    pub fn internal_url(&self) -> Url {
        Url::parse(&format!("http://127.0.0.1:{}", self.ports.internal)).expect("an address")
    }

    /// SIGKILL.
    pub async fn kill(&mut self) {
        self.server.kill().await.expect("it can be killed");
    }

    /// SIGTERM, and waits for the end.
    pub async fn terminate(&mut self) {
        self.server.stop().await.expect("it can be stopped");
    }

    /// Starts it again on the same ports and waits until it is ready.
    pub async fn restart(&mut self) {
        self.server.restart().await.expect("it starts again");
        services::ready(&self.name, self.ports, &self.server.spec.log).await.expect("it is ready again");
    }

    /// Waits until it ends by itself.
    pub async fn ended(&mut self) {
        self.server.ended().await.expect("it can be waited for");
    }

    /// Its process id.
    pub fn pid(&self) -> Option<u32> {
        self.server.pid()
    }
}

/// An HTTP client with a deadline.
pub fn http_client() -> reqwest::Client {
    static CLIENT: OnceLock<()> = OnceLock::new();
    CLIENT.get_or_init(|| drop(rustls::crypto::ring::default_provider().install_default()));
    reqwest::Client::builder()
        .timeout(Duration::from_secs(30))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .expect("an HTTP client")
}

#[expect(clippy::disallowed_methods, reason = "not a setting of the product")]
fn shared() -> Option<Shared> {
    let text = std::env::var(VARIABLE).ok()?;
    Some(serde_json::from_str(&text).expect("devstack exec and the tests are of the same version"))
}

fn devstack() -> std::path::PathBuf {
    services::programs().expect("the programs' folder").join("devstack")
}

/// A folder that the user `postgres` may enter.
fn public_folder() -> TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::Builder::new().prefix("grafikarsa-").tempdir().expect("a folder");
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).expect("its permissions");
    folder
}

async fn superuser(servers: &Servers, database: &str) -> PgConnection {
    postgres::superuser(servers.postgres, &servers.password, database).await.expect("PostgreSQL answers")
}
