//! The writer thread: waiting decisions become one durable transaction.
//!
//! What must hold: an answer is given only after the commit it rests on, also when the decision wrote nothing (it
//! may have seen what an earlier one of its group wrote); after a commit that failed, the connection is closed and
//! what is stored is looked at again before anything more is acknowledged.
//!
//! Next: `decide` runs one decision, `write` turns its writes into rows.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use syncline::decide::{Decision, Scope};
use syncline::limits;
use syncline::store::{StoreError, StoreErrorKind};

use crate::db::{Db, Source};
use crate::decide::decide;
use crate::error::{Failed, Outcome};
use crate::reply::Answer;
use crate::verify;

/// Decisions in one transaction at most.
const GROUP_MAX: usize = 256;
/// Bytes after which a group is committed even when more are waiting.
const GROUP_BYTES_MAX: usize = 16 << 20;
/// Times the writer lets others run before a group that is smaller than the last was.
const GATHER_YIELDS: usize = 16;
const OPERATION: &str = "transact";

/// A decision that somebody waits for.
pub(crate) struct Job {
    pub(crate) scope: Scope,
    pub(crate) decision: Decision,
    pub(crate) since: Instant,
    pub(crate) answer: Answer<Result<bool, StoreError>>,
}

impl Job {
    fn fail(self, failed: Failed) {
        self.answer.send(Err(failed.during(OPERATION)));
    }
}

/// The thread that owns the one connection that writes.
pub(crate) struct Writer {
    source: Arc<Source>,
    jobs: Receiver<Job>,
    waiting: VecDeque<Job>,
    /// `None` after a failure that leaves the connection in doubt.
    db: Option<Db>,
    /// How many decisions the last group had: those who wait for it answer at about the same time.
    last: usize,
    /// Decisions to run one to a group, because a group they were in was lost to one of them.
    alone: usize,
}

/// How the part of a group that was run ended.
enum Group {
    Ran(Vec<(Job, Outcome<bool>)>),
    /// SQLite undid everything while it ran the last of these.
    Lost(Vec<(Job, Outcome<bool>)>),
}

impl Writer {
    pub(crate) const fn new(source: Arc<Source>, jobs: Receiver<Job>, db: Db) -> Self {
        Self { source, jobs, waiting: VecDeque::new(), db: Some(db), last: 0, alone: 0 }
    }

    /// Runs until every sender is gone and everything sent was answered.
    pub(crate) fn run(mut self) {
        while self.fill() {
            self.group();
        }
    }

    fn fill(&mut self) -> bool {
        if self.waiting.is_empty() {
            match self.jobs.recv() {
                Ok(job) => self.waiting.push_back(job),
                Err(_) => return false,
            }
        }
        self.take_sent();
        // Whoever was answered just now is about to come again. Without this the first to come would have a commit
        // to itself while all others wait. One writer alone never waits, and nobody waits for a timer.
        for _ in 0..GATHER_YIELDS {
            if self.waiting.len() >= self.last {
                break;
            }
            std::thread::yield_now();
            self.take_sent();
        }
        true
    }

    fn take_sent(&mut self) {
        while self.waiting.len() < GROUP_MAX {
            match self.jobs.try_recv() {
                Ok(job) => self.waiting.push_back(job),
                Err(_) => break,
            }
        }
    }

    fn group(&mut self) {
        if let Err(failed) = self.begin() {
            // Nobody behind these would fare better, and each would wait as long.
            self.waiting.drain(..).for_each(|job| job.fail(failed.again()));
            self.alone = 0;
            return;
        }
        let Some(db) = self.db.take() else { return };
        match self.run_group(&db) {
            Group::Lost(ran) => self.again(ran),
            Group::Ran(ran) => match self.commit(db) {
                Ok(db) => {
                    self.db = Some(db);
                    self.last = ran.len();
                    for (job, outcome) in ran {
                        job.answer.send(outcome.map_err(|failed| failed.during(OPERATION)));
                    }
                }
                Err(failed) => ran.into_iter().for_each(|(job, _)| job.fail(failed.again())),
            },
        }
    }

    fn begin(&mut self) -> Outcome<()> {
        self.source.guard.check()?;
        let db = match self.db.take() {
            Some(db) => db,
            None => self.revive()?,
        };
        let begun = db.run("BEGIN IMMEDIATE", []);
        // "Busy" is about a foreign connection and no doubt about ours.
        if begun.as_ref().err().is_none_or(|failed| failed.kind() == StoreErrorKind::Busy) {
            self.db = Some(db);
        }
        begun.map(|_| ())
    }

    /// Opens a connection in place of one that failed, which makes durable what is there, and looks at it again.
    fn revive(&self) -> Outcome<Db> {
        let db = Db::writer(&self.source)?;
        verify::structure(&db)?;
        verify::contradictions(&db)?;
        Ok(db)
    }

    fn run_group(&mut self, db: &Db) -> Group {
        let most = if self.alone > 0 { 1 } else { GROUP_MAX };
        let mut ran: Vec<(Job, Outcome<bool>)> = Vec::with_capacity(most.min(self.waiting.len()));
        let mut written = 0;
        while ran.len() < most && written < GROUP_BYTES_MAX {
            let Some(job) = self.waiting.pop_front() else { break };
            if job.answer.is_abandoned() {
                continue;
            }
            if job.since.elapsed() > Duration::from_secs(limits::STORE_TIMEOUT_S) {
                job.fail(Failed::new(StoreErrorKind::Timeout, "waited too long for its turn; it was not run"));
                continue;
            }
            let outcome = decide(db, &job.scope, &job.decision);
            written += outcome.as_ref().map_or(0, |size| size.unwrap_or(0));
            ran.push((job, outcome.map(|size| size.is_some())));
            if db.is_idle() {
                return Group::Lost(ran);
            }
        }
        self.alone = self.alone.saturating_sub(most);
        Group::Ran(ran)
    }

    /// The last one is at fault; those before it run again, each by itself.
    fn again(&mut self, mut ran: Vec<(Job, Outcome<bool>)>) {
        if let Some((job, outcome)) = ran.pop() {
            job.fail(outcome.err().unwrap_or_else(|| Failed::fault("the transaction ended early")));
        }
        self.alone = self.alone.saturating_sub(1).max(ran.len());
        ran.into_iter().rev().for_each(|(job, _)| self.waiting.push_front(job));
    }

    fn commit(&self, db: Db) -> Outcome<Db> {
        match db.run("COMMIT", []) {
            // What went to a file that is no longer at its path was not kept; where that cannot be looked up, nobody knows.
            Ok(_) => match self.source.guard.check() {
                Err(failed) if failed.kind() == StoreErrorKind::Unavailable => {
                    Err(failed.with_kind(StoreErrorKind::OutcomeUnknown))
                }
                checked => checked.map(|()| db),
            },
            Err(failed) => {
                let kind = match failed.kind() {
                    // The commit's last frame was never written whole, so the commit does not exist.
                    kind @ (StoreErrorKind::Full | StoreErrorKind::Busy) => kind,
                    _ => StoreErrorKind::OutcomeUnknown,
                };
                Err(failed.with_kind(kind))
            }
        }
    }
}
