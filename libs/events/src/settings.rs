use std::time::Duration;

use grafikarsa_config::{Reader, Secret};

/// How the bus is reached and how much it keeps.
#[derive(Clone, Debug)]
pub struct EventsSettings {
    /// Address of one NATS server, with user and password if it asks for them.
    pub url: Secret,
    /// First part of every stream, subject, bucket and consumer name. Each test has its own.
    pub namespace: String,
    /// Bytes that the stream of one publisher may hold; the oldest events leave first. `None`: no limit.
    pub max_bytes: Option<i64>,
    /// Copies of each stream in a NATS cluster: 1, 3 or 5.
    pub replicas: usize,
    /// How long [`crate::Bus::connect`] tries before it gives up.
    pub connect_timeout: Duration,
}

/// Half a million events of usual size.
const MAX_BYTES: i64 = 256 * 1024 * 1024;

impl EventsSettings {
    /// Reads `NATS_URL`, `EVENTS_NAMESPACE`, `EVENTS_MAX_BYTES` (0: no limit) and `EVENTS_REPLICAS`.
    pub fn read(env: &mut Reader) -> Self {
        let namespace = env.string("EVENTS_NAMESPACE", "grafikarsa");
        if !is_namespace(&namespace) {
            env.problem("EVENTS_NAMESPACE", "may hold letters, digits, - and _ only");
        }
        let max_bytes = env.parse("EVENTS_MAX_BYTES", MAX_BYTES);
        if max_bytes < 0 {
            env.problem("EVENTS_MAX_BYTES", "must not be negative");
        }
        let replicas = env.parse("EVENTS_REPLICAS", 1);
        if !matches!(replicas, 1 | 3 | 5) {
            env.problem("EVENTS_REPLICAS", "must be 1, 3 or 5");
        }
        Self {
            url: env.connection("NATS_URL"),
            namespace,
            max_bytes: (max_bytes > 0).then_some(max_bytes),
            replicas,
            connect_timeout: Duration::from_secs(10),
        }
    }
}

/// It becomes part of subjects, stream names and file names.
fn is_namespace(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[(&str, &str)]) -> Result<EventsSettings, String> {
        let mut env = Reader::from_map(values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let settings = EventsSettings::read(&mut env);
        env.finish(settings).map_err(|error| error.to_string())
    }

    #[test]
    fn the_address_is_all_that_must_be_set() {
        let settings = read(&[("NATS_URL", "nats://auth:x7Rq2mVw9LtB@localhost:4222")]).expect("valid");
        assert_eq!(
            (settings.namespace.as_str(), settings.max_bytes, settings.replicas),
            ("grafikarsa", Some(MAX_BYTES), 1)
        );
        assert!(read(&[]).unwrap_err().contains("NATS_URL"));
    }

    #[test]
    fn a_namespace_that_would_split_subjects_is_refused() {
        for namespace in ["a.b", "a b", "*", "a>"] {
            let error =
                read(&[("NATS_URL", "nats://auth:x7Rq2mVw9LtB@localhost:4222"), ("EVENTS_NAMESPACE", namespace)])
                    .unwrap_err();
            assert!(error.contains("EVENTS_NAMESPACE"), "{error}");
        }
    }
}
