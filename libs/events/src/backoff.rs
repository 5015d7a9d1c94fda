use std::time::{Duration, Instant};

/// Pauses between attempts of a background task: short after the first failure, longer after each further one.
#[derive(Debug)]
pub(crate) struct Backoff {
    failures: u32,
    started: Instant,
}

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);
/// Who worked that long before failing starts over with short pauses.
const HEALTHY: Duration = Duration::from_secs(10);

impl Backoff {
    pub(crate) fn new() -> Self {
        Self { failures: 0, started: Instant::now() }
    }

    /// Notes the beginning of an attempt.
    pub(crate) fn started(&mut self) {
        self.started = Instant::now();
    }

    /// The pause after the attempt has failed, with jitter so that replicas do not come back in step.
    pub(crate) fn failed(&mut self) -> Duration {
        if self.started.elapsed() >= HEALTHY {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        doubled(FIRST, self.failures - 1).min(LONGEST).mul_f64(rand::random_range(0.5..1.0))
    }
}

/// `first` doubled `times` times, saturating.
pub(crate) fn doubled(first: Duration, times: u32) -> Duration {
    first.saturating_mul(2_u32.saturating_pow(times))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit() {
        let mut backoff = Backoff::new();
        let pauses: Vec<_> = (0..40).map(|_| backoff.failed()).collect();
        assert!(pauses[0] <= FIRST && pauses[0] >= FIRST / 2);
        assert!(pauses[39] <= LONGEST && pauses[39] >= LONGEST / 2);
    }
}
