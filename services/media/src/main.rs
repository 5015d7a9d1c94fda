//! The media service's command line.

use chrono::{DateTime, Utc};
use clap::{Parser, Subcommand};
use grafikarsa_events::{Bus, dead_letters};
use grafikarsa_http::database;
use media::Settings;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Uploads, variants and storage of Grafikarsa.
#[derive(Parser)]
#[command(name = "media", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serves requests and applies events until SIGTERM.
    Serve,
    /// Brings the schema up to date.
    Migrate,
    /// Prints the OpenAPI document of this service.
    Openapi,
    /// Asks the running service whether it is ready.
    Healthcheck,
    /// Does the background work now: a step of it, or all.
    Sweep { step: Option<media::Step> },
    /// Looks after events that went wrong or were lost.
    #[command(subcommand)]
    Events(Events),
}

#[derive(Subcommand)]
enum Events {
    /// Events that could not be applied here.
    #[command(subcommand, name = "dead-letters")]
    DeadLetters(DeadLetters),
    /// Publishes again what was published since a time.
    Republish {
        /// RFC 3339, such as 2026-11-24T00:00:00Z.
        #[arg(long)]
        since: DateTime<Utc>,
    },
}

#[derive(Subcommand)]
enum DeadLetters {
    /// Prints them, one JSON object a line.
    List,
    /// Sends one again.
    Replay {
        /// Its number in the list.
        id: i64,
    },
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    match run(Arguments::parse().command).await {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            // One line for whoever starts the service; the log may not be set up yet.
            eprintln!("media: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Serve => {
            let settings = Settings::read()?;
            let _telemetry = grafikarsa_telemetry::init("media", &settings.telemetry)?;
            media::serve(settings, grafikarsa_http::shutdown_signal()?).await
        }
        Command::Migrate => database::migrate(&Settings::read_database()?, media::migrator()).await,
        Command::Openapi => {
            println!("{}", media::openapi().to_pretty_json()?);
            Ok(())
        }
        Command::Healthcheck => grafikarsa_http::healthcheck(Settings::read_internal_port()?).await,
        Command::Sweep { step } => {
            let settings = Settings::read()?;
            let _telemetry = grafikarsa_telemetry::init("media", &settings.telemetry)?;
            media::sweep(&settings, step).await
        }
        Command::Events(command) => events(command).await,
    }
}

async fn events(command: Events) -> anyhow::Result<()> {
    let settings = Settings::read()?;
    let pool = database::connect(&settings.database, "media-events").await?;
    match command {
        Events::DeadLetters(DeadLetters::List) => {
            for letter in dead_letters::list(&pool).await? {
                println!("{}", serde_json::to_string(&letter)?);
            }
        }
        Events::DeadLetters(DeadLetters::Replay { id }) => {
            let bus = Bus::connect(&settings.events, "media-events").await?;
            let applied = dead_letters::replay(&pool, &bus, id).await?;
            anyhow::ensure!(applied, "dead letter {id} was not applied yet: `list` tells whether it failed again");
            println!("dead letter {id} was applied");
        }
        Events::Republish { since } => {
            let bus = Bus::connect(&settings.events, "media-events").await?;
            println!("{} events sent", grafikarsa_events::republish(&pool, &bus, since).await?);
        }
    }
    Ok(())
}
