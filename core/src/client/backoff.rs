//! How long to wait after a failure: longer with each, never two devices alike.
//!
//! Full jitter: the wait is drawn uniformly from zero to a span that doubles, so that devices which a server's restart
//! cut off at the same instant come back spread out. What the server asks for comes on top, never instead.
//!
//! Next: [`Session`](super::Session) decides what counts as a failure.

use std::num::NonZeroU32;

use crate::limits;
use crate::time::Env;

/// Milliseconds to wait after the failure with this number, counted from 0: uniform in 0 to
/// [`limits::CLIENT_BACKOFF_MS_MIN`]` · 2^attempt`, at most [`limits::CLIENT_BACKOFF_MS_MAX`], plus `at_least_ms`,
/// which counts for at most [`limits::CLIENT_RETRY_AFTER_MS_MAX`].
/// The same `env` gives the same wait.
#[must_use]
pub fn backoff_ms(attempt: u32, at_least_ms: Option<NonZeroU32>, env: &Env) -> u64 {
    let span = span(limits::CLIENT_BACKOFF_MS_MIN, limits::CLIENT_BACKOFF_MS_MAX, attempt);
    draw(span, env) + asked(at_least_ms)
}

/// Milliseconds to wait for an operator: [`limits::CLIENT_OPERATOR_RETRY_MS_MIN`] and up to as much again, doubling with
/// each attempt, [`limits::CLIENT_OPERATOR_RETRY_MS_MAX`] in all; longer only when the server says `at_least_ms`.
#[must_use]
pub fn operator_retry_ms(attempt: u32, at_least_ms: Option<NonZeroU32>, env: &Env) -> u64 {
    let least = limits::CLIENT_OPERATOR_RETRY_MS_MIN;
    let span = span(least, limits::CLIENT_OPERATOR_RETRY_MS_MAX - least, attempt);
    (least + draw(span, env)).max(asked(at_least_ms))
}

fn asked(at_least_ms: Option<NonZeroU32>) -> u64 {
    at_least_ms.map_or(0, |ms| u64::from(ms.get())).min(limits::CLIENT_RETRY_AFTER_MS_MAX)
}

fn span(first_ms: u64, max_ms: u64, attempt: u32) -> u64 {
    // 2^32 times the first span is far above every maximum: more doublings change nothing.
    first_ms.saturating_mul(1 << attempt.min(32)).min(max_ms)
}

fn draw(span_ms: u64, env: &Env) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = env.bytes16("client backoff");
    // Of 2^64 values some thousand are left over: the first waits are likelier by less than one in 10^13.
    u64::from_be_bytes([a, b, c, d, e, f, g, h]) % (span_ms + 1)
}
