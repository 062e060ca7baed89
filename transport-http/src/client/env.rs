//! The world of a real device: its clock, and the system's randomness.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use syncline::Digest;
use syncline::time::{Env, EnvSource, Timestamp};

/// The system's clock and randomness.
///
/// It asks for randomness each time, and mixes that with what it drew at the start and a counter: so ids do not repeat
/// even if the system should fail to answer later, nor in two copies of one virtual machine that were stopped and copied.
#[derive(Debug)]
pub struct SystemEnv {
    seed: [u8; 32],
    asked: AtomicU64,
}

/// The operating system gives no randomness, and without it ids could repeat.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the operating system has no randomness: {0}")]
pub struct NoRandomness(String);

impl SystemEnv {
    /// The system's clock and randomness.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn new() -> Result<Self, NoRandomness> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| NoRandomness(error.to_string()))?;
        Ok(Self { seed, asked: AtomicU64::new(0) })
    }
}

impl EnvSource for SystemEnv {
    fn env(&self) -> Env {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(since.as_millis()).ok().and_then(Timestamp::from_ms).unwrap_or(Timestamp::MAX);
        let mut fresh = [0; 32];
        // A failure leaves zeros, and the rest still differs.
        let _ = getrandom::fill(&mut fresh);
        let count = self.asked.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let entropy = *Digest::of(&[&self.seed, &fresh, &count, &since.as_nanos().to_be_bytes()]).as_bytes();
        Env { now, entropy }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_looks_at_the_world_give_the_same_randomness() {
        let env = SystemEnv::new().unwrap();
        let first = env.env();
        assert_ne!(first.entropy, env.env().entropy);
        assert!(first.now.ms() > 1_700_000_000_000);
    }
}
