//! A client of two logs that remembers every acknowledgement.

use std::path::Path;

use syncline::conformance::author::Author;
use syncline::conformance::support::{env, plain, try_upload, verdicts};
use syncline::decide::Uploaded;
use syncline::id::LogKey;
use syncline::oplog::{Gap, LoggedOp, Op, OpBytes, OpKind, Verdict};
use syncline::seq::Cursor;
use syncline::store::{PageLimit, Store, StoreError};
use syncline_storage_sqlite::{Durability, SqliteOptions, SqliteStore};
use syncline_test_vfs::Machine;

use super::{keeps_all, wait};

/// Its logs.
pub const LOGS: usize = 2;

/// Key of its log of this number.
#[must_use]
pub fn log(which: usize) -> LogKey {
    syncline::conformance::support::log(if which == 0 { 1 } else { 2 })
}

/// The client. What it pushed once it pushes with the same ids again.
#[derive(Debug)]
pub struct Writer {
    authors: [Author; LOGS],
    /// Every push it made up so far.
    made: Vec<Vec<Op>>,
    /// How many of them it was told are there.
    pushed: usize,
    cursors: [Cursor; LOGS],
}

impl Default for Writer {
    fn default() -> Self {
        let authors = [Author::new(1), Author::new(2)];
        Self { authors, made: Vec::new(), pushed: 0, cursors: [Cursor::START; LOGS] }
    }
}

/// The log that push number `push` goes to.
const fn log_of(push: usize) -> usize {
    push % LOGS
}

impl Writer {
    /// 1 to 5 ops, in every fifth push over a page long.
    fn batch(&mut self, push: usize) -> Vec<Op> {
        while self.made.len() <= push {
            let number = self.made.len();
            let author = &mut self.authors[log_of(number)];
            let payload = "x".repeat(if number % 5 == 4 { 6_000 } else { 100 });
            let count = u8::try_from(number % 5).unwrap_or(0);
            self.made.push((0..=count).map(|about| author.op(OpKind::Update, "merge", about, &payload)).collect());
        }
        self.made[push].clone()
    }

    /// How many pushes it was told are there.
    #[must_use]
    pub const fn pushed(&self) -> usize {
        self.pushed
    }

    /// Where it is in each log.
    #[must_use]
    pub const fn cursors(&self) -> [Cursor; LOGS] {
        self.cursors
    }

    /// Pushes on until it was told that `until` pushes are there, or to the first failure.
    ///
    /// # Errors
    /// The store's.
    ///
    /// # Panics
    /// When an op is refused.
    pub fn push_until(&mut self, store: &SqliteStore, until: usize) -> Result<(), StoreError> {
        while self.pushed < until {
            let (which, ops) = (log_of(self.pushed), self.batch(self.pushed));
            match wait(try_upload(store, plain(log(which), &ops), env(7)))? {
                Uploaded::Done { after, verdicts, .. } => {
                    assert!(verdicts.iter().all(|verdict| verdict.seq().is_some()), "{verdicts:?}");
                    self.cursors[which] = after;
                }
                other => panic!("the push was answered {other:?}"),
            }
            self.pushed += 1;
        }
        Ok(())
    }

    /// The ops of its first `pushes` pushes to a log.
    #[must_use]
    pub fn ops(&self, which: usize, pushes: usize) -> Vec<OpBytes> {
        let made = self.made.iter().take(pushes).enumerate();
        let to_log = made.filter(|(push, _)| log_of(*push) == which);
        to_log.flat_map(|(_, ops)| ops.iter().map(|op| op.raw().clone())).collect()
    }

    /// Everything acknowledged is there, in place, and behind it at most one push that was cut off, whole.
    ///
    /// # Panics
    /// When it is not so.
    pub fn check(&self, store: &SqliteStore, run: &str) {
        let found = self.found(store, run);
        assert!(found >= self.pushed, "{run}: {} pushes were acknowledged and {found} are there", self.pushed);
        for (which, cursor) in self.cursors.iter().enumerate() {
            let gap = pull(store, log(which), *cursor).unwrap_or_else(|error| panic!("{run}: {error}")).err();
            assert_eq!(gap, None, "{run}: the cursor of log {which}");
        }
    }

