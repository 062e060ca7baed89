//! When to look into the folder again, by what a watcher hears of it.
//!
//! A watcher is a hint: what it hears may be late, may be twice, and may be missing, in folders that are new above all. So it
//! never says what is in the folder, only when to look; and who is still being written is left alone until it is quiet. What
//! must hold: whoever is written to for ever is looked at all the same; nothing that was missed is missed for longer than
//! an hour and a quarter.
//!
//! Contract: tell it what is [heard](Debounce::hear), wait until [`next_ms`](Debounce::next_ms), look, and tell it so
//! ([`looked`](Debounce::looked)). Times are ms of any clock that goes on.

use std::collections::{BTreeMap, BTreeSet};

/// How long a file is quiet before it is read.
const QUIET_MS: u64 = 500;
/// The same for one of more than [`LARGE_BYTES`]: whoever writes it pauses now and then.
const LARGE_QUIET_MS: u64 = 3_000;
const LARGE_BYTES: u64 = 64 << 20;
/// How long something is missed before it counts as deleted.
const GONE_MS: u64 = 2_000;
/// How long a file that is never quiet waits.
const HOLD_MS_MAX: u64 = 10_000;
/// When a new folder is looked into: what was made in it before it was watched was not heard.
const NEW_FOLDER_MS: [u64; 2] = [300, 2_000];
/// How far apart two contents of one file are told.
const TOLD_MS: u64 = 5_000;
/// How often the folder is looked at whatever is heard, on average.
const FULL_SCAN_MS: u64 = 60 * 60 * 1_000;
/// Paths that are waited for one by one.
const HEARD_MAX: usize = 10_000;

/// What was heard. Paths go from the root down, with slashes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "what a watcher hears")]
pub enum Heard<'a> {
    /// A file was made or written, and has this many bytes now.
    Wrote {
        /// Which.
        path: &'a str,
        /// Its size.
        bytes: u64,
    },
    /// Something is not there any more; it may come back, for programs save files by putting others in their place.
    Vanished(&'a str),
    /// Something has another path.
    Moved {
        /// The one it had.
        from: &'a str,
        /// The one it has.
        to: &'a str,
    },
    /// A folder is new: what was put into it at once was perhaps not heard.
    NewFolder(&'a str),
    /// Something was not heard: there was too much of it, or the device slept.
    Missed,
}

/// How long a path waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Waiting {
    /// Since when; nobody waits for longer than `HOLD_MS_MAX` after it.
    since_ms: u64,
    until_ms: u64,
    vanished: bool,
}

/// When to look next, and who is left alone then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Debounce {
    waiting: BTreeMap<String, Waiting>,
    /// Looks that are due whatever is quiet.
    due: BTreeSet<u64>,
    /// When the server was last told of a path.
    told: BTreeMap<String, u64>,
}

impl Debounce {
    /// Looks at once, for nobody knows what happened before.
    #[must_use]
    pub fn new(now_ms: u64) -> Self {
        Self { waiting: BTreeMap::new(), due: BTreeSet::from([now_ms]), told: BTreeMap::new() }
    }

    /// Takes note of what was heard.
    pub fn hear(&mut self, heard: &Heard<'_>, now_ms: u64) {
        match heard {
            Heard::Wrote { path, bytes } => {
                let quiet = if *bytes > LARGE_BYTES { LARGE_QUIET_MS } else { QUIET_MS };
                self.wait(path, now_ms, quiet, false);
            }
            Heard::Vanished(path) => self.wait(path, now_ms, GONE_MS, true),
            Heard::Moved { from, to } => {
                // Who it is shows in the folder, so there is no need to wait for it.
                self.waiting.remove(*from);
                self.wait(to, now_ms, QUIET_MS, false);
            }
            Heard::NewFolder(path) => {
                self.waiting.remove(*path);
                self.due.extend(NEW_FOLDER_MS.map(|after| now_ms + after));
            }
            Heard::Missed => {
                self.due.insert(now_ms);
            }
        }
        if self.waiting.len() > HEARD_MAX {
            self.waiting.clear();
            self.due.insert(now_ms + QUIET_MS);
        }
    }

