use std::time::Duration;

use anyhow::Context as _;
use grafikarsa_config::{ConfigError, Reader, Secret};
use grafikarsa_events::EventsSettings;
use grafikarsa_http::{HttpSettings, database::DatabaseSettings};
use grafikarsa_telemetry::TelemetrySettings;
use url::Url;

const PORT: u16 = 3003;
const INTERNAL_PORT: u16 = 9003;
/// Requests end after 30 s. After a confirmation's own limit come its commit, which may take 5 s, and 2 s of waiting
/// for portfolio.
const LONGEST_CONFIRMATION: Duration = Duration::from_secs(20);

/// Everything this service can be told.
#[derive(Clone, Debug)]
pub struct Settings {
    pub(crate) http: HttpSettings,
    pub database: DatabaseSettings,
    pub events: EventsSettings,
    pub telemetry: TelemetrySettings,
    pub(crate) access_secret: Secret,
    pub(crate) access_lifetime: Duration,
    portfolio: Option<Url>,
    pub(crate) store: StoreSettings,
    /// What public addresses of objects begin with, without the slash at the end.
    pub(crate) storage_base: String,
    /// How long a confirmation may take until its commit.
    pub(crate) confirm_time_limit: Duration,
}

/// Where the bytes are.
#[derive(Clone, Debug)]
pub(crate) struct StoreSettings {
    /// As this service reaches it.
    pub(crate) endpoint: String,
    /// As browsers reach it; presigned URLs are signed for this one.
    pub(crate) public_endpoint: String,
    pub(crate) region: String,
    pub(crate) bucket: String,
    pub(crate) key_id: String,
    pub(crate) key: Secret,
    /// Whether a missing bucket is created at the start. In production whoever runs the store does that.
    pub(crate) create_bucket: bool,
}

impl Settings {
    /// Reads the process environment.
    ///
    /// # Errors
    /// Names every bad setting.
    pub fn read() -> Result<Self, ConfigError> {
        Self::read_from(Reader::from_process())
    }

    fn read_from(mut env: Reader) -> Result<Self, ConfigError> {
        let settings = Self {
            http: HttpSettings::read(&mut env, PORT, INTERNAL_PORT),
            database: DatabaseSettings::read(&mut env, "MEDIA_DATABASE_URL"),
            events: EventsSettings::read(&mut env),
            telemetry: TelemetrySettings::read(&mut env),
            access_secret: env.secret("JWT_ACCESS_SECRET", 32),
            access_lifetime: env.duration("JWT_ACCESS_EXPIRY", Duration::from_mins(15)),
            portfolio: env.url("PORTFOLIO_INTERNAL_URL", "http://localhost:9002"),
            store: StoreSettings::read(&mut env),
            storage_base: address(&mut env, "STORAGE_PUBLIC_URL", "http://localhost:8080/storage"),
            confirm_time_limit: env.duration("CONFIRM_TIME_LIMIT", Duration::from_secs(15)),
        };
        if settings.confirm_time_limit > LONGEST_CONFIRMATION {
            env.problem("CONFIRM_TIME_LIMIT", "must be 20s at the most");
        }
        env.finish(settings)
    }

    /// Reads the only settings that commands on the database need.
    ///
    /// # Errors
    /// Names every bad setting.
    pub fn read_database() -> Result<DatabaseSettings, ConfigError> {
        let mut env = Reader::from_process();
        let settings = DatabaseSettings::read(&mut env, "MEDIA_DATABASE_URL");
        env.finish(settings)
    }

    /// Reads where the probes of the running service are.
    ///
    /// # Errors
    /// The port is no number.
    pub fn read_internal_port() -> Result<u16, ConfigError> {
        let mut env = Reader::from_process();
        let port = env.parse("INTERNAL_PORT", INTERNAL_PORT);
        env.finish(port)
    }

    pub(crate) fn portfolio_url(&self) -> anyhow::Result<Url> {
        self.portfolio.clone().context("PORTFOLIO_INTERNAL_URL is missing")
    }
}

impl StoreSettings {
    fn read(env: &mut Reader) -> Self {
        Self {
            endpoint: address(env, "S3_ENDPOINT", "http://localhost:9000"),
            public_endpoint: address(env, "S3_PUBLIC_ENDPOINT", "http://localhost:8080"),
            region: env.string("S3_REGION", "us-east-1"),
            bucket: env.string("S3_BUCKET", "grafikarsa"),
            key_id: env.required("S3_ACCESS_KEY_ID"),
            // Stores make keys of 20 characters and more.
            key: env.secret("S3_SECRET_ACCESS_KEY", 8),
            create_bucket: !env.environment().is_production(),
        }
    }
}

fn address(env: &mut Reader, name: &str, default: &str) -> String {
    let url = env.url(name, default);
    url.map(|url| url.as_str().trim_end_matches('/').to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &[(&str, &str)] = &[
        ("APP_ENV", "production"),
        ("JWT_ACCESS_SECRET", "b91c7a30f5d24e6895c1d07fe3a2846b"),
        ("INTERNAL_API_TOKEN", "2f6ad81c90e745b3a1c8f7d4e0b59263"),
        ("MEDIA_DATABASE_URL", "postgres://media:6d2f9b1c7a3e8f04@localhost/grafikarsa"),
        ("NATS_URL", "nats://media:6d2f9b1c7a3e8f04@localhost:4222"),
        ("S3_ACCESS_KEY_ID", "grafikarsa"),
        ("S3_SECRET_ACCESS_KEY", "9f3c1e7ab04d52668c1f"),
        ("STORAGE_PUBLIC_URL", "https://grafikarsa.example/storage/"),
    ];

    fn read(changes: &[(&str, &str)]) -> Result<Settings, String> {
        let values = GOOD.iter().chain(changes).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Settings::read_from(Reader::from_map(values)).map_err(|error| error.to_string())
    }

    #[test]
    fn addresses_have_no_slash_at_the_end_and_production_creates_no_bucket() {
        let settings = read(&[]).unwrap();
        assert_eq!(settings.storage_base, "https://grafikarsa.example/storage");
        assert!(!settings.store.create_bucket);
    }

    #[test]
    fn a_confirmation_ends_before_its_request() {
        assert_eq!(read(&[]).unwrap().confirm_time_limit, Duration::from_secs(15));
        assert!(read(&[("CONFIRM_TIME_LIMIT", "21s")]).unwrap_err().contains("CONFIRM_TIME_LIMIT"));
    }

    #[test]
    fn the_key_of_the_store_must_be_there_and_does_not_print() {
        assert!(read(&[("S3_SECRET_ACCESS_KEY", "")]).unwrap_err().contains("S3_SECRET_ACCESS_KEY"));
        assert!(read(&[("S3_ACCESS_KEY_ID", "")]).unwrap_err().contains("S3_ACCESS_KEY_ID"));
        assert!(!format!("{:?}", read(&[]).unwrap()).contains("9f3c1e7ab04d52668c1f"));
    }
}
