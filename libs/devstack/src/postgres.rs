//! A private PostgreSQL: one database, one schema and one login role per service, none of them a superuser.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rustix::process::Signal;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::{
    process::{Server, Spec, run, tied},
    services::{SERVICES, Servers},
};

/// The superuser of private servers; services never use it.
pub const SUPERUSER: &str = "postgres";
const USER: &str = "postgres";

/// Runs the server of `folder`, which is made if it is not there. `password` is everybody's on this server.
///
/// # Errors
/// PostgreSQL is not installed, or does not start.
pub async fn start(folder: &Path, port: u16, password: &str, durable: bool) -> anyhow::Result<Server> {
    let programs = programs()?;
    let data = folder.join("data");
    if !data.exists() {
        std::fs::create_dir_all(folder)?;
        // Under another name until it is complete: an interrupted start leaves no half of a cluster.
        let unfinished = folder.join("unfinished");
        if unfinished.exists() {
            std::fs::remove_dir_all(&unfinished)?;
        }
        let secret = folder.join("password");
        std::fs::write(&secret, password)?;
        give(folder).await?;
        run(tied(&programs.join("initdb"), Some(USER), "KILL")
            .args(["--auth=scram-sha-256", "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8"])
            .arg("--pgdata")
            .arg(&unfinished)
            .arg("--pwfile")
            .arg(&secret)
            .current_dir("/"))
        .await
        .context("initdb failed")?;
        std::fs::remove_file(&secret)?;
        std::fs::rename(&unfinished, &data)?;
    }
    let mut args = vec!["-D".to_owned(), data.display().to_string(), "-p".to_owned(), port.to_string()];
    let mut set = |setting: &str| args.extend(["-c".to_owned(), setting.to_owned()]);
    // Sockets only on loopback: paths of Unix sockets have a length limit that deep folders exceed.
    set("listen_addresses=127.0.0.1");
    set("unix_socket_directories=");
    set("max_connections=400");
    if !durable {
        set("fsync=off");
        set("synchronous_commit=off");
        set("full_page_writes=off");
    }
    let server = Server::start(Spec {
        name: "PostgreSQL".to_owned(),
        program: programs.join("postgres"),
        args,
        env: std::iter::once(("LC_ALL".to_owned(), "C.UTF-8".to_owned())).collect(),
        user: Some(USER),
        log: folder.join("postgres.log"),
        port,
        ready: None,
        stop: Signal::INT,
        orphaned: "INT",
    })
    .await?;
    // It listens before it is ready.
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    while let Err(error) = superuser(port, password, "postgres").await {
        anyhow::ensure!(tokio::time::Instant::now() < deadline, "PostgreSQL is not ready: {error}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    Ok(server)
}

/// Makes the roles and the database with its empty schemas: whatever of it is not there yet.
///
/// # Errors
/// PostgreSQL refuses.
pub async fn prepare(port: u16, password: &str, database: &str) -> anyhow::Result<()> {
    let mut server = superuser(port, password, "postgres").await?;
    let exists: bool = sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
        .bind(database)
        .fetch_one(&mut server)
        .await?;
    for service in SERVICES {
        let role: bool = sqlx::query_scalar("select exists (select from pg_roles where rolname = $1)")
            .bind(service)
            .fetch_one(&mut server)
            .await?;
        if !role {
            // At the role, not at the database: copies of a database keep it.
            execute(&mut server, &format!("create role {service} login password '{password}'")).await?;
            execute(&mut server, &format!("alter role {service} set search_path = {service}, extensions")).await?;
        }
    }
    if !exists {
        execute(&mut server, &format!("create database {database}")).await?;
    }
    let mut inside = superuser(port, password, database).await?;
    execute(
        &mut inside,
        "revoke all on schema public from public;
             create schema if not exists extensions;
             grant usage on schema extensions to public;
             create extension if not exists pg_trgm schema extensions",
    )
    .await?;
    for service in SERVICES {
        execute(&mut inside, &format!("create schema if not exists {service} authorization {service}")).await?;
    }
    Ok(())
}

/// A connection as superuser.
///
/// # Errors
/// PostgreSQL refuses.
pub async fn superuser(port: u16, password: &str, database: &str) -> Result<PgConnection, sqlx::Error> {
    PgConnection::connect(&url(SUPERUSER, port, password, database)).await
}

/// Deletes a database, also one that is in use.
///
/// # Errors
/// PostgreSQL refuses.
pub async fn forget(servers: &Servers, database: &str) -> anyhow::Result<()> {
    let mut server = superuser(servers.postgres, &servers.password, "postgres").await?;
    execute(&mut server, &format!("drop database if exists {database} with (force)")).await
}

/// The address of a database.
pub fn url(role: &str, port: u16, password: &str, database: &str) -> String {
    format!("postgres://{role}:{password}@127.0.0.1:{port}/{database}")
}

/// Runs statements that hold only names and passwords made here.
///
/// # Errors
/// PostgreSQL refuses.
pub async fn execute(connection: &mut PgConnection, sql: &str) -> anyhow::Result<()> {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await?;
    Ok(())
}

/// The newest of Debian's versions, 15 at least.
fn programs() -> anyhow::Result<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").context("PostgreSQL is not installed")?;
    let newest = versions
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|&version| version >= 15)
        .max();
    let newest = newest.context("PostgreSQL 15 or later is not installed")?;
    Ok(PathBuf::from(format!("/usr/lib/postgresql/{newest}/bin")))
}

/// PostgreSQL refuses to run as root, so its folder belongs to somebody else then.
async fn give(folder: &Path) -> anyhow::Result<()> {
    if crate::process::is_root() {
        run(tokio::process::Command::new("chown").args(["-R", USER]).arg(folder)).await?;
    }
    Ok(())
}
