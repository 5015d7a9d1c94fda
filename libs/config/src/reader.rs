use std::{collections::HashMap, fmt, str::FromStr, time::Duration};

use url::Url;

use crate::Secret;

/// Where the service runs. In production missing, short and well-known secrets are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// A developer's machine or a test.
    Development,
    /// Real users.
    Production,
}

impl Environment {
    /// True for [`Environment::Production`].
    pub fn is_production(self) -> bool {
        self == Self::Production
    }
}

/// Everything that is wrong with the settings, in one line.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("invalid settings: {}", .0.join("; "))]
pub struct ConfigError(Vec<String>);

/// Reads settings and remembers what was wrong with them.
///
/// A setting that is present but empty counts as absent, so that `NAME=` in a Compose file means "the default".
pub struct Reader {
    values: HashMap<String, String>,
    problems: Vec<String>,
    environment: Environment,
}

/// Parts of the example secrets in `.env.example` and of what people type when in a hurry.
const WELL_KNOWN: [&str; 8] =
    ["change-me", "changeme", "change_me", "example", "password", "secret-secret", "grafikarsa-dev", "12345678"];

impl Reader {
    /// Reads `.env` of the working directory or one of its parents, then the process environment, which wins.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub fn from_process() -> Self {
        let mut values: HashMap<String, String> = HashMap::new();
        if let Ok(file) = dotenvy::dotenv_iter() {
            values.extend(file.flatten());
        }
        values.extend(
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
        );
        Self::from_map(values)
    }

    /// Reads from the given values alone.
    pub fn from_map(values: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut reader =
            Self { values: values.into_iter().collect(), problems: Vec::new(), environment: Environment::Development };
        reader.environment = match reader.get("APP_ENV").as_deref() {
            // A misspelt environment must not switch the production checks off.
            None | Some("production") => Environment::Production,
            Some("development") => Environment::Development,
            Some(_) => {
                reader.problem("APP_ENV", "must be development or production");
                Environment::Production
            }
        };
        reader
    }

    /// The value of `APP_ENV`; production when it is absent.
    pub fn environment(&self) -> Environment {
        self.environment
    }

    /// A text with a default.
    pub fn string(&mut self, name: &str, default: &str) -> String {
        self.get(name).unwrap_or_else(|| default.to_owned())
    }

    /// A text that may be absent.
    pub fn optional(&mut self, name: &str) -> Option<String> {
        self.get(name)
    }

    /// A text that must be there.
    pub fn required(&mut self, name: &str) -> String {
        self.get(name).unwrap_or_else(|| {
            self.problem(name, "is missing");
            String::new()
        })
    }

    /// A number, or whatever else parses, with a default.
    pub fn parse<T: FromStr>(&mut self, name: &str, default: T) -> T {
        match self.get(name).map(|value| value.parse()) {
            None => default,
            Some(Ok(value)) => value,
            Some(Err(_)) => {
                self.problem(name, "cannot be read as a value of its kind");
                default
            }
        }
    }

    /// A switch: `true`/`1` or `false`/`0`.
    pub fn flag(&mut self, name: &str, default: bool) -> bool {
        match self.get(name).as_deref() {
            None => default,
            Some("true" | "1") => true,
            Some("false" | "0") => false,
            Some(_) => {
                self.problem(name, "must be true or false");
                default
            }
        }
    }

    /// A span of time: `15m`, `168h`, `60s`, `500ms`, `7d`, or plain seconds.
    pub fn duration(&mut self, name: &str, default: Duration) -> Duration {
        match self.get(name).map(|value| parse_duration(&value)) {
            None => default,
            Some(Some(value)) => value,
            Some(None) => {
                self.problem(name, "must be a duration such as 15m, 168h or 60s");
                default
            }
        }
    }

    /// A comma-separated list; surrounding white space and empty items are dropped.
    pub fn list(&mut self, name: &str, default: &[&str]) -> Vec<String> {
        match self.get(name) {
            None => default.iter().map(|&item| item.to_owned()).collect(),
            Some(value) => value.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect(),
        }
    }

    /// An absolute URL with a host.
    pub fn url(&mut self, name: &str, default: &str) -> Option<Url> {
        let value = self.string(name, default);
        match Url::parse(&value) {
            Ok(url) if url.has_host() => Some(url),
            _ => {
                self.problem(name, "must be an absolute URL");
                None
            }
        }
    }

    /// A secret of at least `min_bytes` bytes. Missing or short is refused everywhere, well-known values in production.
    pub fn secret(&mut self, name: &str, min_bytes: usize) -> Secret {
        match self.get(name) {
            None => self.problem(name, "is missing"),
            Some(value) if value.len() < min_bytes => {
                self.problem(name, &format!("is too short: {min_bytes} bytes at least"));
            }
            Some(value) => {
                if self.environment.is_production() && is_weak(&value) {
                    self.problem(
                        name,
                        "is a default or easily guessed value; generate one with `openssl rand -hex 32`",
                    );
                }
                return Secret::new(value);
            }
        }
        Secret::new("")
    }

    /// A secret that may be absent; when present the rules of [`Reader::secret`] hold.
    pub fn optional_secret(&mut self, name: &str, min_bytes: usize) -> Option<Secret> {
        self.get(name)?;
        Some(self.secret(name, min_bytes))
    }

    /// A connection address that carries a password. In production the password must not be a well-known one.
    pub fn connection(&mut self, name: &str) -> Secret {
        let Some(value) = self.get(name) else {
            self.problem(name, "is missing");
            return Secret::new("");
        };
        match Url::parse(&value) {
            Err(_) => self.problem(name, "must be a connection URL"),
            Ok(url) if self.environment.is_production() => {
                if url.password().is_some_and(|password| password.len() < 12 || is_weak(password)) {
                    self.problem(name, "carries a short or default password");
                }
            }
            Ok(_) => {}
        }
        Secret::new(value)
    }

    /// Remembers a rule that a service found broken itself.
    pub fn problem(&mut self, name: &str, what: &str) {
        self.problems.push(format!("{name} {what}"));
    }

    /// Gives `settings` back if every setting was good.
    ///
    /// # Errors
    /// [`ConfigError`] names every bad setting.
    pub fn finish<T>(self, settings: T) -> Result<T, ConfigError> {
        if self.problems.is_empty() { Ok(settings) } else { Err(ConfigError(self.problems)) }
    }

    fn get(&self, name: &str) -> Option<String> {
        self.values.get(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("problems", &self.problems).finish_non_exhaustive()
    }
}

fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let seconds = |factor: u64| number.checked_mul(factor).map(Duration::from_secs);
    match &text[digits..] {
        "ms" => Some(Duration::from_millis(number)),
        "" | "s" => seconds(1),
        "m" => seconds(60),
        "h" => seconds(3600),
        "d" => seconds(86400),
        _ => None,
    }
}

fn is_weak(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    let mut distinct: Vec<char> = lower.chars().collect();
    distinct.sort_unstable();
    distinct.dedup();
    distinct.len() < 6 || WELL_KNOWN.iter().any(|known| lower.contains(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(values: &[(&str, &str)]) -> Reader {
        Reader::from_map(values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn every_bad_setting_is_named_and_no_value_is_shown() {
        let mut env = reader(&[
            ("APP_ENV", "production"),
            ("SHORT", "hunter2"),
            ("DEFAULT", "change-me-change-me-change-me-1234"),
            ("PORT", "x"),
        ]);
        env.secret("SHORT", 32);
        env.secret("DEFAULT", 32);
        env.secret("ABSENT", 32);
        env.parse::<u16>("PORT", 1);
        let message = env.finish(()).unwrap_err().to_string();
        for name in ["SHORT", "DEFAULT", "ABSENT", "PORT"] {
            assert!(message.contains(name), "{message}");
        }
        assert!(!message.contains("hunter2") && !message.contains('\n'));
    }

    #[test]
    fn development_accepts_default_secrets_but_no_short_ones() {
        let mut env =
            reader(&[("APP_ENV", "development"), ("A", "change-me-change-me-change-me-1234"), ("B", "short")]);
        env.secret("A", 32);
        env.secret("B", 32);
        assert_eq!(env.finish(()).unwrap_err().to_string(), "invalid settings: B is too short: 32 bytes at least");
    }

    #[test]
    fn production_is_the_default_and_misspelling_it_is_refused() {
        assert!(reader(&[]).environment().is_production());
        assert!(reader(&[("APP_ENV", "prodution")]).finish(()).is_err());
    }

    #[test]
    fn durations_have_units() {
        for (text, seconds) in [("15m", 900), ("168h", 604_800), ("60s", 60), ("60", 60), ("7d", 604_800)] {
            assert_eq!(parse_duration(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(parse_duration("1 week"), None);
    }

    #[test]
    fn a_secret_does_not_print() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "[redacted]");
    }

    #[test]
    fn a_weak_password_in_a_connection_url_is_refused_in_production() {
        let mut env = reader(&[("APP_ENV", "production"), ("DATABASE_URL", "postgres://auth:auth@db/grafikarsa")]);
        env.connection("DATABASE_URL");
        assert!(env.finish(()).is_err());
    }
}