    /// What is there is a whole number of pushes. Forgets what is not there any more, as who fetches anew does; how many
    /// that were.
    ///
    /// # Panics
    /// When it is not so, or when a cursor behind the end is not told that.
    pub fn check_weakly(&mut self, store: &SqliteStore, run: &str) -> usize {
        let found = self.found(store, run);
        let lost = self.pushed.saturating_sub(found);
        for (which, cursor) in self.cursors.iter_mut().enumerate() {
            let there = pull_all(store, log(which), run);
            let behind = cursor.seq.get() > there.len() as u64;
            let gap = pull(store, log(which), *cursor).unwrap_or_else(|error| panic!("{run}: {error}")).err();
            assert_eq!(gap.is_some(), behind, "{run}: the cursor of log {which}: {gap:?}");
            if behind {
                *cursor = Cursor::START;
            }
        }
        self.pushed = self.pushed.min(found);
        lost
    }

    /// How many pushes are there, each whole and none but these.
    fn found(&self, store: &SqliteStore, run: &str) -> usize {
        let mut there: [Vec<OpBytes>; LOGS] =
            std::array::from_fn(|which| pull_all(store, log(which), run).into_iter().map(|logged| logged.op).collect());
        let most = self.made.len().min(self.pushed + 1);
        for pushes in (0..=most).rev() {
            let expected: [Vec<OpBytes>; LOGS] = std::array::from_fn(|which| self.ops(which, pushes));
            if there == expected {
                return pushes;
            }
        }
        there.iter_mut().for_each(|ops| ops.truncate(3));
        panic!("{run}: what is there is no whole number of pushes up to {most}: it begins with {there:?}")
    }
}

/// Reads on from a cursor to the end, checking each page as a client does.
///
/// # Errors
/// The store's.
pub fn pull(store: &SqliteStore, log: LogKey, from: Cursor) -> Result<Result<Vec<LoggedOp>, Gap>, StoreError> {
    let (mut cursor, mut ops) = (from, Vec::new());
    loop {
        let page = wait(store.ops_after(log, cursor.seq, PageLimit::default()))?;
        if let Some(gap) = page.gap(cursor) {
            return Ok(Err(gap));
        }
        cursor = page.next(cursor);
        let more = page.has_more();
        ops.extend(page.ops);
        if !more {
            return Ok(Ok(ops));
        }
    }
}

/// A whole log.
///
/// # Panics
/// When it does not read, or has a gap.
#[must_use]
pub fn pull_all(store: &SqliteStore, log: LogKey, run: &str) -> Vec<LoggedOp> {
    let read = pull(store, log, Cursor::START).unwrap_or_else(|error| panic!("{run}: {error}"));
    read.unwrap_or_else(|gap| panic!("{run}: the log has a gap: {gap:?}"))
}

/// Pushes ops of somebody else.
///
/// # Errors
/// The store's.
pub fn push_others(store: &SqliteStore, log: LogKey, ops: &[Op]) -> Result<Vec<Verdict>, StoreError> {
    wait(try_upload(store, plain(log, ops), env(7))).map(verdicts)
}

/// A store on a machine, whose write-ahead log is copied back after so many pages.
#[must_use]
pub fn options(machine: &Machine, folder: &Path, pages: u32, durability: Durability) -> SqliteOptions {
    let options = SqliteOptions::new(folder.join("a.db")).vfs(machine.name());
    options.checkpoint_pages(pages).durability(durability)
}

/// Opens, pushes so much, closes; how many operations and syncs that takes on a machine of this seed.
///
/// # Panics
/// When something fails.
#[must_use]
pub fn measure(folder: &Path, seed: u64, pages: u32, pushes: usize) -> (u64, u64) {
    let machine = Machine::new(seed);
    let store = SqliteStore::open(options(&machine, folder, pages, Durability::Full)).expect("opened");
    Writer::default().push_until(&store, pushes).expect("pushed");
    drop(store);
    (machine.operations(), machine.syncs())
}

/// Checks by what the mode promises; how many pushes were lost.
///
/// # Panics
/// When the promise is broken.
pub fn check_by(durability: Durability, writer: &mut Writer, store: &SqliteStore, run: &str) -> usize {
    if keeps_all(durability) {
        writer.check(store, run);
        return 0;
    }
    writer.check_weakly(store, run)
}
