//! Hashing and verifying passwords, on as many threads as there are cores.

use std::{num::NonZero, sync::Arc, thread::available_parallelism};

use anyhow::Context as _;
use argon2::{
    Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version, password_hash::phc::PasswordHash,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use grafikarsa_http::{ApiError, ApiResult};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Memory of one hash, in KiB.
const MEMORY: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Longer ones are not even verified.
pub(crate) const MAX_CHARS: usize = 1024;
/// How many may wait for a core, some seconds' worth. More would wait longer than a browser does.
const QUEUE: usize = 256;

/// What is verified when there is no account: random bytes in the form of a hash, of which nobody knows a password.
const DUMMY: &str = "$argon2id$v=19$m=19456,t=2,p=1$vO+d+yi4bZH5qfj+V4LEng$NP/+GWStav6Ta3yCS20pY3z1lvTOVMkCrcPOplVqVHo";

/// The pool. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Passwords {
    places: Arc<Semaphore>,
    cores: Arc<Semaphore>,
    /// One batch at a time, however many are asked for.
    batch: Arc<Semaphore>,
    at_once: usize,
}

/// What a verification found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Wrong,
    Right,
    /// Right, and here is a hash of today's kind to replace the old one.
    RightUpgraded(String),
}

impl Passwords {
    pub(crate) fn new() -> Self {
        let cores = available_parallelism().map_or(1, NonZero::get);
        Self {
            places: Arc::new(Semaphore::new(cores + QUEUE)),
            cores: Arc::new(Semaphore::new(cores)),
            batch: Arc::new(Semaphore::new(1)),
            at_once: cores,
        }
    }

    /// Hashes a new password.
    pub(crate) async fn hash(&self, password: SecretString) -> ApiResult<String> {
        let core = self.core().await?;
        run(core, move || hash(password.expose_secret())).await
    }

    /// Hashes a whole batch, in its order. Each of its passwords waits for a core like everybody else, behind whoever
    /// came before: a login in the meantime waits for one hash, not for the batch. Takes no place in the queue.
    pub(crate) async fn hash_all(&self, passwords: Vec<SecretString>) -> ApiResult<Vec<String>> {
        let _batch = self.batch.acquire().await.map_err(ApiError::internal)?;
        stream::iter(passwords)
            .map(async |password| {
                let core = self.cores.clone().acquire_owned().await.map_err(ApiError::internal)?;
                run(Core { _place: None, _core: core }, move || hash(password.expose_secret())).await
            })
            .buffered(self.at_once)
            .try_collect()
            .await
    }

    /// Checks `password` against a stored hash; without one the same work is done, and the answer is no.
    pub(crate) async fn verify(&self, password: SecretString, stored: Option<String>) -> ApiResult<Verdict> {
        let core = self.core().await?;
        run(core, move || match stored {
            Some(stored) => verify(password.expose_secret(), &stored),
            None => verify(password.expose_secret(), DUMMY).map(|_| Verdict::Wrong),
        })
        .await
    }

    /// A place in the queue, then a core; 503 when the queue is full.
    async fn core(&self) -> ApiResult<Core> {
        let place = self.places.clone().try_acquire_owned().map_err(|_| ApiError::unavailable())?;
        let core = self.cores.clone().acquire_owned().await.map_err(ApiError::internal)?;
        Ok(Core { _place: Some(place), _core: core })
    }
}

/// Held by the thread that works, so that a client that went away does not free the core early.
struct Core {
    _place: Option<OwnedSemaphorePermit>,
    _core: OwnedSemaphorePermit,
}

async fn run<T: Send + 'static>(core: Core, work: impl FnOnce() -> anyhow::Result<T> + Send + 'static) -> ApiResult<T> {
    let done = tokio::task::spawn_blocking(move || {
        let _core = core;
        work()
    });
    Ok(done.await.map_err(ApiError::internal)??)
}

fn argon2id() -> anyhow::Result<Argon2<'static>> {
    let params = Params::new(MEMORY, PASSES, LANES, None).map_err(|error| anyhow::anyhow!("argon2id: {error}"))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash(password: &str) -> anyhow::Result<String> {
    let salt: [u8; 16] = rand::random();
    let hash: PasswordHash = argon2id()?
        .hash_password_with_salt(password.as_bytes(), &salt)
        .map_err(|error| anyhow::anyhow!("a password was not hashed: {error}"))?;
    Ok(hash.to_string())
}

fn verify(password: &str, stored: &str) -> anyhow::Result<Verdict> {
    if stored.starts_with("$2") {
        // Errors are passwords that bcrypt cannot take, such as those with NUL.
        return match bcrypt::verify(password, stored) {
            Ok(true) => hash(password).map(Verdict::RightUpgraded).context("the upgrade failed"),
            Ok(false) | Err(_) => Ok(Verdict::Wrong),
        };
    }
    let right = argon2id()?.verify_password(password.as_bytes(), stored).is_ok();
    Ok(if right { Verdict::Right } else { Verdict::Wrong })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_argon2id_of_19_mib_and_2_passes() {
        let stored = hash("rahasia-sekali").unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert_eq!(verify("rahasia-sekali", &stored).unwrap(), Verdict::Right);
        assert_eq!(verify("rahasia-sekalo", &stored).unwrap(), Verdict::Wrong);
        assert_ne!(hash("rahasia-sekali").unwrap(), stored);
    }

    #[test]
    fn hashes_of_the_old_system_are_verified_and_upgraded() {
        let stored = bcrypt::hash_with_salt("rahasia-sekali", 4, [7; 16]).unwrap();
        for version in [bcrypt::Version::TwoA, bcrypt::Version::TwoB] {
            let stored = stored.format_for_version(version);
            let Verdict::RightUpgraded(new) = verify("rahasia-sekali", &stored).unwrap() else { panic!("{stored}") };
            assert_eq!(verify("rahasia-sekali", &new).unwrap(), Verdict::Right);
            assert_eq!(verify("rahasia", &stored).unwrap(), Verdict::Wrong);
        }
    }

    #[tokio::test]
    async fn an_unknown_user_costs_a_verification_and_is_refused() {
        let (dummy, real) = (PasswordHash::new(DUMMY).unwrap(), PasswordHash::new(&hash("x").unwrap()).unwrap());
        assert_eq!((dummy.algorithm, dummy.version, &dummy.params), (real.algorithm, real.version, &real.params));
        assert_eq!(Passwords::new().verify("x".into(), None).await.unwrap(), Verdict::Wrong);
    }

    #[tokio::test]
    async fn a_batch_keeps_its_order_and_lets_a_login_through() {
        let passwords = Passwords::new();
        let many = passwords.hash_all((0..100).map(|number| format!("rahasia-{number}").into()).collect());
        tokio::pin!(many);
        let hashes = tokio::select! {
            biased;
            // Begins first, and is far from its end.
            hashes = &mut many => panic!("{} hashes before one login", hashes.unwrap().len()),
            verdict = passwords.verify("x".into(), None) => {
                assert_eq!(verdict.unwrap(), Verdict::Wrong);
                many.await.unwrap()
            }
        };
        assert_eq!(hashes.len(), 100);
        for number in [0, 99] {
            assert_eq!(verify(&format!("rahasia-{number}"), &hashes[number]).unwrap(), Verdict::Right);
        }
    }

    #[tokio::test]
    async fn a_full_queue_is_503() {
        let passwords = Passwords { places: Arc::new(Semaphore::new(0)), ..Passwords::new() };
        assert_eq!(passwords.verify("x".into(), None).await.unwrap_err().status(), 503);
    }
}