    fn wait(&mut self, path: &str, now_ms: u64, quiet_ms: u64, vanished: bool) {
        let before = self.waiting.get(path);
        let since_ms = before.map_or(now_ms, |waiting| waiting.since_ms);
        let mut until_ms = (now_ms + quiet_ms).min(since_ms + HOLD_MS_MAX);
        if let Some(told) = self.told.get(path) {
            until_ms = until_ms.max(told + TOLD_MS);
        }
        self.waiting.insert(path.to_owned(), Waiting { since_ms, until_ms, vanished });
    }

    /// When to look next.
    #[must_use]
    pub fn next_ms(&self) -> u64 {
        let quiet = self.waiting.values().map(|waiting| waiting.until_ms);
        quiet.chain(self.due.first().copied()).min().unwrap_or(u64::MAX)
    }

    /// Whether what a look finds, or misses, at a path is left alone for now: it, or a folder that it is in, may change again
    /// or come back.
    #[must_use]
    pub fn holds(&self, path: &str, now_ms: u64) -> bool {
        let waits = |waiting: &Waiting| waiting.until_ms > now_ms;
        let above = path.match_indices('/').filter_map(|(at, _)| self.waiting.get(path.get(..at)?));
        self.waiting.get(path).is_some_and(waits) || above.into_iter().any(|above| above.vanished && waits(above))
    }

    /// The paths that are waited for, each with whether something vanished there.
    pub(super) fn waited_for(&self, now_ms: u64) -> impl Iterator<Item = (&str, bool)> {
        let waiting = self.waiting.iter().filter(move |(_, waiting)| waiting.until_ms > now_ms);
        waiting.map(|(path, waiting)| (path.as_str(), waiting.vanished))
    }

    /// The server was told of a path: it is not told of it again for five seconds.
    pub fn told(&mut self, path: &str, now_ms: u64) {
        self.told.insert(path.to_owned(), now_ms);
    }

    /// The folder was looked at, beginning at `now_ms`. `random` spreads the next full look over a quarter of its time on
    /// either side, so that not all devices look at once.
    pub fn looked(&mut self, now_ms: u64, random: u64) {
        self.waiting.retain(|_, waiting| waiting.until_ms > now_ms);
        self.told.retain(|_, told| *told + TOLD_MS > now_ms);
        self.due = self.due.split_off(&(now_ms + 1));
        // The looks at new folders come before; of full ones there is one.
        let spread = random % (FULL_SCAN_MS / 2 + 1);
        let horizon = now_ms + NEW_FOLDER_MS[NEW_FOLDER_MS.len() - 1];
        self.due.retain(|due| *due <= horizon);
        self.due.insert(now_ms + FULL_SCAN_MS * 3 / 4 + spread);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that was just looked at, at 0.
    fn quiet() -> Debounce {
        let mut debounce = Debounce::new(0);
        assert_eq!(debounce.next_ms(), 0);
        debounce.looked(0, 0);
        debounce
    }

    fn wrote(path: &str) -> Heard<'_> {
        Heard::Wrote { path, bytes: 1 }
    }

    #[test]
    fn a_file_is_looked_at_when_it_was_quiet_for_half_a_second() {
        let mut debounce = quiet();
        for now in [1_000, 1_300, 1_600] {
            debounce.hear(&wrote("a"), now);
        }
        assert_eq!(debounce.next_ms(), 2_100);
        assert!(debounce.holds("a", 2_099) && !debounce.holds("a", 2_100) && !debounce.holds("b", 1_600));
        debounce.looked(2_100, 0);
        assert!(debounce.next_ms() > 1_000_000);
    }

    #[test]
    fn a_large_file_is_given_more_time() {
        let mut debounce = quiet();
        debounce.hear(&Heard::Wrote { path: "a", bytes: LARGE_BYTES }, 1_000);
        assert_eq!(debounce.next_ms(), 1_500);
        debounce.hear(&Heard::Wrote { path: "a", bytes: LARGE_BYTES + 1 }, 1_000);
        assert_eq!(debounce.next_ms(), 4_000);
    }

