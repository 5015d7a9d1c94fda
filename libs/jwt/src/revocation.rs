use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use async_nats::Client;
use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::Claims;

mod watcher;
mod writer;

pub use writer::RevocationWriter;

use watcher::Watcher;

/// One entry of the list. It names what is refused and until when it has to be remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// All tokens of a session, which has ended.
    Session {
        /// The session.
        session: Uuid,
        /// End of the life of the last token it refuses.
        expires_at: DateTime<Utc>,
    },
    /// A session that has ended and whose tokens run out by themselves: none is refused for it.
    Ended {
        /// The session.
        session: Uuid,
        /// End of the life of its last token.
        expires_at: DateTime<Utc>,
    },
    /// All tokens of an account that carry a lower epoch.
    Epoch {
        /// The account.
        user: Uuid,
        /// The lowest epoch still accepted.
        epoch: i64,
        /// The one session whose tokens stay good (a reset of one's own password).
        spared: Option<Uuid>,
        /// End of the life of the last token it refuses.
        expires_at: DateTime<Utc>,
    },
    /// Says of the [`Revocation::Epoch`] of the same account and epoch that sessions live on, and only need newer tokens
    /// (another role). It is an entry of its own, told before the other, because earlier releases know only the other.
    Kept {
        /// The account.
        user: Uuid,
        /// The epoch.
        epoch: i64,
        /// The one session that lives on; `None` for all.
        session: Option<Uuid>,
        /// As the other's.
        expires_at: DateTime<Utc>,
    },
}

/// What the list says about a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing.
    Good,
    /// It is refused, while its session lives on and has newer ones.
    Refused,
    /// It is refused, because its session has ended.
    Revoked,
    /// Its session has ended, and it runs out by itself.
    Ended,
}

impl Revocation {
    /// Key in the bucket. It holds the whole entry, so that no write can replace a higher epoch by a lower one.
    fn key(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Revocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session { session, expires_at } => write!(f, "session.{session}.{}", expires_at.timestamp()),
            Self::Epoch { user, epoch, spared, expires_at } => {
                write!(f, "epoch.{user}.{epoch}.{}.{}", spared.unwrap_or(Uuid::nil()), expires_at.timestamp())
            }
            Self::Ended { session, expires_at } => write!(f, "ended.{session}.{}", expires_at.timestamp()),
            Self::Kept { user, epoch, session, expires_at } => {
                write!(f, "kept.{user}.{epoch}.{}.{}", session.unwrap_or(Uuid::nil()), expires_at.timestamp())
            }
        }
    }
}

/// Reads a key of the bucket; `None` when it is no entry of the list.
fn parse(key: &str) -> Option<Revocation> {
    let time = |part: &str| part.parse().ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    let id = |part: &str| Uuid::parse_str(part).ok();
    let unless_nil = |part: &str| id(part).map(|id| Some(id).filter(|id| !id.is_nil()));
    match key.split('.').collect::<Vec<_>>()[..] {
        ["session", session, expires] => {
            Some(Revocation::Session { session: id(session)?, expires_at: time(expires)? })
        }
        ["epoch", user, epoch, spared, expires] => Some(Revocation::Epoch {
            user: id(user)?,
            epoch: epoch.parse().ok()?,
            spared: unless_nil(spared)?,
            expires_at: time(expires)?,
        }),
        ["ended", session, expires] => Some(Revocation::Ended { session: id(session)?, expires_at: time(expires)? }),
        ["kept", user, epoch, session, expires] => Some(Revocation::Kept {
            user: id(user)?,
            epoch: epoch.parse().ok()?,
            session: unless_nil(session)?,
            expires_at: time(expires)?,
        }),
        _ => None,
    }
}

#[derive(Default)]
struct Entries {
    sessions: HashMap<Uuid, DateTime<Utc>>,
    ended: HashMap<Uuid, DateTime<Utc>>,
    /// All that are not expired, for one that spares a session says nothing about what an earlier one refused.
    epochs: HashMap<Uuid, Vec<Raised>>,
    /// Which sessions live on, by account and epoch.
    kept: HashMap<(Uuid, i64), Kept>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Raised {
    epoch: i64,
    spared: Option<Uuid>,
    expires_at: DateTime<Utc>,
}

struct Kept {
    session: Option<Uuid>,
    expires_at: DateTime<Utc>,
}

impl Entries {
    /// Whether the session lives on although the account's epoch was raised.
    fn keeps(&self, user: Uuid, epoch: i64, session: Uuid) -> bool {
        self.kept.get(&(user, epoch)).is_some_and(|kept| kept.session.is_none_or(|kept| kept == session))
    }
}

#[derive(Default)]
struct Shared {
    entries: RwLock<Entries>,
    ready: watch::Sender<bool>,
}

/// The revoked sessions and epochs, in the memory of this replica.
///
/// Two ways lead in: a plain NATS message at the moment of the revocation, which is heard whenever there is a connection,
/// and a key-value bucket that holds every unexpired entry. The bucket is read again after each reconnect and whenever it
/// turns out to be another one than the one watched (its storage was lost and auth made it anew). Entries only ever
/// leave by their own expiry.
#[derive(Clone, Default)]
pub struct RevocationList(Arc<Shared>);

impl RevocationList {
    /// A list that nothing feeds, for tests and commands.
    pub fn in_memory() -> Self {
        Self::default()
    }

