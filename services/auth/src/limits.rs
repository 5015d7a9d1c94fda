//! What is counted, by whom and how often it may happen.

use std::net::IpAddr;

use grafikarsa_config::Reader;
use grafikarsa_http::{Counter, Limit};
use uuid::Uuid;

/// The limits of this service.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    failed_identifier: Limit,
    failed_account: Limit,
    failed_address: Limit,
    login_requests: Limit,
    refresh_session: Limit,
    refresh_unknown: Limit,
    wrong_passwords: Limit,
    check_username: Limit,
}

impl Limits {
    /// Reads `LIMIT_FAILED_LOGINS_IDENTIFIER`, `…_ACCOUNT`, `…_ADDRESS`, `LIMIT_LOGINS_ADDRESS`,
    /// `LIMIT_REFRESHES_SESSION`, `LIMIT_REFRESHES_ADDRESS`, `LIMIT_WRONG_PASSWORDS` and `LIMIT_CHECK_USERNAME`.
    pub(crate) fn read(env: &mut Reader) -> Self {
        Self {
            failed_identifier: Limit::read(env, "LIMIT_FAILED_LOGINS_IDENTIFIER", Limit::new(5, 60)),
            failed_account: Limit::read(env, "LIMIT_FAILED_LOGINS_ACCOUNT", Limit::new(20, 15 * 60)),
            failed_address: Limit::read(env, "LIMIT_FAILED_LOGINS_ADDRESS", Limit::new(1000, 15 * 60)),
            login_requests: Limit::read(env, "LIMIT_LOGINS_ADDRESS", Limit::new(600, 60)),
            refresh_session: Limit::read(env, "LIMIT_REFRESHES_SESSION", Limit::new(20, 60)),
            refresh_unknown: Limit::read(env, "LIMIT_REFRESHES_ADDRESS", Limit::new(300, 60)),
            wrong_passwords: Limit::read(env, "LIMIT_WRONG_PASSWORDS", Limit::new(5, 15 * 60)),
            check_username: Limit::read(env, "LIMIT_CHECK_USERNAME", Limit::new(60, 60)),
        }
    }

    /// Failed logins of an identifier (in lower case) from an address.
    pub(crate) fn failed_identifier(&self, identifier: &str, address: IpAddr) -> Counter {
        Counter::new("failed_identifier", self.failed_identifier, format!("{identifier} {address}"))
    }

    /// Failed logins of an account from addresses it has not logged in from. Whoever is unknown is counted by the
    /// identifier, so that the answers do not tell who exists.
    pub(crate) fn failed_account(&self, account: Option<Uuid>, identifier: &str) -> Counter {
        let key = account.map_or_else(|| identifier.to_owned(), |id| id.to_string());
        Counter::new("failed_account", self.failed_account, key)
    }

    /// Failed logins from an address, behind which a whole school may sit.
    pub(crate) fn failed_address(&self, address: IpAddr) -> Counter {
        Counter::new("failed_address", self.failed_address, address)
    }

    /// Login requests from an address.
    pub(crate) fn login_requests(&self, address: IpAddr) -> Counter {
        Counter::new("login_requests", self.login_requests, address)
    }

    /// Refreshes of a session.
    pub(crate) fn refresh_session(&self, session: Uuid) -> Counter {
        Counter::new("refresh_session", self.refresh_session, session)
    }

    /// Refreshes without a token that we know, from an address.
    pub(crate) fn refresh_unknown(&self, address: IpAddr) -> Counter {
        Counter::new("refresh_unknown", self.refresh_unknown, address)
    }

    /// Wrong current passwords of an account that wants another.
    pub(crate) fn wrong_passwords(&self, account: Uuid) -> Counter {
        Counter::new("wrong_passwords", self.wrong_passwords, account)
    }

    /// Questions of an account whether a user name is free.
    pub(crate) fn check_username(&self, account: Uuid) -> Counter {
        Counter::new("check_username", self.check_username, account)
    }
}

/// The answer stands already: a counter that stays too high by one must not change it.
pub(crate) fn noted(result: Result<(), sqlx::Error>) {
    if let Err(error) = result {
        tracing::warn!(%error, "a counter was not lowered");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_contracts() {
        let limits = Limits::read(&mut Reader::from_map([]));
        assert_eq!(limits.failed_identifier, Limit::new(5, 60));
        assert_eq!(limits.failed_account, Limit::new(20, 900));
        assert_eq!(limits.failed_address, Limit::new(1000, 900));
        assert_eq!(limits.login_requests, Limit::new(600, 60));
        assert_eq!(limits.refresh_session, Limit::new(20, 60));
        assert_eq!(limits.refresh_unknown, Limit::new(300, 60));
        assert_eq!(limits.wrong_passwords, Limit::new(5, 900));
        assert_eq!(limits.check_username, Limit::new(60, 60));
    }
}
