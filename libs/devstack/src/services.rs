//! The three services as children, and the settings they share.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, bail};
use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use crate::{
    nats, postgres,
    process::{Server, Spec, run, tail, tied},
    s3,
};

/// The services, in the order in which they start.
pub const SERVICES: [&str; 3] = ["auth", "portfolio", "media"];

/// Ports of one service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Ports {
    /// Behind nginx.
    pub public: u16,
    /// Probes, metrics, other services.
    pub internal: u16,
}

impl Ports {
    /// Two free ones.
    ///
    /// # Errors
    /// No port is left.
    pub fn free() -> anyhow::Result<Self> {
        Ok(Self { public: crate::process::free_port()?, internal: crate::process::free_port()? })
    }
}

/// Where the servers are and what opens them.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Servers {
    /// PostgreSQL's port.
    pub postgres: u16,
    /// NATS' port.
    pub nats: u16,
    /// The store's port.
    pub s3: u16,
    /// The password of all of them.
    pub password: String,
}

/// One installation of the product: which database, bucket, namespace and ports.
#[derive(Clone, Debug)]
pub struct Installation {
    /// The servers it uses.
    pub servers: Servers,
    /// Its database.
    pub database: String,
    /// Its bucket.
    pub bucket: String,
    /// Prefix of its streams.
    pub namespace: String,
    /// Ports of its services.
    pub ports: BTreeMap<String, Ports>,
    /// Ports of further replicas.
    pub replicas: BTreeMap<String, Vec<Ports>>,
    /// Its door: nginx' address as browsers see it.
    pub public: String,
    /// Origins of the web client.
    pub origins: String,
    /// Its secrets are derived from this.
    pub seed: String,
    /// The first admin's name and password.
    pub admin: (String, String),
}

impl Installation {
    /// All settings of `service`.
    pub fn env(&self, service: &str) -> BTreeMap<String, String> {
        let Servers { postgres: pg, nats: bus, s3: store, password } = &self.servers;
        let ports = |name: &str| self.ports.get(name).copied().unwrap_or(Ports { public: 1, internal: 1 });
        let internal = |name: &str| format!("http://127.0.0.1:{}", ports(name).internal);
        let secret = |name: &str| format!("{name}-{}-{}", self.seed, self.seed);
        let own = ports(service);
        let mut env: BTreeMap<String, String> = [
            ("APP_ENV", "development".to_owned()),
            ("APP_HOST", "127.0.0.1".to_owned()),
            ("APP_PORT", own.public.to_string()),
            ("INTERNAL_PORT", own.internal.to_string()),
            ("CORS_ORIGINS", self.origins.clone()),
            ("JWT_ACCESS_SECRET", secret("access")),
            ("JWT_REFRESH_SECRET", secret("refresh")),
            ("INTERNAL_API_TOKEN", secret("internal")),
            ("COOKIE_SECURE", "false".to_owned()),
            ("ADMIN_USERNAME", self.admin.0.clone()),
            ("ADMIN_PASSWORD", self.admin.1.clone()),
            ("ADMIN_EMAIL", "admin@grafikarsa.local".to_owned()),
            ("NATS_URL", nats::url(service, *bus, password)),
            ("EVENTS_NAMESPACE", self.namespace.clone()),
            ("AUTH_INTERNAL_URL", internal("auth")),
            ("PORTFOLIO_INTERNAL_URL", internal("portfolio")),
            ("MEDIA_INTERNAL_URL", internal("media")),
            ("S3_ENDPOINT", format!("http://127.0.0.1:{store}")),
            ("S3_PUBLIC_ENDPOINT", self.public.clone()),
            ("S3_BUCKET", self.bucket.clone()),
            ("S3_ACCESS_KEY_ID", s3::ACCESS_KEY.to_owned()),
            ("S3_SECRET_ACCESS_KEY", password.clone()),
            ("STORAGE_PUBLIC_URL", format!("{}/storage", self.public)),
            ("LOG_FORMAT", "pretty".to_owned()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        if service == "media" {
            // What a photograph took goes back to the system at once.
            env.insert("MIMALLOC_PURGE_DELAY".to_owned(), "0".to_owned());
        }
        env.insert(
            format!("{}_DATABASE_URL", service.to_uppercase()),
            postgres::url(service, *pg, password, &self.database),
        );
        env
    }
}

/// Where the services' programs are: beside this one.
///
/// # Errors
/// The path of this program is unknown.
pub fn programs() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own.parent().context("a program without a folder")?;
    // Test programs live one folder further down.
    Ok(if folder.ends_with("deps") { folder.parent().unwrap_or(folder).to_owned() } else { folder.to_owned() })
}

/// Runs `<service> migrate`.
///
/// # Errors
/// The program fails; the error shows its output.
pub async fn migrate(service: &str, env: &BTreeMap<String, String>) -> anyhow::Result<()> {
    let mut command = tied(&programs()?.join(service), None, "KILL");
    run(command.arg("migrate").env_clear().envs(env)).await.with_context(|| format!("{service} cannot migrate"))
}

/// Starts `<service> serve` and waits until it is ready, 20 s at the most.
///
/// # Errors
/// It ends or does not become ready; the error shows the end of its log.
pub async fn start(service: &str, env: BTreeMap<String, String>, ports: Ports, log: &Path) -> anyhow::Result<Server> {
    let server = Server::start(Spec {
        name: service.to_owned(),
        program: programs()?.join(service),
        args: vec!["serve".to_owned()],
        env,
        user: None,
        log: log.to_owned(),
        port: ports.internal,
        ready: None,
        stop: Signal::TERM,
        orphaned: "KILL",
    })
    .await?;
    ready(service, ports, log).await?;
    Ok(server)
}

/// Waits until the service says that it is ready, 20 s at the most.
///
/// # Errors
/// It does not; the error shows the end of its log.
pub async fn ready(service: &str, ports: Ports, log: &Path) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(20);
    let url = format!("http://127.0.0.1:{}/readyz", ports.internal);
    loop {
        if let Ok(answer) = crate::testing::http_client().get(&url).send().await
            && answer.status().is_success()
        {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("{service} is not ready:\n{}", tail(log));
        }
        sleep(Duration::from_millis(10)).await;
    }
}