    /// A list fed by auth; the work goes on in the background until `shutdown`.
    pub fn watch(client: Client, namespace: &str, shutdown: CancellationToken) -> Self {
        let list = Self::default();
        let watcher = Watcher::new(list.clone(), client, namespace);
        tokio::spawn(async move { shutdown.run_until_cancelled(watcher.run()).await });
        list
    }

    /// True after the first full read; a replica that has not seen the list must not serve.
    pub fn is_ready(&self) -> bool {
        *self.0.ready.borrow()
    }

    /// Waits for the first full read: for ever, while nobody has made the bucket.
    pub fn ready(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        let list = self.clone();
        async move {
            // Fails only without a list, and there is one.
            drop(list.0.ready.subscribe().wait_for(|ready| *ready).await);
        }
    }

    /// Whether the list refuses a token with these claims.
    pub fn refuses(&self, claims: &Claims) -> bool {
        matches!(self.standing(claims.sub, claims.sid, claims.epoch), Standing::Refused | Standing::Revoked)
    }

    /// What the list says about a token of `user` in `session` that carries `epoch`.
    pub fn standing(&self, user: Uuid, session: Uuid, epoch: i64) -> Standing {
        let entries = self.0.entries.read().unwrap_or_else(PoisonError::into_inner);
        if entries.sessions.contains_key(&session) {
            return Standing::Revoked;
        }
        let mut standing = if entries.ended.contains_key(&session) { Standing::Ended } else { Standing::Good };
        for raised in entries.epochs.get(&user).into_iter().flatten() {
            if epoch < raised.epoch && raised.spared != Some(session) {
                if standing == Standing::Ended || !entries.keeps(user, raised.epoch, session) {
                    return Standing::Revoked;
                }
                standing = Standing::Refused;
            }
        }
        standing
    }

    /// Adds an entry. The order in which entries come does not matter.
    pub fn apply(&self, revocation: Revocation) {
        let mut entries = self.0.entries.write().unwrap_or_else(PoisonError::into_inner);
        match revocation {
            Revocation::Session { session, expires_at } => {
                entries.sessions.insert(session, expires_at);
            }
            Revocation::Ended { session, expires_at } => {
                entries.ended.insert(session, expires_at);
            }
            Revocation::Kept { user, epoch, session, expires_at } => {
                entries.kept.insert((user, epoch), Kept { session, expires_at });
            }
            Revocation::Epoch { user, epoch, spared, expires_at } => {
                let keeps = entries.kept.contains_key(&(user, epoch));
                let raised = entries.epochs.entry(user).or_default();
                // One that spares nobody and ends all sessions says all that the lower ones say, as long as it lives.
                if spared.is_none() && !keeps {
                    raised.retain(|other| other.epoch > epoch || other.expires_at > expires_at);
                }
                let new = Raised { epoch, spared, expires_at };
                if !raised.contains(&new) {
                    raised.push(new);
                }
            }
        }
    }

    fn forget_expired(&self, now: DateTime<Utc>) {
        let mut entries = self.0.entries.write().unwrap_or_else(PoisonError::into_inner);
        entries.sessions.retain(|_, expires_at| *expires_at > now);
        entries.ended.retain(|_, expires_at| *expires_at > now);
        entries.kept.retain(|_, kept| kept.expires_at > now);
        entries.epochs.retain(|_, raised| {
            raised.retain(|raised| raised.expires_at > now);
            !raised.is_empty()
        });
    }

