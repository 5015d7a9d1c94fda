//! `devstack dev`: the whole product on one address, with data that survives.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use grafikarsa_devstack::{
    nats, nginx, postgres,
    process::{Server, free_port, is_root, run as run_command, tied, write_secret},
    s3,
    services::{self, Installation, Ports, SERVICES, Servers},
};
use serde_json::json;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::sleep,
};

const DATABASE: &str = "grafikarsa";
/// Students of the demo data all have this password.
const STUDENTS: &str = "siti_aminah (or any of the 30) / grafikarsa-siswa";

/// The secrets and ports of this clone's stack, kept over runs.
#[derive(serde::Serialize, serde::Deserialize)]
struct Kept {
    password: String,
    seed: String,
}

pub(crate) async fn run(port: u16, replicas: u16) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut parts: Vec<Server> = Vec::new();
    let outcome = tokio::select! {
        outcome = work(port, replicas, &mut parts) => outcome,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    };
    println!("Stopping …");
    // A second Ctrl-C does not wait.
    tokio::spawn(async move {
        interrupt.recv().await;
        std::process::exit(130);
    });
    // Services before what they need.
    while let Some(mut part) = parts.pop() {
        part.stop().await?;
    }
    outcome
}

async fn work(port: u16, replicas: u16, parts: &mut Vec<Server>) -> anyhow::Result<()> {
    std::net::TcpListener::bind(("127.0.0.1", port))
        .with_context(|| format!("port {port} is not free: choose another with DEV_PORT"))?;
    let data = data_folder()?;
    let folder = |name: &str| -> anyhow::Result<PathBuf> {
        let folder = data.join(name);
        std::fs::create_dir_all(&folder)?;
        Ok(folder)
    };
    let kept = keep(&data)?;
    let (mut ports, mut further) = (BTreeMap::new(), BTreeMap::new());
    for service in SERVICES {
        ports.insert(service.to_owned(), Ports::free()?);
        let others = (1..replicas).map(|_| Ports::free()).collect::<anyhow::Result<Vec<_>>>()?;
        further.insert(service.to_owned(), others);
    }
    let installation = Installation {
        servers: Servers { postgres: free_port()?, nats: free_port()?, s3: free_port()?, password: kept.password },
        database: DATABASE.to_owned(),
        bucket: DATABASE.to_owned(),
        namespace: DATABASE.to_owned(),
        ports,
        replicas: further,
        public: format!("http://localhost:{port}"),
        origins: format!("http://localhost:3000,http://localhost:{port}"),
        seed: kept.seed,
        admin: admin(),
    };
    let Servers { postgres: pg, nats: bus, s3: store, password } = &installation.servers;
    parts.push(postgres::start(&folder("postgres")?, *pg, password, true).await?);
    parts.push(nats::start(&folder("nats")?, *bus, password).await?);
    parts.push(s3::start(&std::env::current_exe()?, &folder("s3")?, *store, password).await?);
    postgres::prepare(*pg, password, DATABASE).await?;
    for service in SERVICES {
        services::migrate(service, &installation.env(service)).await?;
    }
    for service in SERVICES {
        let log = folder("logs")?.join(format!("{service}.log"));
        parts.push(services::start(service, installation.env(service), installation.ports[service], &log).await?);
        for (number, ports) in (2..).zip(&installation.replicas[service]) {
            let log = folder("logs")?.join(format!("{service}-{number}.log"));
            let mut env = installation.env(service);
            env.insert("APP_PORT".to_owned(), ports.public.to_string());
            env.insert("INTERNAL_PORT".to_owned(), ports.internal.to_string());
            let mut replica = services::start(service, env, *ports, &log).await?;
            replica.spec.name = format!("{service}-{number}");
            parts.push(replica);
        }
    }
    parts.push(nginx::start(&folder("nginx")?, port, &installation).await?);
    describe(&data, &installation, parts)?;
    seed(&data, &installation).await?;

    println!(
        "Ready: {public} (API {public}/api/v1, documentation {public}/api/v1/docs) · admin: {} / {} · students: {STUDENTS} · logs: {}",
        installation.admin.0,
        installation.admin.1,
        data.join("logs").display(),
        public = installation.public,
    );
    watch(&data, &installation, parts).await
}

