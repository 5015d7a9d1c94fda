//! The portfolio service's command line.

use chrono::{DateTime, NaiveDate, Utc};
use clap::{Parser, Subcommand};
use grafikarsa_events::{Bus, dead_letters};
use grafikarsa_http::database;
use portfolio::{Settings, promotion};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Profiles, portfolios and every other domain of Grafikarsa.
#[derive(Parser)]
#[command(name = "portfolio", version)]
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
    /// Fills a running development stack with demo data, once.
    Seed {
        /// Where nginx listens; by default the host of the storage's public address.
        #[arg(long)]
        base_url: Option<url::Url>,
    },
    /// Prints the OpenAPI document of this service.
    Openapi,
    /// Asks the running service whether it is ready.
    Healthcheck,
    /// Looks after events that went wrong or were lost.
    #[command(subcommand)]
    Events(Events),
    /// Moves every class up by a year, as the service does by itself on the day of the academic year.
    #[command(subcommand)]
    Promotion(Promotion),
}

#[derive(Subcommand)]
enum Promotion {
    /// Promotes the years that are due.
    Run {
        /// Due on which day, such as 2026-07-01; by default today.
        #[arg(long)]
        as_of: Option<NaiveDate>,
        /// Only prints what would happen.
        #[arg(long)]
        dry_run: bool,
    },
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
            eprintln!("portfolio: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Serve => {
            let settings = Settings::read()?;
            let _telemetry = grafikarsa_telemetry::init("portfolio", &settings.telemetry)?;
            portfolio::serve(settings, grafikarsa_http::shutdown_signal()?).await
        }
        Command::Migrate => database::migrate(&Settings::read_database()?, portfolio::migrator()).await,
        Command::Seed { base_url } => portfolio::seed(&Settings::read()?, base_url).await,
        Command::Openapi => {
            println!("{}", portfolio::api().to_openapi().to_pretty_json()?);
            Ok(())
        }
        Command::Healthcheck => {
            let port = Settings::read_internal_port()?;
            grafikarsa_http::healthcheck(port).await
        }
        Command::Events(command) => events(command).await,
        Command::Promotion(Promotion::Run { as_of, dry_run }) => promote(as_of, dry_run).await,
    }
}

async fn promote(as_of: Option<NaiveDate>, dry_run: bool) -> anyhow::Result<()> {
    let pool = database::connect(&Settings::read_database()?, "portfolio-promotion").await?;
    let promotions =
        if dry_run { promotion::rehearse(&pool, as_of).await? } else { promotion::run(&pool, as_of).await? };
    for promotion in &promotions {
        println!("{promotion}");
    }
    match (promotions.len(), dry_run) {
        (0, _) => println!("no academic year is due"),
        (_, true) => println!("a dry run: nothing was changed"),
        (_, false) => {}
    }
    Ok(())
}

async fn events(command: Events) -> anyhow::Result<()> {
    let settings = Settings::read()?;
    let pool = database::connect(&settings.database, "portfolio-events").await?;
    match command {
        Events::DeadLetters(DeadLetters::List) => {
            for letter in dead_letters::list(&pool).await? {
                println!("{}", serde_json::to_string(&letter)?);
            }
        }
        Events::DeadLetters(DeadLetters::Replay { id }) => {
            let bus = Bus::connect(&settings.events, "portfolio-events").await?;
            let applied = dead_letters::replay(&pool, &bus, id).await?;
            anyhow::ensure!(applied, "dead letter {id} was not applied yet: `list` tells whether it failed again");
            println!("dead letter {id} was applied");
        }
        Events::Republish { since } => {
            let bus = Bus::connect(&settings.events, "portfolio-events").await?;
            println!("{} events sent", grafikarsa_events::republish(&pool, &bus, since).await?);
        }
    }
    Ok(())
}
