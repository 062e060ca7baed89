//! Trying again: a few times, later each time, never two devices alike.

use std::num::NonZeroU32;
use std::time::Duration;

use syncline::call::Advice;
use syncline::client::{CallError, backoff_ms};
use syncline::time::EnvSource;

/// How often something is tried before whoever asked decides what then.
const TRIES: u32 = 5;

/// Asks until there is an answer, or no use in asking.
///
/// # Errors
/// What the last try said.
pub(super) async fn again<T, F>(env: &dyn EnvSource, mut ask: impl FnMut() -> F) -> Result<T, CallError>
where
    F: Future<Output = Result<T, CallError>>,
{
    let mut tried = 0;
    loop {
        let error = match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let Some(at_least) = worth_another(&error).filter(|_| tried + 1 < TRIES) else { return Err(error) };
        wait(env, tried, at_least).await;
        tried += 1;
    }
}

/// Waits after the failure with this number.
pub(super) async fn wait(env: &dyn EnvSource, failure: u32, at_least_ms: Option<NonZeroU32>) {
    tokio::time::sleep(Duration::from_millis(backoff_ms(failure, at_least_ms, &env.env()))).await;
}

/// What the server asked to wait at least, if another try may help.
fn worth_another(error: &CallError) -> Option<Option<NonZeroU32>> {
    match error {
        CallError::Refused(refusal) => (refusal.code.advice() == Advice::Retry).then_some(refusal.retry_after_ms),
        CallError::Unreachable(_) | CallError::Interrupted(_) => Some(None),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use syncline::call::{ErrorCode, Refusal};

    use super::super::testing::Fixed;
    use super::*;

    async fn tries(failures: u32, error: impl Fn() -> CallError) -> (bool, u32) {
        let asked = Cell::new(0);
        let ask = || {
            asked.set(asked.get() + 1);
            let answer = if asked.get() > failures { Ok(()) } else { Err(error()) };
            std::future::ready(answer)
        };
        (again(&Fixed, ask).await.is_ok(), asked.get())
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_help_is_tried_again_a_few_times_and_what_cannot_is_not() {
        let lost = || CallError::Interrupted("cut".into());
        let busy = || CallError::Refused(Refusal::new(ErrorCode::Busy, ""));
        let full = || CallError::Refused(Refusal::new(ErrorCode::QuotaExceeded, ""));
        assert_eq!(tries(0, lost).await, (true, 1));
        assert_eq!(tries(TRIES - 1, lost).await, (true, TRIES));
        assert_eq!(tries(TRIES, lost).await, (false, TRIES));
        assert_eq!(tries(1, busy).await, (true, 2));
        assert_eq!(tries(1, full).await, (false, 1));
        assert_eq!(tries(1, || CallError::Protocol("x".into())).await, (false, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn the_server_says_how_long_to_wait_at_least() {
        let busy = || {
            let mut refusal = Refusal::new(ErrorCode::Busy, "");
            refusal.retry_after_ms = NonZeroU32::new(60_000);
            CallError::Refused(refusal)
        };
        let before = tokio::time::Instant::now();
        assert_eq!(tries(1, busy).await, (true, 2));
        assert!(before.elapsed() >= Duration::from_secs(60));
    }
}
