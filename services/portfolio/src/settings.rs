use std::{str::FromStr, time::Duration};

use anyhow::Context as _;
use grafikarsa_config::{ConfigError, Reader, Secret};
use grafikarsa_events::EventsSettings;
use grafikarsa_http::{HttpSettings, database::DatabaseSettings};
use grafikarsa_telemetry::TelemetrySettings;
use url::Url;

use crate::{limits::Limits, realtime::RealtimeSettings};

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
    pub limits: Limits,
    pub realtime: RealtimeSettings,
    /// How old the rankings of the start page may be.
    pub rankings_age: Duration,
}

/// Settings that decide what requests may do.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Whether an owner's change of a published or waiting portfolio asks for a new review.
    pub remoderate_edits: bool,
    /// What imported students log in with.
    pub initial_password: InitialPassword,
    /// What addresses of stored objects begin with, without the slash at the end.
    pub storage_base: String,
    /// Hosts of this installation, which nobody may embed: the web client's, the API's, the storage's, the store's.
    /// In lower case, without a dot at the end.
    pub own_hosts: Vec<String>,
    /// Where the days of streaks begin at midnight; a name of PostgreSQL's.
    pub streak_time_zone: String,
}

/// The first password of an imported student, who has to change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitialPassword {
    /// The student's number, as the web client tells the admin.
    Nis,
    /// Another one for each, shown once in the answer of the import.
    Random,
}

impl FromStr for InitialPassword {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "nis" => Ok(Self::Nis),
            "random" => Ok(Self::Random),
            _ => Err("nis or random"),
        }
    }
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
        let http = HttpSettings::read(&mut env, 3002, 9002);
        let storage = env.url("STORAGE_PUBLIC_URL", "http://localhost:8080/storage");
        let api = env.url("API_PUBLIC_URL", "http://localhost:8080");
        let store = env.url("S3_PUBLIC_ENDPOINT", "http://localhost:8080");
        let origins = http.cors_origins.iter().filter_map(|origin| Url::parse(origin).ok());
        let own_hosts = origins
            .chain([&storage, &api, &store].into_iter().flatten().cloned())
            .filter_map(|url| Some(url.host_str()?.trim_end_matches('.').to_owned()))
            .collect();
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
                initial_password: env.parse("IMPORT_INITIAL_PASSWORD", InitialPassword::Nis),
                storage_base: storage.map(|url| url.as_str().trim_end_matches('/').to_owned()).unwrap_or_default(),
                own_hosts,
                streak_time_zone: env.string("STREAK_TIME_ZONE", "Asia/Jakarta"),
            },
            limits: Limits::read(&mut env),
            realtime: RealtimeSettings::read(&mut env),
            rankings_age: env.duration("RANKINGS_MAX_AGE", Duration::from_secs(60)),
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

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &[(&str, &str)] = &[
        ("APP_ENV", "production"),
        ("JWT_ACCESS_SECRET", "b91c7a30f5d24e6895c1d07fe3a2846b"),
        ("INTERNAL_API_TOKEN", "2f6ad81c90e745b3a1c8f7d4e0b59263"),
        ("PORTFOLIO_DATABASE_URL", "postgres://portfolio:6d2f9b1c7a3e8f04@localhost/grafikarsa"),
        ("NATS_URL", "nats://portfolio:6d2f9b1c7a3e8f04@localhost:4222"),
        ("CORS_ORIGINS", "https://Sekolah.example, https://www.sekolah.example"),
        ("API_PUBLIC_URL", "https://api.sekolah.example."),
        ("STORAGE_PUBLIC_URL", "https://cdn.sekolah.example/storage/"),
        ("S3_PUBLIC_ENDPOINT", "https://s3.sekolah.example:9000"),
    ];

    #[test]
    fn every_public_host_of_the_installation_is_an_own_one() {
        let values = GOOD.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
        let rules = Settings::read_from(Reader::from_map(values)).unwrap().rules;
        let names = ["sekolah.example", "www.sekolah.example", "cdn.sekolah.example", "api.sekolah.example"];
        for name in names.into_iter().chain(["s3.sekolah.example"]) {
            assert!(rules.own_hosts.iter().any(|host| host == name), "{name} in {:?}", rules.own_hosts);
        }
        assert_eq!(rules.storage_base, "https://cdn.sekolah.example/storage");
    }

    #[test]
    fn a_day_of_a_streak_is_one_of_the_school() {
        let values = GOOD.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
        let rules = Settings::read_from(Reader::from_map(values)).unwrap().rules;
        assert_eq!(rules.streak_time_zone, "Asia/Jakarta");
    }
}
