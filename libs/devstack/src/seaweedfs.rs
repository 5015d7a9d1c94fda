//! SeaweedFS as the store, to see that nothing leans on the habits of the other one: all of its parts in one process
//! (`weed mini`). Its Unix sockets lie in `/tmp` under the numbers of its ports, and some stay there.

use std::path::Path;

use rustix::process::Signal;

use crate::{
    process::{Server, Spec, free_port},
    s3::ACCESS_KEY,
};

/// Runs the program `weed`, whose S3 API listens on `port`.
///
/// # Errors
/// No port is left, or it does not start.
pub async fn start(weed: &Path, folder: &Path, port: u16, secret: &str) -> anyhow::Result<Server> {
    let data = folder.join("data");
    std::fs::create_dir_all(&data)?;
    let master = free_port()?;
    let mut args: Vec<String> = [
        "-logtostderr",
        "mini",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-webdav=false",
        "-admin.ui=false",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-master.telemetry=false",
        // A bucket has volumes of its own, and every test a bucket.
        "-volume.max=10000",
        "-master.volumeSizeLimitMB=64",
    ]
    .into_iter()
    .map(str::to_owned)
    .collect();
    args.extend([
        format!("-dir={}", data.display()),
        format!("-s3.port={port}"),
        format!("-master.port={master}"),
        // Its gRPC port stays the one 10,000 above: another one is not found by its own worker.
        format!("-admin.port={}", free_port()?),
    ]);
    for listener in
        ["volume.port", "filer.port", "master.port.grpc", "volume.port.grpc", "filer.port.grpc", "s3.port.grpc"]
    {
        args.push(format!("-{listener}={}", free_port()?));
    }
    Server::start(Spec {
        name: "SeaweedFS".to_owned(),
        program: weed.to_owned(),
        args,
        env: [
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
            ("AWS_SECRET_ACCESS_KEY", secret),
            // Seven at a time otherwise.
            ("WEED_MASTER_VOLUME_GROWTH_COPY_1", "1"),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect(),
        user: None,
        log: folder.join("seaweedfs.log"),
        port,
        // It listens before it takes objects: as a rule for a second, after a restart for up to fifteen.
        ready: Some(format!("http://127.0.0.1:{master}/dir/assign")),
        stop: Signal::TERM,
        orphaned: "KILL",
    })
    .await
}
