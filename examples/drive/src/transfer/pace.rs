//! How fast bytes go: a bucket of one second's worth that fills at the rate.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

type Limiter<C> = RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// How fast bytes may go.
#[derive(Debug)]
pub struct Pace<C: Clock = DefaultClock> {
    limiter: Option<(Limiter<C>, NonZeroU32)>,
}

impl Pace {
    /// So many bytes a second; `None`: as fast as they can.
    #[must_use]
    pub fn new(rate: Option<NonZeroU32>) -> Self {
        Self::by(rate, DefaultClock::default())
    }

    /// Waits until so many bytes may go.
    pub async fn take(&self, bytes: usize) {
        let mut left = bytes;
        while left > 0 {
            match self.now(&mut left) {
                None => return,
                Some(wait) => tokio::time::sleep(wait).await,
            }
        }
    }
}

impl<C: Clock> Pace<C> {
    fn by(rate: Option<NonZeroU32>, clock: C) -> Self {
        let limiter = |rate| (RateLimiter::direct_with_clock(Quota::per_second(rate), clock), rate);
        Self { limiter: rate.map(limiter) }
    }

    /// Lets go what may; says how long the next of what is left waits.
    fn now(&self, left: &mut usize) -> Option<Duration> {
        let Some((limiter, rate)) = &self.limiter else {
            *left = 0;
            return None;
        };
        while let Some(part) = u32::try_from(*left).ok().map_or(Some(*rate), NonZeroU32::new) {
            let part = part.min(*rate);
            // A part is never more than the bucket holds.
            if let Ok(Err(not_yet)) = limiter.check_n(part) {
                return Some(not_yet.wait_time_from(limiter.clock().now()));
            }
            *left = left.saturating_sub(usize::try_from(part.get()).unwrap_or(usize::MAX));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    #[test]
    fn bytes_go_at_the_rate_after_the_first_second() {
        let clock = FakeRelativeClock::default();
        let pace = Pace::by(NonZeroU32::new(1_000_000), clock.clone());
        let (mut left, mut waited) = (5_500_000, Duration::ZERO);
        while let Some(wait) = pace.now(&mut left) {
            waited += wait;
            clock.advance(wait);
        }
        assert_eq!(left, 0);
        assert!(waited.abs_diff(Duration::from_millis(4_500)) < Duration::from_millis(1), "{waited:?}");
    }

    #[test]
    fn without_a_limit_nothing_waits() {
        let mut left = usize::MAX;
        assert_eq!((Pace::new(None).now(&mut left), left), (None, 0));
    }
}
