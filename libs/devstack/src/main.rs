//! The development stack's command line.

mod dev;
mod exec;
mod openapi;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

/// Servers and services for development and tests.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The whole stack with demo data, until Ctrl-C.
    Dev {
        /// nginx listens here; everything else on free ports.
        #[arg(long, env = "DEV_PORT", default_value_t = 8080)]
        port: u16,
        /// Replicas of each service behind nginx.
        #[arg(long, env = "DEV_REPLICAS", default_value_t = 1)]
        replicas: u16,
    },
    /// Forgets the data of `dev`.
    DevReset,
    /// Starts PostgreSQL, NATS and a store, runs a command with their addresses, and stops them.
    Exec {
        /// Leave the schemas empty: for tools that build what would migrate them.
        #[arg(long)]
        unmigrated: bool,
        /// Take SeaweedFS as the store: where its program `weed` is.
        #[arg(long)]
        weed: Option<PathBuf>,
        /// The command and its arguments.
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Merges the services' OpenAPI documents into docs/openapi.json.
    Openapi {
        /// Only say whether the file is fresh.
        #[arg(long)]
        check: bool,
    },
    /// The S3 server itself.
    #[command(hide = true)]
    S3 {
        #[arg(long)]
        folder: PathBuf,
        #[arg(long)]
        port: u16,
        #[arg(long, env = "DEVSTACK_S3_SECRET", hide_env_values = true)]
        secret: String,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<ExitCode> {
    match Arguments::parse().command {
        Command::Dev { port, replicas } => dev::run(port, replicas).await?,
        Command::DevReset => dev::reset()?,
        Command::Exec { unmigrated, weed, command } => return exec::run(&command, unmigrated, weed).await,
        Command::Openapi { check } => openapi::run(check).await?,
        Command::S3 { folder, port, secret } => grafikarsa_devstack::s3::serve(&folder, port, &secret).await?,
    }
    Ok(ExitCode::SUCCESS)
}
