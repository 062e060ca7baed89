//! Which files of the folder somebody has open through the view, so that nobody takes them away meanwhile.
//!
//! Only the view knows of open files: a folder that is no view has none here, and there a file that is open is like any other.
//! What must hold: who writes to a file writes to the one that its name leads to; a file that is being taken away is not
//! opened until it is gone or stays.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use syncline::files::Identity;
use tokio::sync::Notify;

/// The files that are open, and those that are about to be taken away.
#[derive(Debug, Clone, Default)]
pub struct Uses {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    files: Mutex<HashMap<Identity, Use>>,
    freed: Condvar,
    left: Notify,
}

#[derive(Debug, Default, Clone, Copy)]
struct Use {
    readers: usize,
    writers: usize,
    claimed: bool,
    /// Somebody asked for it and was refused.
    wanted: bool,
}

/// A file that is open, until it is dropped.
#[derive(Debug)]
pub struct Open {
    uses: Uses,
    file: Identity,
    writes: bool,
}

/// The right to take a file away, until it is dropped.
#[derive(Debug)]
pub struct Claim {
    uses: Uses,
    file: Identity,
}

/// Who must not have a file open for it to be taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "who writes, or anybody")]
pub enum Whom {
    /// Who writes to it: whoever reads it goes on with the old bytes.
    Writers,
    /// Anybody.
    Anybody,
}

impl Uses {
    fn files(&self) -> MutexGuard<'_, HashMap<Identity, Use>> {
        self.shared.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a file is open; waits while it is being taken away. Who was told so looks again whether it still is where
    /// its name leads to.
    #[must_use]
    pub fn open(&self, file: Identity, writes: bool) -> Open {
        let mut files = self.files();
        while files.get(&file).is_some_and(|found| found.claimed) {
            files = self.shared.freed.wait(files).unwrap_or_else(PoisonError::into_inner);
        }
        let found = files.entry(file).or_default();
        *(if writes { &mut found.writers } else { &mut found.readers }) += 1;
        drop(files);
        Open { uses: self.clone(), file, writes }
    }

    /// Whether a file is open.
    #[must_use]
    pub fn is_open(&self, file: Identity) -> bool {
        self.files().get(&file).is_some_and(|found| found.readers + found.writers > 0)
    }

    /// Asks for the right to take a file away; `None`: somebody has it open.
    #[must_use]
    pub fn claim(&self, file: Identity, whom: Whom) -> Option<Claim> {
        let mut files = self.files();
        let found = files.get(&file).copied().unwrap_or_default();
        let open = found.writers + if whom == Whom::Anybody { found.readers } else { 0 };
        if open > 0 || found.claimed {
            let claimed = found.claimed;
            files.entry(file).or_default().wanted |= !claimed;
            return None;
        }
        files.insert(file, Use { claimed: true, ..found });
        drop(files);
        Some(Claim { uses: self.clone(), file })
    }

    /// Waits until a file is closed that could not be taken away because it was open.
    pub async fn left(&self) {
        self.shared.left.notified().await;
    }

    fn change(&self, file: Identity, change: impl FnOnce(&mut Use)) {
        let mut files = self.files();
        if let Some(found) = files.get_mut(&file) {
            change(found);
            if (found.readers, found.writers, found.claimed) == (0, 0, false) {
                if found.wanted {
                    self.shared.left.notify_one();
                }
                files.remove(&file);
            }
        }
        drop(files);
        self.shared.freed.notify_all();
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let writes = self.writes;
        self.uses.change(self.file, |found| *(if writes { &mut found.writers } else { &mut found.readers }) -= 1);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.uses.change(self.file, |found| found.claimed = false);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    const FILE: Identity = Identity { device: 1, inode: 2, born_ns: Some(3) };

    #[test]
    fn e32_an_open_file_is_taken_from_nobody_who_writes_and_a_reader_keeps_what_is_replaced() {
        let uses = Uses::default();
        let reader = uses.open(FILE, false);
        assert!(uses.claim(FILE, Whom::Anybody).is_none());
        drop(uses.claim(FILE, Whom::Writers).unwrap());
        let writer = uses.open(FILE, true);
        assert!(uses.claim(FILE, Whom::Writers).is_none());
        drop((reader, writer));
        assert!(matches!(uses.left().now_or_never(), Some(())), "who wanted it is not told");
        assert!(!uses.is_open(FILE));
        assert!(uses.claim(FILE, Whom::Anybody).is_some());
        assert!(uses.files().is_empty(), "nothing is kept of what is closed");
    }

    #[test]
    fn a_file_that_is_being_taken_away_is_opened_once_that_is_decided() {
        let uses = Uses::default();
        let claim = uses.claim(FILE, Whom::Anybody).unwrap();
        assert!(uses.claim(FILE, Whom::Writers).is_none(), "it is taken away once");
        let other = uses.clone();
        let opens = std::thread::spawn(move || drop(other.open(FILE, true)));
        assert!(!uses.is_open(FILE));
        drop(claim);
        opens.join().unwrap();
        assert!(uses.files().is_empty());
    }
}
