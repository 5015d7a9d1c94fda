//! The command line.

use chrono::{DateTime, Utc};
use clap::{Parser, Subcommand};
use grafikarsa_config::Reader;
use grafikarsa_events::{Bus, commands};
use grafikarsa_http::{
    account_rules::PASSWORD_MIN_CHARS,
    database::{self, DatabaseSettings},
};

use crate::{
    accounts::{self, first_admin},
    app,
    passwords::Passwords,
    serve,
    settings::{INTERNAL_PORT, Settings},
};

/// Accounts, sessions and tokens of Grafikarsa. Settings come from the environment: see .env.example.
#[derive(Debug, Parser)]
#[command(name = "auth", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until SIGTERM
    Serve,
    /// Apply pending migrations
    Migrate,
    /// Create an admin; the password comes from ADMIN_PASSWORD
    CreateAdmin {
        /// Instead of ADMIN_USERNAME
        #[arg(long)]
        username: Option<String>,
        /// Instead of ADMIN_EMAIL
        #[arg(long)]
        email: Option<String>,
    },
    /// Print the OpenAPI document of this service
    Openapi,
    /// Ask the running service of this machine whether it is ready
    Healthcheck,
    /// Events that were published or given up
    #[command(subcommand)]
    Events(Events),
}

#[derive(Debug, Subcommand)]
enum Events {
    /// Events that this service failed to apply
    #[command(subcommand)]
    DeadLetters(DeadLetters),
    /// Publish again what was published since a time
    Republish {
        /// RFC 3339, such as 2026-01-31T00:00:00Z
        #[arg(long)]
        since: DateTime<Utc>,
    },
    /// Publish the full state of everything of a kind
    #[command(subcommand)]
    Rebuild(Rebuild),
}

#[derive(Debug, Subcommand)]
enum DeadLetters {
    /// One JSON object a line
    List,
    /// Send one again
    Replay {
        /// As `list` shows it
        id: i64,
    },
}

#[derive(Debug, Subcommand)]
enum Rebuild {
    /// All accounts, for a consumer that lost its copies
    Accounts,
}

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    /// Whatever an operator has to know, fit for one line.
    pub async fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Serve => serve::serve(settings()?).await,
            Command::Migrate => serve::migrate(&settings()?).await,
            Command::CreateAdmin { username, email } => create_admin(username, email).await,
            Command::Openapi => {
                println!("{}", app::openapi().to_pretty_json()?);
                Ok(())
            }
            Command::Healthcheck => {
                grafikarsa_http::healthcheck(Reader::from_process().parse("INTERNAL_PORT", INTERNAL_PORT)).await
            }
            Command::Events(command) => events(command).await,
        }
    }
}

fn settings() -> anyhow::Result<Settings> {
    Ok(Settings::read(Reader::from_process())?)
}

async fn create_admin(username: Option<String>, email: Option<String>) -> anyhow::Result<()> {
    let mut env = Reader::from_process();
    let database = DatabaseSettings::read(&mut env, "AUTH_DATABASE_URL");
    let password = env.secret("ADMIN_PASSWORD", PASSWORD_MIN_CHARS);
    let username = username.unwrap_or_else(|| env.string("ADMIN_USERNAME", "admin"));
    let email = email.unwrap_or_else(|| env.required("ADMIN_EMAIL"));
    let (database, password) = env.finish((database, password))?;
    let admin = first_admin::parse(username, &email, password)?;
    let pool = database::connect(&database, "auth-create-admin").await?;
    let account = first_admin::create(&pool, &Passwords::new(), &admin).await?;
    println!("the admin {} was created", account.username);
    Ok(())
}

async fn events(command: Events) -> anyhow::Result<()> {
    let settings = settings()?;
    let pool = database::connect(&settings.database, "auth-events").await?;
    match command {
        Events::DeadLetters(DeadLetters::List) => {
            for letter in commands::list(&pool).await? {
                println!("{}", serde_json::to_string(&letter)?);
            }
        }
        Events::DeadLetters(DeadLetters::Replay { id }) => {
            let bus = Bus::connect(&settings.events, "auth-events").await?;
            let applied = commands::replay(&pool, &bus, id).await?;
            anyhow::ensure!(applied, "dead letter {id} was not applied yet: `list` tells whether it failed again");
            println!("dead letter {id} was applied");
        }
        Events::Republish { since } => {
            let bus = Bus::connect(&settings.events, "auth-events").await?;
            println!("{} events were published again", commands::republish(&pool, &bus, since).await?);
        }
        Events::Rebuild(Rebuild::Accounts) => {
            println!("{} accounts will be published", accounts::republish_all(&pool).await?);
        }
    }
    Ok(())
}
