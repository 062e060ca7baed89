//! What stands for SQLite under the writer thread: a set of rows, a transaction, and failures that are drawn.

use std::collections::BTreeSet;

use shuttle::rand::Rng as _;
use shuttle::sync::{Arc, Mutex};

/// Rows that are durable.
pub(super) type Rows = BTreeSet<u8>;

fn one_in(number: u32) -> bool {
    shuttle::rand::thread_rng().gen_ratio(1, number)
}

pub(super) mod db {
    use super::error::{Failed, Outcome};
    use super::{Arc, Mutex, Rows, one_in};
    use syncline::store::StoreErrorKind;

    #[derive(Debug, Default)]
    pub(in super::super) struct Guard;

    impl Guard {
        #[allow(clippy::unused_self, clippy::unnecessary_wraps, reason = "as the shipped one")]
        pub(in super::super) fn check(&self) -> Outcome<()> {
            Ok(())
        }
    }

    #[derive(Debug, Default)]
    pub(in super::super) struct Source {
        pub(in super::super) guard: Guard,
        pub(in super::super) durable: Arc<Mutex<Rows>>,
    }

    /// The connection that writes.
    #[derive(Debug)]
    pub(in super::super) struct Db {
        durable: Arc<Mutex<Rows>>,
        /// What the transaction wrote so far; `None` outside of one.
        open: Mutex<Option<Vec<u8>>>,
    }

    impl Db {
        #[allow(clippy::unnecessary_wraps, reason = "as the shipped one")]
        pub(in super::super) fn writer(source: &Source) -> Outcome<Self> {
            Ok(Self { durable: Arc::clone(&source.durable), open: Mutex::new(None) })
        }

        pub(in super::super) fn run(&self, sql: &'static str, _: [u8; 0]) -> Outcome<usize> {
            let mut open = self.open.lock().unwrap();
            if sql == "BEGIN IMMEDIATE" {
                assert!(open.is_none(), "a transaction is begun in one");
                *open = Some(Vec::new());
                return Ok(0);
            }
            assert_eq!(sql, "COMMIT");
            let rows = open.take().expect("a transaction is committed that was begun");
            let fails = one_in(6);
            let kind = if one_in(2) { StoreErrorKind::Full } else { StoreErrorKind::Unavailable };
            if !fails || (kind == StoreErrorKind::Unavailable && one_in(2)) {
                self.durable.lock().unwrap().extend(rows);
            }
            if fails { Err(Failed::new(kind, "the commit failed")) } else { Ok(0) }
        }

        pub(in super::super) fn is_idle(&self) -> bool {
            self.open.lock().unwrap().is_none()
        }

        pub(super) fn write(&self, row: u8) {
            self.open.lock().unwrap().as_mut().expect("a row is written in a transaction").push(row);
        }

        pub(super) fn lose(&self) {
            *self.open.lock().unwrap() = None;
        }

        /// What a decision in the transaction sees.
        pub(super) fn sees(&self) -> Rows {
            let open = self.open.lock().unwrap();
            let durable = self.durable.lock().unwrap();
            durable.iter().chain(open.iter().flatten()).copied().collect()
        }
    }
}

pub(super) mod decide {
    use super::db::Db;
    use super::error::{Failed, Outcome};
    use super::{Rows, one_in};
    use syncline::decide::{Decision, Scope, Step, View};

    /// What is seen is told by the log's name: a decision that reads is about log 0, and gets what it sees as its clock.
    pub(in super::super) fn decide(db: &Db, scope: &Scope, decision: &Decision) -> Outcome<Option<usize>> {
        let row = scope.parts()[0].0.log.as_bytes()[0];
        let mut view = View::new();
        let seen: Rows = db.sees();
        for row in seen {
            let log = super::super::scenarios::log(row);
            view.log_mut(log).bounds = Some(super::super::scenarios::bounds(log));
        }
        if one_in(10) {
            // After some errors SQLite has undone the whole transaction by itself.
            if one_in(2) {
                db.lose();
            }
            return Err(Failed::fault("a row cannot be written"));
        }
        match decision(&view) {
            Step::Commit(_) => {
                db.write(row);
                Ok(Some(1))
            }
            Step::Abort | Step::Read(_) => Ok(None),
        }
    }
}

pub(super) mod verify {
    use super::db::Db;
    use super::error::Outcome;

    #[allow(clippy::unnecessary_wraps, reason = "as the shipped one")]
    pub(in super::super) fn structure(_: &Db) -> Outcome<()> {
        Ok(())
    }

    #[allow(clippy::unnecessary_wraps, reason = "as the shipped one")]
    pub(in super::super) fn contradictions(_: &Db) -> Outcome<Vec<syncline::LogKey>> {
        Ok(Vec::new())
    }
}

pub(super) mod error {
    use syncline::store::{StoreError, StoreErrorKind};

    #[derive(Debug)]
    pub(in super::super) struct Failed {
        kind: StoreErrorKind,
        detail: String,
    }

    pub(in super::super) type Outcome<T> = Result<T, Failed>;

    impl Failed {
        pub(in super::super) fn new(kind: StoreErrorKind, detail: impl Into<String>) -> Self {
            Self { kind, detail: detail.into() }
        }

        pub(in super::super) fn fault(what: impl Into<String>) -> Self {
            Self::new(StoreErrorKind::Fault, what)
        }

        pub(in super::super) const fn kind(&self) -> StoreErrorKind {
            self.kind
        }

        pub(in super::super) fn with_kind(self, kind: StoreErrorKind) -> Self {
            Self { kind, ..self }
        }

        pub(in super::super) fn again(&self) -> Self {
            Self::new(self.kind, self.detail.clone())
        }

        pub(in super::super) fn during(self, operation: &'static str) -> StoreError {
            StoreError::new(self.kind, "rows", operation).because(self.detail)
        }
    }
}
