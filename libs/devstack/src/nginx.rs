//! A private nginx with the repository's own routing.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use rustix::process::Signal;

use crate::{
    process::{Server, Spec, is_root},
    services::{Installation, Ports},
};

/// Runs nginx on `port` in front of `installation`. `folder` is its own; the routing comes from `nginx/`.
///
/// # Errors
/// nginx is not installed, or refuses its configuration.
pub async fn start(folder: &Path, port: u16, installation: &Installation) -> anyhow::Result<Server> {
    let configuration = folder.join("conf");
    copy(&source()?, &configuration)?;
    let rendered = render(folder, &configuration, port, installation)?;
    let file = configuration.join("nginx.conf");
    std::fs::write(&file, rendered)?;
    Server::start(Spec {
        name: "nginx".to_owned(),
        program: program(),
        args: [
            "-p",
            &folder.display().to_string(),
            "-c",
            &file.display().to_string(),
            "-e",
            &folder.join("error.log").display().to_string(),
        ]
        .into_iter()
        .map(str::to_owned)
        .collect(),
        env: BTreeMap::new(),
        user: None,
        log: folder.join("nginx.log"),
        port,
        ready: None,
        stop: Signal::TERM,
        orphaned: "TERM",
    })
    .await
}

fn render(folder: &Path, configuration: &Path, port: u16, installation: &Installation) -> anyhow::Result<String> {
    let mut origins = String::new();
    for origin in installation.origins.split(',').map(str::trim).filter(|origin| !origin.is_empty()) {
        writeln!(origins, "        \"{origin}\" \"{origin}\";")?;
    }
    let service = |name: &str| {
        // Nothing listens on port 1: a service that is not started is one that is down.
        let first = installation.ports.get(name).copied().unwrap_or(Ports { public: 1, internal: 1 });
        let further = installation.replicas.get(name).into_iter().flatten().copied();
        let servers = std::iter::once(first).chain(further);
        servers.map(|ports| format!("server 127.0.0.1:{} max_fails=0;", ports.public)).collect::<Vec<_>>().join(" ")
    };
    // Workers of a nginx started by root would run as somebody who cannot enter the folder.
    let user = if is_root() { "user root;" } else { "" };
    let mut text = std::fs::read_to_string(configuration.join("dev.conf.template"))?;
    for (name, value) in [
        ("USER_LINE", user.to_owned()),
        ("RUN", folder.display().to_string()),
        ("CONF", configuration.display().to_string()),
        ("ORIGINS", origins),
        ("AUTH", service("auth")),
        ("PORTFOLIO", service("portfolio")),
        ("MEDIA", service("media")),
        ("S3_PORT", installation.servers.s3.to_string()),
        ("PORT", port.to_string()),
    ] {
        text = text.replace(&format!("${{{name}}}"), &value);
    }
    Ok(text)
}

/// The `nginx` folder of the repository that this runs in. Where this crate was compiled says nothing: clones share
/// their build output.
fn source() -> anyhow::Result<PathBuf> {
    let here = std::env::current_dir()?;
    let found = here.ancestors().map(|folder| folder.join("nginx")).find(|folder| folder.join("routes.conf").is_file());
    found.context("no nginx/routes.conf above: run this inside of the repository")
}

fn program() -> PathBuf {
    let debian = Path::new("/usr/sbin/nginx");
    if debian.exists() { debian.to_owned() } else { "nginx".into() }
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
