//! The sockets that are open in this process, by account.
//!
//! What must hold: a socket's place goes back when the socket ends, however it ends.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use syncline::id::{LogKey, ReplicaId};
use tokio::sync::Notify as Bell;
use tokio::time::Instant;

use super::presence::Presence;

/// Sockets of one account.
const SOCKETS_MAX: usize = 10;
/// So long after it opened, or after the last attempt to replace it, a socket is not replaced.
const QUIET: Duration = Duration::from_secs(5);

/// Everybody who is there.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    accounts: Mutex<HashMap<LogKey, Account>>,
    numbers: AtomicU64,
}

#[derive(Debug, Default)]
struct Account {
    open: Vec<Open>,
    /// What a device said last about itself, and which.
    presence: Option<(ReplicaId, Presence)>,
}

#[derive(Debug)]
struct Open {
    number: u64,
    client: String,
    replaced: Arc<Bell>,
    quiet_until: Instant,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoPlace {
    TooMany,
    TooFast,
}

impl Sockets {
    fn lock(&self) -> MutexGuard<'_, HashMap<LogKey, Account>> {
        // The list is whole whatever happened to whoever held it.
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more socket; the device's last one is told to go.
    pub(super) fn enter(self: &Arc<Self>, log: LogKey, client: &str, now: Instant) -> Result<Entered, NoPlace> {
        let mut all = self.lock();
        let open = &mut all.entry(log).or_default().open;
        if let Some(at) = open.iter().position(|other| other.client == client) {
            if now < open[at].quiet_until {
                open[at].quiet_until = now + QUIET;
                return Err(NoPlace::TooFast);
            }
            open.swap_remove(at).replaced.notify_one();
        }
        if open.len() >= SOCKETS_MAX {
            return Err(NoPlace::TooMany);
        }
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let replaced = Arc::new(Bell::new());
        let bell = Arc::clone(&replaced);
        open.push(Open { number, client: client.to_owned(), replaced: bell, quiet_until: now + QUIET });
        Ok(Entered { sockets: Arc::clone(self), log, number, replaced })
    }

    /// Remembers what a device said about itself, for those who come later. Forgotten with the account's last socket.
    pub(super) fn heard(&self, log: LogKey, from: ReplicaId, presence: &Presence) {
        if let Some(account) = self.lock().get_mut(&log).filter(|_| presence.is_state()) {
            account.presence = Some((from, presence.clone()));
        }
    }

    /// What a device said last about itself, and which.
    pub(super) fn presence(&self, log: LogKey) -> Option<(ReplicaId, Presence)> {
        self.lock().get(&log).and_then(|account| account.presence.clone())
    }

    /// Whether a device has a socket here.
    pub(super) fn is_here(&self, log: LogKey, client: &str) -> bool {
        self.lock().get(&log).is_some_and(|account| account.open.iter().any(|open| open.client == client))
    }
}

/// A socket's place. Dropping it gives it back.
#[derive(Debug)]
pub(super) struct Entered {
    sockets: Arc<Sockets>,
    log: LogKey,
    number: u64,
    /// Rings when the device's next socket takes the place.
    pub(super) replaced: Arc<Bell>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut all = self.sockets.lock();
        if let Some(account) = all.get_mut(&self.log) {
            account.open.retain(|other| other.number != self.number);
            if account.open.is_empty() {
                all.remove(&self.log);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use syncline::id::{BucketId, LogId};

    use super::*;

    const LOG: LogKey = LogKey { bucket: BucketId::from_bytes([1; 16]), log: LogId::from_bytes([2; 16]) };

    #[test]
    fn a_device_that_comes_again_at_once_keeps_its_first_socket() {
        let (sockets, mut now) = (Arc::new(Sockets::default()), Instant::now());
        let _first = sockets.enter(LOG, "devA", now).unwrap();
        for _ in 0..5 {
            now += QUIET - Duration::from_millis(1);
            let refused = sockets.enter(LOG, "devA", now).unwrap_err();
            assert_eq!(refused, NoPlace::TooFast, "every attempt begins the wait anew");
        }
        now += QUIET;
        assert!(sockets.enter(LOG, "devA", now).is_ok());
    }

    #[test]
    fn a_device_whose_socket_ended_may_come_back_at_once() {
        let (sockets, now) = (Arc::new(Sockets::default()), Instant::now());
        drop(sockets.enter(LOG, "devA", now).unwrap());
        assert!(sockets.enter(LOG, "devA", now).is_ok());
    }

    #[test]
    fn ten_devices_are_there_at_most() {
        let (sockets, now) = (Arc::new(Sockets::default()), Instant::now());
        let mut here: Vec<_> = (0..10).map(|at| sockets.enter(LOG, &format!("dev{at}"), now).unwrap()).collect();
        assert_eq!(sockets.enter(LOG, "one-more", now).unwrap_err(), NoPlace::TooMany);
        here.pop();
        assert!(sockets.enter(LOG, "one-more", now).is_ok());
    }
}