/// Starts again what ends by itself.
async fn watch(data: &Path, installation: &Installation, parts: &mut [Server]) -> anyhow::Result<()> {
    loop {
        let index = {
            let endings = parts.iter_mut().enumerate().map(|(index, part)| {
                Box::pin(async move {
                    // Whether it could be waited for does not matter: it is not running.
                    drop(part.ended().await);
                    index
                })
            });
            futures_util::future::select_all(endings).await.0
        };
        let part = &mut parts[index];
        println!("{} ended and is started again", part.spec.name);
        while let Err(error) = part.restart().await {
            println!("{error:#}");
            sleep(Duration::from_secs(1)).await;
        }
        describe(data, installation, parts)?;
    }
}

/// Writes down where everything is, for people and scripts.
fn describe(data: &Path, installation: &Installation, parts: &[Server]) -> anyhow::Result<()> {
    let running: BTreeMap<&str, serde_json::Value> = parts
        .iter()
        .map(|part| (part.spec.name.as_str(), json!({"pid": part.pid(), "port": part.spec.port, "log": part.spec.log})))
        .collect();
    let description = json!({"url": installation.public, "ports": installation.ports, "running": running});
    std::fs::create_dir_all(".dev")?;
    std::fs::write(".dev/stack.json", serde_json::to_string_pretty(&description)?)?;
    std::fs::write(data.join("stack.json"), serde_json::to_string_pretty(&description)?)?;
    Ok(())
}

/// Demo data, at the first run.
async fn seed(data: &Path, installation: &Installation) -> anyhow::Result<()> {
    let done = data.join("seeded");
    if done.exists() {
        return Ok(());
    }
    println!("Making demo data …");
    let mut command = tied(&services::programs()?.join("portfolio"), None, "KILL");
    command.args(["seed", "--base-url", &installation.public]).env_clear().envs(installation.env("portfolio"));
    run_command(&mut command).await.context("the demo data cannot be made")?;
    std::fs::write(done, "")?;
    Ok(())
}

pub(crate) fn reset() -> anyhow::Result<()> {
    let data = data_folder()?;
    std::fs::remove_dir_all(&data)?;
    if Path::new(".dev").exists() {
        std::fs::remove_dir_all(".dev")?;
    }
    println!("Forgot {}", data.display());
    Ok(())
}

fn keep(data: &Path) -> anyhow::Result<Kept> {
    let file = data.join("secrets.json");
    if let Ok(text) = std::fs::read_to_string(&file) {
        return Ok(serde_json::from_str(&text)?);
    }
    let random = || uuid::Uuid::new_v4().simple().to_string();
    let kept = Kept { password: format!("p{}", random()), seed: random() };
    write_secret(&file, &serde_json::to_string(&kept)?)?;
    Ok(kept)
}

#[expect(clippy::disallowed_methods, reason = "this is where `make dev` takes the demo admin from")]
fn admin() -> (String, String) {
    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    (
        set("ADMIN_USERNAME").unwrap_or_else(|| "admin".to_owned()),
        set("ADMIN_PASSWORD").unwrap_or_else(|| "grafikarsa-dev".to_owned()),
    )
}

/// `.dev` in the clone; for root a folder outside of it, because PostgreSQL's user may not enter root's home.
fn data_folder() -> anyhow::Result<PathBuf> {
    let clone = std::env::current_dir()?;
    let folder = if is_root() {
        let name: String =
            clone.display().to_string().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        Path::new("/var/lib").join(format!("grafikarsa-dev{name}"))
    } else {
        clone.join(".dev")
    };
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}
