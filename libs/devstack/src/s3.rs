//! An S3 server on a folder, for development and tests only: it lets keys escape its folder, so it listens on loopback
//! and is never part of a service.

use std::path::Path;

use anyhow::Context as _;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use rustix::process::Signal;
use s3s::{auth::SimpleAuth, service::S3ServiceBuilder};
use s3s_fs::FileSystem;
use tokio::net::TcpListener;

use crate::process::{Server, Spec};

/// The access key of private stores.
pub const ACCESS_KEY: &str = "grafikarsa";

/// Runs the store as a child: this program again, with the command `s3`.
///
/// # Errors
/// It does not start.
pub async fn start(program: &Path, folder: &Path, port: u16, secret: &str) -> anyhow::Result<Server> {
    let objects = folder.join("objects");
    std::fs::create_dir_all(&objects)?;
    Server::start(Spec {
        name: "S3".to_owned(),
        program: program.to_owned(),
        args: ["s3", "--port", &port.to_string(), "--folder"]
            .into_iter()
            .map(str::to_owned)
            .chain([objects.display().to_string()])
            .collect(),
        env: std::iter::once(("DEVSTACK_S3_SECRET".to_owned(), secret.to_owned())).collect(),
        user: None,
        log: folder.join("s3.log"),
        port,
        ready: None,
        stop: Signal::TERM,
        orphaned: "KILL",
    })
    .await
}

/// Serves `folder` on loopback for ever.
///
/// # Errors
/// The folder or the port cannot be used.
pub async fn serve(folder: &Path, port: u16, secret: &str) -> anyhow::Result<()> {
    let files = FileSystem::new(folder).map_err(|error| anyhow::anyhow!("the folder cannot be used: {error:?}"))?;
    let mut builder = S3ServiceBuilder::new(files);
    builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, secret));
    let service = builder.build();
    let listener = TcpListener::bind(("127.0.0.1", port)).await.context("the port cannot be used")?;
    loop {
        let (stream, _) = listener.accept().await?;
        let service = service.clone();
        tokio::spawn(async move {
            let http = auto::Builder::new(TokioExecutor::new());
            if let Err(error) = http.serve_connection(TokioIo::new(stream), service).await {
                eprintln!("a connection ended early: {error}");
            }
        });
    }
}
