use std::{collections::HashMap, time::Instant};

use uuid::Uuid;

use crate::inbox::Failure;

/// More events than a consumer can have open at the server, so that only those are forgotten that another replica applied.
const KEPT: usize = 4096;
/// An event that loses against other transactions is tried so many times as often as one that fails by itself.
const CONFLICTS: i64 = 5;

/// How often each event has failed by itself here. What the server counts are deliveries: outages are among them, and
/// what a process gave back at its end. Kept in memory: in a new process an event has all its tries again.
#[derive(Debug, Default)]
pub(crate) struct Tries(HashMap<Uuid, Tried>);

/// How often one event was tried in vain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tried {
    failures: i64,
    conflicts: i64,
    last: Instant,
}

impl Tries {
    /// Counts a failure. An outage is none of the event's own.
    pub(crate) fn failed(&mut self, event: Uuid, failure: &Failure) -> Tried {
        if self.0.len() >= KEPT
            && !self.0.contains_key(&event)
            && let Some(oldest) = self.0.iter().min_by_key(|(_, tried)| tried.last).map(|(&event, _)| event)
        {
            self.0.remove(&oldest);
        }
        let now = Instant::now();
        let tried = self.0.entry(event).or_insert(Tried { failures: 0, conflicts: 0, last: now });
        tried.last = now;
        match failure {
            Failure::Outage(_) => {}
            Failure::Conflict(_) => tried.conflicts += 1,
            Failure::Event(_) => tried.failures += 1,
        }
        *tried
    }

    /// Forgets an event that was applied or given up.
    pub(crate) fn settled(&mut self, event: Uuid) {
        self.0.remove(&event);
    }
}

impl Tried {
    /// All tries so far.
    pub(crate) fn all(self) -> i64 {
        self.failures + self.conflicts
    }

    /// Whether an event that may fail `limit` times has done so.
    pub(crate) fn reach(self, limit: i64) -> bool {
        self.failures >= limit || self.conflicts >= limit.saturating_mul(CONFLICTS)
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn failures_count_conflicts_count_less_and_outages_not_at_all() {
        let mut tries = Tries::default();
        let mut after = |event: u128, failure: fn(anyhow::Error) -> Failure, times: usize| {
            let all = (0..times).map(|_| tries.failed(Uuid::from_u128(event), &failure(anyhow!("no"))));
            all.last().map(|tried| tried.reach(6))
        };
        assert_eq!(after(1, Failure::Event, 5), Some(false));
        assert_eq!(after(1, Failure::Event, 1), Some(true));
        assert_eq!(after(2, Failure::Conflict, 29), Some(false));
        assert_eq!(after(2, Failure::Conflict, 1), Some(true));
        assert_eq!(after(3, Failure::Outage, 1000), Some(false));
    }

    #[test]
    fn what_is_settled_begins_anew_and_the_oldest_are_forgotten() {
        let mut tries = Tries::default();
        let fail = |tries: &mut Tries, event: usize| {
            tries.failed(Uuid::from_u128(event as u128), &Failure::Event(anyhow!("no"))).all()
        };
        assert_eq!((fail(&mut tries, 0), fail(&mut tries, 0)), (1, 2));
        tries.settled(Uuid::from_u128(0));
        assert_eq!(fail(&mut tries, 0), 1);
        for event in 1..=KEPT {
            fail(&mut tries, event);
        }
        assert_eq!(tries.0.len(), KEPT);
        assert_eq!(fail(&mut tries, KEPT), 2);
        assert_eq!(fail(&mut tries, 0), 1, "it was the oldest");
    }
}
