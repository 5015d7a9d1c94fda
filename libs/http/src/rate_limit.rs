use std::{net::IpAddr, num::NonZeroU32, time::Duration};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock as _, clock::DefaultClock};
use uuid::Uuid;

use crate::{ClientIp, HttpSettings, extract::Identity};

/// A school sits behind one address: its guests share ten times a user's allowance.
const GUESTS_PER_USER: u32 = 10;

/// The general limit: per signed-in user, and per address for guests. Counted in this replica's memory.
pub(crate) struct GeneralLimit {
    users: DefaultKeyedRateLimiter<Uuid>,
    addresses: DefaultKeyedRateLimiter<IpAddr>,
    clock: DefaultClock,
}

impl GeneralLimit {
    pub(crate) fn new(settings: &HttpSettings) -> Self {
        let quota = |requests: u32| {
            let requests = NonZeroU32::new(requests).unwrap_or(NonZeroU32::MIN);
            Quota::with_period(settings.rate_limit_duration / requests.get())
                .unwrap_or(Quota::per_minute(requests))
                .allow_burst(requests)
        };
        Self {
            users: RateLimiter::keyed(quota(settings.rate_limit_requests)),
            addresses: RateLimiter::keyed(quota(settings.rate_limit_requests.saturating_mul(GUESTS_PER_USER))),
            clock: DefaultClock::default(),
        }
    }

    /// Counts a request; `Err` holds the seconds to wait, rounded up.
    pub(crate) fn check(&self, identity: &Identity, address: ClientIp) -> Result<(), u64> {
        let checked = match identity {
            Identity::User(user) => self.users.check_key(&user.id),
            _ => self.addresses.check_key(&address.0),
        };
        checked.map_err(|refused| {
            let wait: Duration = refused.wait_time_from(self.clock.now());
            wait.as_secs() + 1
        })
    }

    /// Forgets who has been quiet, so that memory follows the number of people, not of requests.
    pub(crate) fn forget_quiet(&self) {
        self.users.retain_recent();
        self.addresses.retain_recent();
    }
}

#[cfg(test)]
mod tests {
    use grafikarsa_config::Reader;

    use super::*;

    #[test]
    fn guests_of_one_address_share_ten_times_a_users_allowance() {
        let mut env = Reader::from_map([("RATE_LIMIT_REQUESTS".to_owned(), "3".to_owned())]);
        let limit = GeneralLimit::new(&HttpSettings::read(&mut env, 1, 2));
        let address = ClientIp([192, 0, 2, 1].into());
        let passed = (0..100).filter(|_| limit.check(&Identity::Guest, address).is_ok()).count();
        assert_eq!(passed, 30);
        assert!(limit.check(&Identity::Guest, address).unwrap_err() >= 1);
        assert!(limit.check(&Identity::Guest, ClientIp([192, 0, 2, 2].into())).is_ok());
    }
}
