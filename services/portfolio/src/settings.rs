use std::time::Duration;

use anyhow::Context as _;
use grafikarsa_config::{ConfigError, Reader, Secret};
use grafikarsa_events::EventsSettings;
use grafikarsa_http::{HttpSettings, database::DatabaseSettings};
use grafikarsa_telemetry::TelemetrySettings;
use url::Url;

/// Everything the service reads from its environment.
#[derive(Clone, Debug)]
pub struct Settings {
    pub telemetry: TelemetrySettings,
    pub http: HttpSettings,
    pub database: DatabaseSettings,
    pub events: EventsSettings,
    pub access_secret: Secret,
    pub access_lifetime: Duration,
    pub auth: Option<Url>,
    pub media: Option<Url>,
    pub rules: Rules,
}

/// Settings that decide what requests may do.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Whether an owner's change of a published or waiting portfolio asks for a new review.
    pub remoderate_edits: bool,
    /// What addresses of stored objects begin with, without the slash at the end.
    pub storage_base: String,
    /// Hosts of this installation, which nobody may embed: the web client's, the API's, the storage's.
    pub own_hosts: Vec<String>,
}

impl Settings {
    /// Reads the process environment.
    ///
    /// # Errors
    /// Names every bad setting.
    pub fn read() -> Result<Self, ConfigError> {
        let mut env = Reader::from_process();
        let http = HttpSettings::read(&mut env, 3002, 9002);
        let storage = env.url("STORAGE_PUBLIC_URL", "http://localhost:8080/storage");
        let origins = http.cors_origins.iter().filter_map(|origin| Url::parse(origin).ok());
        let own_hosts =
            origins.chain(storage.clone()).filter_map(|url| url.host_str().map(str::to_lowercase)).collect();
        let settings = Self {
            telemetry: TelemetrySettings::read(&mut env),
            database: DatabaseSettings::read(&mut env, "PORTFOLIO_DATABASE_URL"),
            events: EventsSettings::read(&mut env),
            access_secret: env.secret("JWT_ACCESS_SECRET", 32),
            access_lifetime: env.duration("JWT_ACCESS_EXPIRY", Duration::from_secs(900)),
            auth: env.url("AUTH_INTERNAL_URL", "http://localhost:9001"),
            media: env.url("MEDIA_INTERNAL_URL", "http://localhost:9003"),
            rules: Rules {
                remoderate_edits: env.flag("REMODERATE_EDITS", true),
                storage_base: storage.map(|url| url.as_str().trim_end_matches('/').to_owned()).unwrap_or_default(),
                own_hosts,
            },
            http,
        };
        env.finish(settings)
    }

    /// Reads the only settings that commands on the database need.
    ///
    /// # Errors
    /// Names every bad setting.
    pub fn read_database() -> Result<DatabaseSettings, ConfigError> {
        let mut env = Reader::from_process();
        let settings = DatabaseSettings::read(&mut env, "PORTFOLIO_DATABASE_URL");
        env.finish(settings)
    }

    /// Reads where the probes of the running service are.
    ///
    /// # Errors
    /// The port is no number.
    pub fn read_internal_port() -> Result<u16, ConfigError> {
        let mut env = Reader::from_process();
        let port = env.parse("INTERNAL_PORT", 9002);
        env.finish(port)
    }

    pub(crate) fn auth_url(&self) -> anyhow::Result<Url> {
        self.auth.clone().context("AUTH_INTERNAL_URL is missing")
    }

    pub(crate) fn media_url(&self) -> anyhow::Result<Url> {
        self.media.clone().context("MEDIA_INTERNAL_URL is missing")
    }
}
