use std::{sync::Arc, time::Duration};

use grafikarsa_config::{ConfigError, Reader, Secret};
use grafikarsa_events::EventsSettings;
use grafikarsa_http::{HttpSettings, account_rules as rules, database::DatabaseSettings};
use grafikarsa_telemetry::TelemetrySettings;

use crate::limits::Limits;

pub(crate) const PORT: u16 = 3001;
pub(crate) const INTERNAL_PORT: u16 = 9001;
const DAY: Duration = Duration::from_hours(24);

/// Everything this service can be told.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) http: HttpSettings,
    pub(crate) database: DatabaseSettings,
    pub(crate) events: EventsSettings,
    pub(crate) telemetry: TelemetrySettings,
    pub(crate) access_secret: Secret,
    pub(crate) access_lifetime: Duration,
    pub(crate) sessions: Arc<SessionSettings>,
    pub(crate) limits: Limits,
    pub(crate) admin: Option<AdminSettings>,
}

/// How sessions live.
#[derive(Clone, Debug)]
pub(crate) struct SessionSettings {
    /// Keys the stored hashes of refresh tokens.
    pub(crate) refresh_secret: Secret,
    /// Life of a session after its last rotation.
    pub(crate) lifetime: Duration,
    /// A rotated token may come again within this span; zero switches it off.
    pub(crate) reuse_grace: Duration,
    pub(crate) cookie_secure: bool,
}

/// The first admin.
#[derive(Clone, Debug)]
pub(crate) struct AdminSettings {
    pub(crate) username: String,
    pub(crate) email: String,
    pub(crate) password: Secret,
}

impl Settings {
    pub(crate) fn read(mut env: Reader) -> Result<Self, ConfigError> {
        let access_secret = env.secret("JWT_ACCESS_SECRET", 32);
        let refresh_secret = env.secret("JWT_REFRESH_SECRET", 32);
        if env.environment().is_production() && access_secret.expose() == refresh_secret.expose() {
            env.problem("JWT_REFRESH_SECRET", "must differ from JWT_ACCESS_SECRET");
        }
        let settings = Self {
            http: HttpSettings::read(&mut env, PORT, INTERNAL_PORT),
            database: DatabaseSettings::read(&mut env, "AUTH_DATABASE_URL"),
            events: EventsSettings::read(&mut env),
            telemetry: TelemetrySettings::read(&mut env),
            access_secret,
            access_lifetime: env.duration("JWT_ACCESS_EXPIRY", Duration::from_mins(15)),
            sessions: Arc::new(SessionSettings {
                refresh_secret,
                lifetime: env.duration("JWT_REFRESH_EXPIRY", 7 * DAY),
                reuse_grace: Duration::from_secs(env.parse("REFRESH_REUSE_GRACE_SECONDS", 10)),
                cookie_secure: env.flag("COOKIE_SECURE", true),
            }),
            limits: Limits::read(&mut env),
            admin: admin(&mut env),
        };
        if env.environment().is_production() && !settings.sessions.cookie_secure {
            env.problem("COOKIE_SECURE", "can be switched off in development only");
        }
        if settings.access_lifetime.is_zero() || settings.access_lifetime > DAY {
            env.problem("JWT_ACCESS_EXPIRY", "must be above zero and at most a day");
        }
        if settings.sessions.lifetime <= settings.access_lifetime {
            env.problem("JWT_REFRESH_EXPIRY", "must be longer than JWT_ACCESS_EXPIRY");
        }
        env.finish(settings)
    }
}

/// Without `ADMIN_PASSWORD` there is no first admin: no password is built in.
fn admin(env: &mut Reader) -> Option<AdminSettings> {
    let password = env.optional_secret("ADMIN_PASSWORD", rules::PASSWORD_MIN_CHARS)?;
    let admin = AdminSettings {
        username: env.string("ADMIN_USERNAME", "admin"),
        email: rules::normal_email(&env.required("ADMIN_EMAIL")),
        password,
    };
    if rules::username_form(&admin.username).is_err() {
        env.problem("ADMIN_USERNAME", "must have 3 to 30 of the characters a-z, 0-9 and _");
    }
    if !admin.email.is_empty() && rules::email(&admin.email).is_err() {
        env.problem("ADMIN_EMAIL", "must be an e-mail address");
    }
    if rules::new_password(admin.password.expose()).is_err() {
        env.problem("ADMIN_PASSWORD", "must have 8 characters and 72 bytes at most");
    }
    Some(admin)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &[(&str, &str)] = &[
        ("APP_ENV", "production"),
        ("JWT_ACCESS_SECRET", "b91c7a30f5d24e6895c1d07fe3a2846b"),
        ("JWT_REFRESH_SECRET", "7d02e5f8a91b4c36be70d5f21a84c963"),
        ("INTERNAL_API_TOKEN", "2f6ad81c90e745b3a1c8f7d4e0b59263"),
        ("AUTH_DATABASE_URL", "postgres://auth:x7Rq2mVw9LtB@localhost/grafikarsa"),
        ("NATS_URL", "nats://auth:x7Rq2mVw9LtB@localhost:4222"),
    ];

    fn read(changes: &[(&str, &str)]) -> Result<Settings, String> {
        let values = GOOD.iter().chain(changes).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Settings::read(Reader::from_map(values)).map_err(|error| error.to_string())
    }

    #[test]
    fn the_defaults_are_the_contracts() {
        let settings = read(&[]).unwrap();
        assert_eq!(settings.access_lifetime.as_secs(), 900);
        assert_eq!(settings.sessions.lifetime.as_secs(), 604_800);
        assert_eq!(settings.sessions.reuse_grace.as_secs(), 10);
        assert!(settings.sessions.cookie_secure);
        assert!(settings.admin.is_none());
    }

    #[test]
    fn every_weak_setting_of_production_is_named() {
        for (name, value) in [
            ("JWT_ACCESS_SECRET", "short"),
            ("JWT_ACCESS_SECRET", ""),
            ("JWT_REFRESH_SECRET", "change-me-change-me-change-me-1234"),
            ("JWT_REFRESH_SECRET", "b91c7a30f5d24e6895c1d07fe3a2846b"),
            ("INTERNAL_API_TOKEN", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
            ("AUTH_DATABASE_URL", "postgres://auth:auth@localhost/grafikarsa"),
            ("COOKIE_SECURE", "false"),
        ] {
            let error = read(&[(name, value)]).unwrap_err();
            assert!(error.contains(name), "{name}={value}: {error}");
        }
    }

    #[test]
    fn the_first_admin_follows_the_rules_but_may_have_a_reserved_name() {
        let password = ("ADMIN_PASSWORD", "kelinci-terbang-7");
        let admin = read(&[password, ("ADMIN_EMAIL", " Admin@Sekolah.sch.id ")]).unwrap().admin.unwrap();
        assert_eq!((admin.username.as_str(), admin.email.as_str()), ("admin", "admin@sekolah.sch.id"));
        assert!(read(&[password]).unwrap_err().contains("ADMIN_EMAIL"));
        assert!(read(&[("ADMIN_PASSWORD", "1234567")]).unwrap_err().contains("ADMIN_PASSWORD"));
    }
}
