//! The world of a device whose clock is wrong, for tests: the system's time and randomness, moved by so much.

use syncline::time::{Env, EnvSource, Timestamp};
use syncline_transport_http::client::{NoRandomness, SystemEnv};

/// The system's world with another time.
#[derive(Debug)]
pub(crate) struct World {
    system: SystemEnv,
    offset_ms: i64,
}

impl World {
    /// The world with a clock that is wrong by `offset_ms`.
    ///
    /// # Errors
    /// When there is no randomness.
    pub(crate) fn new(offset_ms: i64) -> Result<Self, NoRandomness> {
        Ok(Self { system: SystemEnv::new()?, offset_ms })
    }
}

impl EnvSource for World {
    fn env(&self) -> Env {
        let env = self.system.env();
        let now = env.now.ms().saturating_add_signed(self.offset_ms);
        Env { now: Timestamp::from_ms(now).unwrap_or(Timestamp::MAX), ..env }
    }
}
