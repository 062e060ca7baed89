//! Passwords: Argon2id (RFC 9106), off the threads that serve.
//!
//! What must always hold: whoever asks whether a password fits pays for exactly one computation, whether the account
//! exists or not, so that time tells nobody which addresses are known; and only so many computations run at once, so
//! that guessing cannot take the machine's memory.
//!
//! Next: links with passwords, and the accounts of the Super Productivity dialect, are who asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use async_trait::async_trait;
use syncline::access::Passwords;
use syncline::call::{ErrorCode, Refusal};
use tokio::sync::Semaphore;

/// Computations at once. Each holds its memory (19 MiB unless set otherwise) and one core.
const AT_ONCE: usize = 4;
/// Bytes of a password that are looked at: a longer one is refused before it is hashed.
#[cfg(feature = "super-productivity")]
pub(crate) const PASSWORD_BYTES_MAX: usize = 1_024;

/// How hard a password is to guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "options are filled in from a default")]
pub struct PasswordCost {
    /// Memory of one computation, KiB; at least 8.
    pub memory_kib: u32,
    /// Passes over it; at least 1.
    pub passes: u32,
}

impl Default for PasswordCost {
    /// What OWASP asks for at least: 19 MiB, 2 passes.
    fn default() -> Self {
        Self { memory_kib: 19_456, passes: 2 }
    }
}

/// What computes: core's [`Passwords`] with Argon2id.
#[derive(Debug, Clone)]
pub struct Hashing(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    argon2: Argon2<'static>,
    /// Fits no password anybody has: what an unknown address is compared with.
    dummy: String,
    places: Semaphore,
    done: AtomicU64,
}

impl Hashing {
    /// `None` when the cost is below what the algorithm can do.
    #[must_use]
    pub fn new(cost: PasswordCost) -> Option<Self> {
        let params = Params::new(cost.memory_kib, cost.passes, 1, None).ok()?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let mut nobody = [0; 32];
        getrandom::fill(&mut nobody).ok()?;
        let dummy = argon2.hash_password(&nobody).ok()?.to_string();
        Some(Self(Arc::new(Inner { argon2, dummy, places: Semaphore::new(AT_ONCE), done: AtomicU64::new(0) })))
    }

    /// The form in which a password is kept.
    pub(crate) async fn hash(&self, password: &str) -> Result<String, Refusal> {
        let password = password.to_owned();
        self.run(move |inner| inner.argon2.hash_password(password.as_bytes()).ok().map(|hash| hash.to_string()))
            .await?
            .ok_or_else(|| Refusal::new(ErrorCode::Internal, "a password does not hash"))
    }

    /// Whether the password is the kept one. The same work and `false` when none is kept.
    pub(crate) async fn fits(&self, password: &str, kept: Option<&str>) -> Result<bool, Refusal> {
        let (password, kept) = (password.to_owned(), kept.map(str::to_owned));
        self.run(move |inner| {
            let against = kept.as_deref().unwrap_or(&inner.dummy);
            let fits = PasswordHash::new(against)
                .is_ok_and(|hash| inner.argon2.verify_password(password.as_bytes(), &hash).is_ok());
            fits && kept.is_some()
        })
        .await
    }

    /// Computations so far: what a test counts instead of timing.
    #[cfg(test)]
    pub(crate) fn done(&self) -> u64 {
        self.0.done.load(Ordering::SeqCst)
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce(&Inner) -> T + Send + 'static) -> Result<T, Refusal> {
        let stopped = || Refusal::new(ErrorCode::Internal, "the thread for passwords ended");
        let _place = self.0.places.acquire().await.map_err(|_| stopped())?;
        let inner = Arc::clone(&self.0);
        let work = move || {
            inner.done.fetch_add(1, Ordering::SeqCst);
            work(&inner)
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| stopped())
    }
}

#[async_trait]
impl Passwords for Hashing {
    async fn keep(&self, password: &str) -> Option<String> {
        self.hash(password).await.ok()
    }

    async fn fits(&self, password: &str, kept: &str) -> Option<bool> {
        Self::fits(self, password, Some(kept)).await.ok()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn hashing() -> Hashing {
        Hashing::new(PasswordCost { memory_kib: 8, passes: 1 }).unwrap()
    }

    #[tokio::test]
    async fn a_password_fits_its_own_hash_and_no_other() {
        let hashing = hashing();
        let kept = hashing.hash("correct horse battery").await.unwrap();
        assert!(kept.starts_with("$argon2id$v=19$"), "{kept}");
        assert!(hashing.fits("correct horse battery", Some(&kept)).await.unwrap());
        assert!(!hashing.fits("correct horse batterY", Some(&kept)).await.unwrap());
        assert!(!hashing.fits("correct horse battery", Some("not a hash")).await.unwrap());
        assert_ne!(kept, hashing.hash("correct horse battery").await.unwrap(), "a salt of its own each time");
    }

    #[tokio::test]
    async fn an_unknown_account_costs_the_same_one_computation() {
        let hashing = hashing();
        let kept = hashing.hash("correct horse battery").await.unwrap();
        let before = hashing.done();
        hashing.fits("guess", Some(&kept)).await.unwrap();
        let known = hashing.done() - before;
        assert!(!hashing.fits("guess", None).await.unwrap());
        assert_eq!((known, hashing.done() - before - known), (1, 1));
    }

    #[test]
    fn a_cost_that_cannot_be_is_refused() {
        assert!(Hashing::new(PasswordCost { memory_kib: 7, passes: 1 }).is_none());
        assert!(Hashing::new(PasswordCost { memory_kib: 8, passes: 0 }).is_none());
        assert_eq!(PasswordCost::default(), PasswordCost { memory_kib: 19_456, passes: 2 });
    }
}
