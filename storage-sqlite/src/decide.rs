//! One decision, run inside an open transaction: fill the view, loop the rule, write what it says.
//!
//! What must hold: a rule that panics, keeps reading or contradicts its view is an error to its caller and changes
//! nothing; a failed write is undone to where this decision began and leaves the rest of the group alone.

use std::panic::{AssertUnwindSafe, catch_unwind};

use syncline::decide::{Decision, Reads, Scope, Step, View, WriteSet};
use syncline::id::LogKey;
use syncline::limits;
use syncline::store::StoreErrorKind;

use crate::db::Db;
use crate::error::{Failed, Outcome};
use crate::rows::LogRow;
use crate::tree::{self, TreeRows};
use crate::write;

/// Runs a decision; how many bytes it wrote, `None` when it wrote nothing.
pub(crate) fn decide(db: &Db, scope: &Scope, decision: &Decision) -> Outcome<Option<usize>> {
    let mut view = View::new();
    let mut logs = Vec::with_capacity(scope.parts().len());
    for (log, reads) in scope.parts() {
        let row = LogRow::find(db, *log)?;
        view.log_mut(*log).bounds = row.as_ref().map(|row| row.bounds.clone());
        read(db, *log, row.as_ref(), reads.clone(), &mut view)?;
        logs.push((*log, row));
    }
    for _ in 0..limits::DECISION_ROUNDS_MAX {
        let step = catch_unwind(AssertUnwindSafe(|| decision(&view)));
        match step.map_err(|_| Failed::fault("the decision panicked"))? {
            Step::Abort => return Ok(None),
            Step::Commit(writes) => return commit(db, &view, &logs, &writes).map(Some),
            Step::Read(more) => {
                for (log, reads) in more {
                    let (_, row) = logs
                        .iter()
                        .find(|(locked, _)| *locked == log)
                        .ok_or_else(|| Failed::fault("a read of a log outside the scope"))?;
                    read(db, log, row.as_ref(), reads, &mut view)?;
                }
            }
        }
    }
    Err(Failed::new(StoreErrorKind::Runaway, format!("more than {} rounds", limits::DECISION_ROUNDS_MAX)))
}

fn read(db: &Db, log: LogKey, row: Option<&LogRow>, reads: Reads, view: &mut View) -> Outcome<()> {
    let into = view.log_mut(log);
    let asked = into.asked.len() + reads.len();
    if asked > limits::DECISION_READS_MAX {
        return Err(Failed::new(StoreErrorKind::Runaway, format!("{asked} reads in one log")));
    }
    if let Some(row) = row {
        for id in &reads.ops {
            into.ops.extend(row.known(db, *id)?.map(|known| (*id, known)));
        }
        for key in &reads.heads {
            into.heads.extend(row.head(db, key)?.map(|head| (key.clone(), head)));
        }
        for key in &reads.slots {
            into.slots.extend(row.slot(db, key)?.map(|holder| (key.clone(), holder)));
        }
        for request in &reads.receipts {
            into.receipts.extend(row.receipt(db, *request)?.map(|receipt| (*request, receipt)));
        }
        for seq in &reads.anchors {
            into.anchors.extend(row.anchor(db, *seq)?.map(|anchor| (*seq, anchor)));
        }
    }
    for node in &reads.revisions {
        let found = row.map_or_else(|| Ok(Vec::new()), |row| tree::oldest_revisions(db, row.id, *node))?;
        into.revisions.insert(*node, found);
    }
    for asked in reads.tree.iter().cloned() {
        match row {
            Some(row) => into.tree.answer(asked, &TreeRows { db, log: row.id })?,
            None => into.tree.answer_empty(asked),
        }
    }
    into.asked.add(reads);
    Ok(())
}

fn commit(db: &Db, view: &View, rows: &[(LogKey, Option<LogRow>)], writes: &WriteSet) -> Outcome<usize> {
    writes.logs.iter().try_for_each(|log| view.check(log)).map_err(Failed::fault)?;
    db.run("SAVEPOINT decision", [])?;
    let written = write::write(db, rows, writes);
    // After some errors SQLite has already undone the whole transaction; whoever runs the group sees that.
    if db.is_idle() {
        return written;
    }
    let undone = if written.is_err() { db.run("ROLLBACK TO decision", []).map(drop) } else { Ok(()) };
    if let Err(failed) = undone.and_then(|()| db.run("RELEASE decision", []).map(drop)) {
        // Half a decision must not be committed with the group: the group goes, and those before this one run again.
        let _ = db.run("ROLLBACK", []);
        return Err(failed);
    }
    written
}
