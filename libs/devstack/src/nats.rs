//! A private nats-server with JetStream and one user per service.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use futures_util::TryStreamExt as _;
use rustix::process::Signal;

use crate::{
    process::{Server, Spec, write_secret},
    services::{SERVICES, Servers},
};

/// Runs a server that keeps its streams in `folder`.
///
/// # Errors
/// nats-server is not installed, or does not start.
pub async fn start(folder: &Path, port: u16, password: &str) -> anyhow::Result<Server> {
    std::fs::create_dir_all(folder)?;
    let configuration = folder.join("nats.conf");
    write_secret(&configuration, &configure(folder, port, password))?;
    Server::start(Spec {
        name: "NATS".to_owned(),
        program: "nats-server".into(),
        args: vec!["--config".to_owned(), configuration.display().to_string()],
        env: BTreeMap::new(),
        user: None,
        log: folder.join("nats.log"),
        port,
        ready: None,
        stop: Signal::TERM,
        orphaned: "KILL",
    })
    .await
}

/// The address with the user of `service`.
pub fn url(service: &str, port: u16, password: &str) -> String {
    format!("nats://{service}:{password}@127.0.0.1:{port}")
}

/// Deletes the streams and buckets of a namespace.
///
/// # Errors
/// NATS does not answer.
pub async fn forget(servers: &Servers, namespace: &str) -> anyhow::Result<()> {
    let client = async_nats::connect(url("auth", servers.nats, &servers.password)).await?;
    let context = async_nats::jetstream::new(client);
    let names: Vec<String> = context.stream_names().try_collect().await?;
    for name in names.iter().filter(|name| name.contains(namespace)) {
        context.delete_stream(name).await?;
    }
    Ok(())
}

/// Each service may publish its own events and signals, and use JetStream; only auth may write revocations.
fn configure(folder: &Path, port: u16, password: &str) -> String {
    let mut users = String::new();
    for service in SERVICES {
        let extra = if service == "auth" { r#", "$KV.>", "*.revoked""# } else { "" };
        // Writing to a String cannot fail.
        let _written = writeln!(
            users,
            r#"    {{ user: {service}, password: "{password}", permissions: {{
      publish: ["*.{service}.v1.>", "*.applied.>", "$JS.API.>", "$JS.ACK.>", "$JS.FC.>", "_INBOX.>"{extra}]
      subscribe: ["*.applied.>", "*.revoked", "_INBOX.>"]
    }} }}"#
        );
    }
    format!(
        r#"listen: "127.0.0.1:{port}"
max_payload: 1MB
jetstream {{
  store_dir: "{}"
  max_memory_store: 64MB
  max_file_store: 8GB
}}
authorization {{
  users: [
{users}  ]
}}
"#,
        folder.join("streams").display()
    )
}
