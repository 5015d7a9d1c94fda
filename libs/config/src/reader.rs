use std::{collections::HashMap, fmt, str::FromStr, time::Duration};

use percent_encoding::percent_decode_str;
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

/// What servers are shipped with, and names that lie at hand: a secret made of nothing else is none.
const GUESSED_FIRST: [&str; 29] = [
    "access",
    "admin",
    "administrator",
    "auth",
    "database",
    "default",
    "development",
    "garage",
    "grafikarsa",
    "guest",
    "internal",
    "jwt",
    "key",
    "letmein",
    "media",
    "minio",
    "nats",
    "portfolio",
    "postgres",
    "postgresql",
    "production",
    "qwerty",
    "rahasia",
    "root",
    "seaweedfs",
    "secret",
    "test",
    "token",
    "user",
];

/// Passwords in addresses are at least this long in production.
const PASSWORD_BYTES: usize = 12;

impl Reader {
    /// Reads `.env` of the working directory or one of its parents, then the process environment, which wins.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub fn from_process() -> Self {
        let file = match dotenvy::dotenv_iter() {
            Ok(lines) => lines_of(lines),
            Err(error) if error.not_found() => (HashMap::new(), Vec::new()),
            Err(error) => lines_of(std::iter::once(Err(error))),
        };
        let (mut values, problems) = file;
        values.extend(
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
        );
        let mut reader = Self::from_map(values);
        reader.problems.splice(0..0, problems);
        reader
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

    /// The address of a server with a user and a password, such as PostgreSQL's or NATS'. In production the password
    /// must be there, have 12 bytes and be no well-known one.
    pub fn connection(&mut self, name: &str) -> Secret {
        let Some(value) = self.get(name) else {
            self.problem(name, "is missing");
            return Secret::new("");
        };
        match Url::parse(&value) {
            Err(_) => self.problem(name, "must be a connection URL"),
            Ok(url) if self.environment.is_production() => match password(&url) {
                None => self.problem(name, "carries no password"),
                Some(password) if password.len() < PASSWORD_BYTES || is_weak(&password) => {
                    self.problem(name, "carries a short or default password");
                }
                Some(_) => {}
            },
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

/// Settings of a `.env` file, and one problem for each line that is none.
fn lines_of(
    lines: impl Iterator<Item = Result<(String, String), dotenvy::Error>>,
) -> (HashMap<String, String>, Vec<String>) {
    let (mut values, mut problems) = (HashMap::new(), Vec::new());
    let mut place = "at its beginning".to_owned();
    for line in lines {
        match line {
            Ok((name, value)) => {
                place = format!("after {name}");
                values.insert(name, value);
            }
            // The error holds the line, or only the value in it, which may be a secret: where it stands must do.
            Err(dotenvy::Error::LineParse(..)) => problems.push(format!(".env has a line that cannot be read {place}")),
            Err(_) => {
                problems.push(".env cannot be read".to_owned());
                break;
            }
        }
    }
    (values, problems)
}

/// The password of an address, as the server will see it.
fn password(url: &Url) -> Option<String> {
    let in_front = url.password().map(|password| percent_decode_str(password).decode_utf8_lossy().into_owned());
    // PostgreSQL's may stand among the parameters.
    let parameter =
        || url.query_pairs().find(|(name, _)| name == "password").map(|(_, password)| password.into_owned());
    in_front.or_else(parameter).filter(|password| !password.is_empty())
}

fn is_weak(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    let mut distinct: Vec<char> = lower.chars().collect();
    distinct.sort_unstable();
    distinct.dedup();
    distinct.len() < 6 || WELL_KNOWN.iter().any(|known| lower.contains(known)) || is_guessed(&lower)
}

/// True for words such as `minioadmin`, `postgres-2026` and `secret_key`: well-known ones strung together, with nothing
/// but digits and signs between them.
fn is_guessed(lower: &str) -> bool {
    let letters: String = lower.chars().filter(|c| c.is_alphabetic()).collect();
    !letters.is_empty() && is_strung_together(&letters)
}

fn is_strung_together(letters: &str) -> bool {
    letters.is_empty() || GUESSED_FIRST.iter().any(|word| letters.strip_prefix(word).is_some_and(is_strung_together))
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
    fn well_known_words_are_no_secret_in_production() {
        for value in [
            "minioadmin",
            "MinioAdmin",
            "minioadmin123",
            "postgres",
            "secret",
            "changeme",
            "change-me",
            "password",
            "P@ssword2026 password",
            "admin",
            "admin-admin-admin-admin-admin-admin",
            "jwt_access_secret_key_2026_grafikarsa",
            "rahasia",
        ] {
            assert!(is_weak(value), "{value}");
            let mut env = reader(&[("APP_ENV", "production"), ("KEY", value)]);
            env.secret("KEY", 1);
            assert!(env.finish(()).unwrap_err().to_string().starts_with("invalid settings: KEY is"), "{value}");
        }
        for value in ["b91c7a30f5d24e6895c1d07fe3a2846b", "kelinci-terbang-7", "x7Rq2mVw9LtB", "48316207955128643079"] {
            assert!(!is_weak(value), "{value}");
        }
    }

    #[test]
    fn an_address_without_a_good_password_is_refused_in_production_alone() {
        for address in [
            "postgres://auth:auth@db/grafikarsa",
            "postgres://auth@db/grafikarsa",
            "postgres://auth:@db/grafikarsa",
            "postgres://db/grafikarsa?password=",
            "postgres://auth:PASSWORD@db/grafikarsa",
            // Short, though its escapes are not.
            "postgres://auth:%61%62%63%64%65%66%67@db/grafikarsa",
            "nats://nats:4222",
            "nats://a-token@nats:4222",
            "nats://auth:nats@nats:4222",
        ] {
            for (environment, refused) in [("production", true), ("development", false)] {
                let mut env = reader(&[("APP_ENV", environment), ("ADDRESS", address)]);
                env.connection("ADDRESS");
                assert_eq!(env.finish(()).is_err(), refused, "{address} in {environment}");
            }
        }
        for address in [
            "postgres://auth:x7Rq2mVw9LtB@db/grafikarsa",
            "postgres://db/grafikarsa?user=auth&password=x7Rq2mVw9LtB",
            "nats://auth:x7Rq2mVw9LtB@nats:4222",
        ] {
            let mut env = reader(&[("APP_ENV", "production"), ("ADDRESS", address)]);
            env.connection("ADDRESS");
            assert_eq!(env.finish(()), Ok(()), "{address}");
        }
    }

    #[test]
    fn lines_of_an_env_file_that_cannot_be_read_are_reported_and_not_shown() {
        let text =
            "=hunter1\nGOOD=1\n# a comment\n\nexport ALSO='two words'\nBAD=hunter2=3 hunter4\nLAST=2\nOPEN=\"hunter5\n";
        let (values, problems) = lines_of(dotenvy::from_read_iter(text.as_bytes()));
        let mut names: Vec<&str> = values.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["ALSO", "GOOD", "LAST"]);
        let expected = ["at its beginning", "after ALSO", "after LAST"]
            .map(|at| format!(".env has a line that cannot be read {at}"));
        assert_eq!(problems, expected);
    }
}
