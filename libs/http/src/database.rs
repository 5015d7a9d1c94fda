//! The connection pool with the limits that every connection carries, and the state of the migrations.

use std::{str::FromStr, time::Duration};

use anyhow::Context as _;
use grafikarsa_config::{Reader, Secret};
use sqlx::{
    PgPool,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgPoolOptions},
};

/// Where a service's data is and how many connections it may use.
#[derive(Clone, Debug)]
pub struct DatabaseSettings {
    /// Connection address with the service's own role.
    pub url: Secret,
    /// Most connections of this replica's pool.
    pub max_connections: u32,
    /// Whether `serve` applies pending migrations itself.
    pub auto_migrate: bool,
}

impl DatabaseSettings {
    /// Reads the address from `variable` (such as `AUTH_DATABASE_URL`), `DATABASE_MAX_CONNECTIONS` and `AUTO_MIGRATE`.
    pub fn read(env: &mut Reader, variable: &str) -> Self {
        Self {
            url: env.connection(variable),
            max_connections: env.parse("DATABASE_MAX_CONNECTIONS", 10),
            auto_migrate: env.flag("AUTO_MIGRATE", false),
        }
    }
}

/// Options of a connection: a statement ends after 5 s, a wait for a lock after 2 s, an idle transaction after 10 s;
/// queries are not compiled to machine code.
///
/// # Errors
/// The address cannot be read.
pub fn options(settings: &DatabaseSettings, name: &str) -> anyhow::Result<PgConnectOptions> {
    let options = PgConnectOptions::from_str(settings.url.expose())
        .map_err(|_| anyhow::anyhow!("the database address cannot be read"))?;
    Ok(options.application_name(name).options([
        ("statement_timeout", "5s"),
        ("lock_timeout", "2s"),
        ("idle_in_transaction_session_timeout", "10s"),
        // Machine code pays for queries of seconds; where an estimate is far off, it costs 40 ms for rows of microseconds.
        ("jit", "off"),
    ]))
}

/// Opens the pool and makes the first connection.
///
/// # Errors
/// The database cannot be reached, or refuses.
pub async fn connect(settings: &DatabaseSettings, name: &str) -> anyhow::Result<PgPool> {
    PgPoolOptions::new()
        .max_connections(settings.max_connections)
        .min_connections(1)
        .acquire_timeout(Duration::from_secs(3))
        .idle_timeout(Duration::from_secs(300))
        .connect_with(options(settings, name)?)
        .await
        .context("the database cannot be reached")
}

/// Applies what is pending, on a connection without the time limits of requests.
///
/// # Errors
/// The database cannot be reached, or a migration fails.
pub async fn migrate(settings: &DatabaseSettings, migrator: Migrator) -> anyhow::Result<()> {
    let options = options(settings, "migrate")?.options([("statement_timeout", "0"), ("lock_timeout", "30s")]);
    let pool =
        PgPoolOptions::new().max_connections(1).acquire_timeout(Duration::from_secs(10)).connect_with(options).await;
    let pool = pool.context("the database cannot be reached")?;
    tolerant(migrator).run(&pool).await.context("a migration failed")?;
    pool.close().await;
    Ok(())
}

/// Brings the schema up to date if `AUTO_MIGRATE` says so, else refuses to start on one that is behind. A schema that
/// is ahead is fine: migrations expand before they contract, the previous release runs on the new schema.
///
/// # Errors
/// Migrations are pending, or one fails.
pub async fn prepare(settings: &DatabaseSettings, pool: &PgPool, migrator: Migrator) -> anyhow::Result<()> {
    if settings.auto_migrate {
        return migrate(settings, migrator).await;
    }
    let pending = pending(pool, &migrator).await?;
    anyhow::ensure!(pending == 0, "{pending} migrations are pending: run `migrate` first, or set AUTO_MIGRATE=true");
    Ok(())
}

/// How many migrations of this release the database lacks.
async fn pending(pool: &PgPool, migrator: &Migrator) -> anyhow::Result<usize> {
    let table = migrator.table_name.to_string();
    let exists: Option<String> =
        sqlx::query_scalar("select to_regclass($1)::text").bind(&table).fetch_one(pool).await?;
    let applied: Vec<i64> = if exists.is_some() {
        // The name is the one compiled in, never input.
        let sql = sqlx::AssertSqlSafe(format!("select version from {table} where success"));
        sqlx::query_scalar(sql).fetch_all(pool).await?
    } else {
        Vec::new()
    };
    Ok(migrator.iter().filter(|migration| !applied.contains(&migration.version)).count())
}

fn tolerant(mut migrator: Migrator) -> Migrator {
    migrator.set_ignore_missing(true);
    migrator
}

/// A readiness check: one trivial statement.
///
/// # Errors
/// A short text for `/readyz`.
pub async fn ping(pool: PgPool) -> Result<(), String> {
    sqlx::query("select 1").execute(&pool).await.map(drop).map_err(|_| "the database does not answer".to_owned())
}