    #[test]
    fn a_file_that_is_written_for_ever_is_looked_at_after_ten_seconds() {
        let mut debounce = quiet();
        for now in (1_000..20_000).step_by(100) {
            if debounce.next_ms() <= now {
                assert_eq!(now, 11_000);
                return;
            }
            debounce.hear(&wrote("a"), now);
        }
        panic!("it was never looked at");
    }

    #[test]
    fn e10_what_vanished_is_given_time_to_come_back() {
        let mut debounce = quiet();
        debounce.hear(&Heard::Vanished("doc"), 1_000);
        debounce.hear(&wrote("other"), 1_000);
        assert_eq!(debounce.next_ms(), 1_500);
        debounce.looked(1_500, 0);
        assert!(debounce.holds("doc", 1_500), "a look that misses it says nothing yet");
        assert!(debounce.holds("doc/in/it", 1_500) && !debounce.holds("docs/x", 1_500));
        assert_eq!(debounce.next_ms(), 3_000);
        debounce.hear(&wrote("doc"), 1_700);
        assert_eq!(debounce.next_ms(), 2_200, "it came back");
        assert!(!debounce.holds("doc/in/it", 1_800));
    }

    #[test]
    fn what_was_moved_need_not_be_waited_for() {
        let mut debounce = quiet();
        debounce.hear(&Heard::Vanished("a"), 1_000);
        debounce.hear(&Heard::Moved { from: "a", to: "b" }, 1_001);
        assert!(!debounce.holds("a", 1_001) && debounce.holds("b", 1_001));
        assert_eq!(debounce.next_ms(), 1_501);
    }

    #[test]
    fn e13_a_new_folder_is_looked_into_soon_and_once_more() {
        let mut debounce = quiet();
        debounce.hear(&Heard::NewFolder("a"), 1_000);
        assert_eq!(debounce.next_ms(), 1_300);
        debounce.looked(1_300, 0);
        assert_eq!(debounce.next_ms(), 3_000);
        debounce.looked(3_000, 0);
        assert!(debounce.next_ms() > 1_000_000);
    }

    #[test]
    fn e12_the_server_is_told_of_a_path_every_five_seconds_at_most() {
        let mut debounce = quiet();
        debounce.hear(&wrote("a"), 1_000);
        debounce.looked(1_500, 0);
        debounce.told("a", 1_500);
        debounce.hear(&wrote("a"), 1_600);
        debounce.hear(&wrote("b"), 1_600);
        assert_eq!(debounce.next_ms(), 2_100);
        assert!(debounce.holds("a", 6_499) && !debounce.holds("a", 6_500) && !debounce.holds("b", 2_100));
        debounce.looked(6_500, 0);
        debounce.hear(&wrote("a"), 7_000);
        assert_eq!(debounce.next_ms(), 7_500, "that is over");
    }

    #[test]
    fn e14_what_was_missed_is_looked_for_at_once() {
        let mut debounce = quiet();
        debounce.hear(&Heard::Missed, 1_000);
        assert_eq!(debounce.next_ms(), 1_000);
    }

    #[test]
    fn more_than_anybody_keeps_in_mind_is_looked_for_all_at_once() {
        let mut debounce = quiet();
        for number in 0..=HEARD_MAX {
            debounce.hear(&wrote(&number.to_string()), 1_000);
            assert!(debounce.waiting.len() <= HEARD_MAX);
        }
        assert_eq!(debounce.next_ms(), 1_500);
        assert!(!debounce.holds("7", 1_000));
    }

    #[test]
    fn e25_the_folder_is_looked_at_every_hour_whatever_is_heard() {
        for (random, at) in [(0, FULL_SCAN_MS * 3 / 4), (FULL_SCAN_MS / 2, FULL_SCAN_MS * 5 / 4)] {
            let mut debounce = Debounce::new(7);
            debounce.looked(7, random);
            assert_eq!(debounce.next_ms(), 7 + at);
            debounce.looked(8, random);
            assert_eq!(debounce.due.len(), 1);
        }
    }
}
