//! The world as a call sees it: the only place of this side that asks a clock or a random source.

use std::time::{SystemTime, UNIX_EPOCH};

use syncline::call::{ErrorCode, Refusal};
use syncline::time::{Env, Timestamp};

/// The wall clock.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).ok().and_then(Timestamp::from_ms).unwrap_or(Timestamp::MAX)
}

/// Time and fresh randomness for one call.
pub(crate) fn env() -> Result<Env, Refusal> {
    Ok(Env { now: now(), entropy: random()? })
}

/// Fresh random bytes.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Refusal> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|_| Refusal::new(ErrorCode::Unavailable, "the operating system has no randomness"))?;
    Ok(bytes)
}
