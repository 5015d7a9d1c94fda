//! `devstack exec`: the servers that a test run shares.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{ExitCode, ExitStatus},
};

use anyhow::Context as _;
use futures_util::future;
use grafikarsa_devstack::{
    nats, postgres,
    process::{self, Server},
    s3, seaweedfs,
    services::{self, Installation, SERVICES, Servers},
    testing::{Shared, TEMPLATE, VARIABLE},
};
use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{SignalKind, signal};

pub(crate) async fn run(command: &[String], unmigrated: bool, weed: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let folder = tempfile::Builder::new().prefix("grafikarsa-test-").tempdir()?;
    // PostgreSQL runs as another user when this is root.
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
    let servers = Servers {
        postgres: process::free_port()?,
        nats: process::free_port()?,
        s3: process::free_port()?,
        password: format!("p{}", uuid::Uuid::new_v4().simple()),
    };
    let database = postgres::start(&folder.path().join("postgres"), servers.postgres, &servers.password, false).await?;
    let bus = nats::start(&folder.path().join("nats"), servers.nats, &servers.password).await?;
    let store = folder.path().join("s3");
    let objects = match &weed {
        Some(weed) => seaweedfs::start(weed, &store, servers.s3, &servers.password).await?,
        None => s3::start(&std::env::current_exe()?, &store, servers.s3, &servers.password).await?,
    };

    postgres::prepare(servers.postgres, &servers.password, TEMPLATE).await?;
    let template = Installation {
        servers: servers.clone(),
        database: TEMPLATE.to_owned(),
        bucket: TEMPLATE.to_owned(),
        namespace: TEMPLATE.to_owned(),
        ports: std::collections::BTreeMap::new(),
        replicas: std::collections::BTreeMap::new(),
        public: "http://127.0.0.1:1".to_owned(),
        origins: String::new(),
        seed: uuid::Uuid::new_v4().simple().to_string(),
        admin: (String::new(), String::new()),
    };
    if !unmigrated {
        for service in SERVICES {
            services::migrate(service, &template.env(service)).await?;
        }
    }

    let shared = serde_json::to_string(&Shared { servers: servers.clone(), weed })?;
    let (program, arguments) = command.split_first().context("no command")?;
    let mut child = process::tied(Path::new(program), None, "TERM");
    child.args(arguments).env(VARIABLE, shared);
    for service in SERVICES {
        // For tools that ask the database while they compile.
        let url = postgres::url(service, servers.postgres, &servers.password, TEMPLATE);
        child.env(format!("{}_DATABASE_URL", service.to_uppercase()), url);
    }
    child.env("TEST_POSTGRES_URL", postgres::url(postgres::SUPERUSER, servers.postgres, &servers.password, "postgres"));
    let mut servers = [objects, bus, database];
    let status = supervise(child, &mut servers).await.with_context(|| format!("{program} failed"))?;
    for server in &mut servers {
        server.stop().await?;
    }
    Ok(status.code().map_or(ExitCode::FAILURE, |code| ExitCode::from(u8::try_from(code).unwrap_or(1))))
}

/// Runs the command to its end. A Ctrl-C reaches it through the terminal; SIGTERM is passed on. A server that ends in
/// the meantime starts again, so that it fails what was using it and not everything after; how it ended is said last.
async fn supervise(mut command: tokio::process::Command, servers: &mut [Server]) -> anyhow::Result<ExitStatus> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut child = command.spawn()?;
    let mut ends = Vec::new();
    loop {
        let ended = tokio::select! {
            status = child.wait() => {
                for end in &ends {
                    eprintln!("{end}");
                }
                return Ok(status?);
            }
            ended = first(servers) => ended?,
            _ = interrupt.recv() => continue,
            _ = terminate.recv() => {
                if let Some(pid) = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)) {
                    kill_process(pid, Signal::TERM)?;
                }
                continue;
            }
        };
        let (server, status) = ended;
        let end = format!("devstack: {} ended with {status}:\n{}", server.spec.name, process::end(&server.spec.log));
        eprintln!("{end}");
        ends.push(end);
        server.restart().await?;
    }
}

/// The first server that ends.
async fn first(servers: &mut [Server]) -> anyhow::Result<(&mut Server, ExitStatus)> {
    let ends = servers.iter_mut().map(|server| {
        Box::pin(async move {
            let status = server.ended().await;
            status.map(|status| (server, status))
        })
    });
    future::select_all(ends).await.0
}
