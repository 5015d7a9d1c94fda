use std::time::Duration;

use grafikarsa_config::Reader;

/// How sockets are kept. The contract's numbers are the defaults.
#[derive(Clone, Debug)]
pub struct RealtimeSettings {
    /// Open sockets of one replica; more are refused with 503.
    pub max_sockets: usize,
    /// How often the server asks for a sign of life.
    pub ping_interval: Duration,
    /// A socket from which nothing has come for this long is closed.
    pub silence_limit: Duration,
    /// A replica that has not renewed its lease for this long is gone, with its sockets.
    pub lease: Duration,
    /// Who has closed his last socket is offline after this time.
    pub linger: Duration,
}

impl RealtimeSettings {
    /// Reads `WS_MAX_SOCKETS`, `WS_PING_INTERVAL`, `WS_SILENCE_LIMIT`, `PRESENCE_LEASE` and `PRESENCE_LINGER`.
    pub fn read(env: &mut Reader) -> Self {
        let settings = Self {
            max_sockets: env.parse("WS_MAX_SOCKETS", 5000),
            ping_interval: env.duration("WS_PING_INTERVAL", Duration::from_secs(30)),
            silence_limit: env.duration("WS_SILENCE_LIMIT", Duration::from_secs(75)),
            lease: env.duration("PRESENCE_LEASE", Duration::from_secs(90)),
            linger: env.duration("PRESENCE_LINGER", Duration::from_secs(10)),
        };
        if settings.max_sockets == 0 || u32::try_from(settings.max_sockets).is_err() {
            env.problem("WS_MAX_SOCKETS", "must be between 1 and 4294967295");
        }
        if settings.ping_interval.is_zero() || settings.silence_limit <= settings.ping_interval {
            env.problem("WS_SILENCE_LIMIT", "must be longer than WS_PING_INTERVAL, which must be above zero");
        }
        if settings.lease < Duration::from_secs(1) {
            env.problem("PRESENCE_LEASE", "must be a second at least");
        }
        settings
    }

    /// Often enough that two failures in a row do not end the lease.
    pub fn renewal(&self) -> Duration {
        self.lease / 6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_documentation() {
        let mut env = Reader::from_map(std::collections::BTreeMap::new());
        let settings = RealtimeSettings::read(&mut env);
        assert_eq!(
            [settings.ping_interval, settings.silence_limit, settings.lease, settings.linger],
            [30, 75, 90, 10].map(Duration::from_secs)
        );
    }
}
