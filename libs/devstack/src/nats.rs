//! A private nats-server with JetStream and one user per service.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use async_nats::{Client, ConnectError, ConnectOptions};
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

/// A client with the user of `service`. The client library reads only host and port of an address.
///
/// # Errors
/// NATS does not answer.
pub async fn connect(service: &str, port: u16, password: &str) -> Result<Client, ConnectError> {
    ConnectOptions::with_user_and_password(service.to_owned(), password.to_owned())
        .connect(format!("127.0.0.1:{port}"))
        .await
}

/// Deletes the streams and buckets of a namespace.
///
/// # Errors
/// NATS does not answer.
pub async fn forget(servers: &Servers, namespace: &str) -> anyhow::Result<()> {
    let client = connect("auth", servers.nats, &servers.password).await?;
    let context = async_nats::jetstream::new(client);
    let names: Vec<String> = context.stream_names().try_collect().await?;
    for name in names.iter().filter(|name| name.contains(namespace)) {
        context.delete_stream(name).await?;
    }
    Ok(())
}

/// Each service may publish its own events and signals, and use JetStream; only auth may write revocations. Replicas of
/// portfolio tell each other what no stream keeps.
fn configure(folder: &Path, port: u16, password: &str) -> String {
    let mut users = String::new();
    for service in SERVICES {
        let (publish, subscribe) = match service {
            "auth" => (r#", "$KV.>", "*.revoked""#, ""),
            "portfolio" => (r#", "*.portfolio.live.>""#, r#", "*.portfolio.live.>""#),
            _ => ("", ""),
        };
        // Writing to a String cannot fail.
        let _written = writeln!(
            users,
            r#"    {{ user: {service}, password: "{password}", permissions: {{
      publish: ["*.{service}.v1.>", "*.applied.>", "$JS.API.>", "$JS.ACK.>", "$JS.FC.>", "_INBOX.>"{publish}]
      subscribe: ["*.applied.>", "*.revoked", "_INBOX.>"{subscribe}]
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