    fn apply_text(&self, text: &str) {
        match parse(text) {
            Some(revocation) => self.apply(revocation),
            None => tracing::warn!("an entry of the revocation list is unreadable"),
        }
    }
}

fn bucket(namespace: &str) -> String {
    format!("{namespace}_revocations")
}

fn subject(namespace: &str) -> String {
    format!("{namespace}.revoked")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn entries_survive_the_way_through_a_key() {
        let expires_at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        for revocation in [
            Revocation::Session { session: Uuid::new_v4(), expires_at },
            Revocation::Epoch { user: Uuid::new_v4(), epoch: 7, spared: None, expires_at },
            Revocation::Epoch { user: Uuid::new_v4(), epoch: 7, spared: Some(Uuid::new_v4()), expires_at },
            Revocation::Ended { session: Uuid::new_v4(), expires_at },
            Revocation::Kept { user: Uuid::new_v4(), epoch: 7, session: None, expires_at },
            Revocation::Kept { user: Uuid::new_v4(), epoch: 7, session: Some(Uuid::new_v4()), expires_at },
        ] {
            assert_eq!(parse(&revocation.key()), Some(revocation));
        }
        assert_eq!(parse("session.nonsense.1"), None);
    }

    fn claims(sub: Uuid, sid: Uuid, epoch: i64) -> Claims {
        Claims {
            iss: String::new(),
            aud: String::new(),
            sub,
            role: crate::Role::Student,
            jti: String::new(),
            sid,
            epoch,
            iat: 0,
            exp: 0,
        }
    }

    #[test]
    fn a_lower_epoch_never_replaces_a_higher_one() {
        let list = RevocationList::in_memory();
        let (user, session, now) = (Uuid::new_v4(), Uuid::new_v4(), Utc::now());
        for epoch in [5, 3] {
            list.apply(Revocation::Epoch { user, epoch, spared: None, expires_at: now });
        }
        assert!(list.refuses(&claims(user, session, 4)));
        assert!(!list.refuses(&claims(user, session, 5)));
        assert!(!list.refuses(&claims(Uuid::new_v4(), session, 4)));
    }

    #[test]
    fn a_spared_session_is_spared_by_that_event_alone_in_whatever_order_they_come() {
        let (user, spared, now) = (Uuid::new_v4(), Uuid::new_v4(), Utc::now());
        let role_changed = Revocation::Epoch { user, epoch: 1, spared: None, expires_at: now };
        let password_reset = Revocation::Epoch { user, epoch: 2, spared: Some(spared), expires_at: now };
        for order in [[role_changed, password_reset], [password_reset, role_changed]] {
            let list = RevocationList::in_memory();
            for revocation in order {
                list.apply(revocation);
            }
            assert!(list.refuses(&claims(user, spared, 0)), "issued before the role changed");
            assert!(!list.refuses(&claims(user, spared, 1)), "issued between the two");
            assert!(list.refuses(&claims(user, Uuid::new_v4(), 1)));
            assert!(!list.refuses(&claims(user, Uuid::new_v4(), 2)));
        }
    }

    #[test]
    fn a_token_whose_session_lives_on_stands_otherwise_than_one_whose_session_has_ended() {
        let (user, own, other, now) = (Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4(), Utc::now());
        let standings = |revocations: &[Revocation]| {
            let list = RevocationList::in_memory();
            for revocation in revocations {
                list.apply(*revocation);
            }
            [own, other].map(|session| list.standing(user, session, 0))
        };
        let raised = |epoch, spared| Revocation::Epoch { user, epoch, spared, expires_at: now };
        let kept = |epoch, session| Revocation::Kept { user, epoch, session, expires_at: now };
        let ended = Revocation::Ended { session: own, expires_at: now };
        use Standing::{Ended, Good, Refused, Revoked};
        for (what, revocations, expected) in [
            ("nothing", vec![], [Good, Good]),
            ("another role", vec![kept(1, None), raised(1, None)], [Refused, Refused]),
            ("… read in another order", vec![raised(1, None), kept(1, None)], [Refused, Refused]),
            ("a deactivation", vec![raised(1, None)], [Revoked, Revoked]),
            ("a password change", vec![raised(1, Some(own))], [Good, Revoked]),
            ("a password and a role", vec![kept(1, Some(own)), raised(1, None)], [Refused, Revoked]),
            ("a role, then everything", vec![kept(1, None), raised(1, None), raised(2, None)], [Revoked, Revoked]),
            ("everything, then a role", vec![raised(1, None), kept(2, None), raised(2, None)], [Revoked, Revoked]),
            ("a login with the old cookie", vec![ended], [Ended, Good]),
            ("… and a role", vec![kept(1, None), raised(1, None), ended], [Revoked, Refused]),
            ("a logout", vec![ended, Revocation::Session { session: own, expires_at: now }], [Revoked, Good]),
        ] {
            assert_eq!(standings(&revocations), expected, "{what}");
        }
    }

    #[test]
    fn entries_leave_by_their_own_expiry_alone() {
        let list = RevocationList::in_memory();
        let now = Utc::now();
        let (old, young) = (Uuid::new_v4(), Uuid::new_v4());
        list.apply(Revocation::Session { session: old, expires_at: now });
        list.apply(Revocation::Session { session: young, expires_at: now + Duration::from_secs(1) });
        list.forget_expired(now);
        let entries = list.0.entries.read().unwrap();
        assert!(!entries.sessions.contains_key(&old) && entries.sessions.contains_key(&young));
    }
}
