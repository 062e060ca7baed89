//! Rules about a log as a whole: make it, delete it, keep a snapshot of it, stop it when it contradicts itself.

use super::{Choice, LogWrites, View};
use crate::id::LogKey;
use crate::oplog::{Gap, LogBounds, Sealing, Snapshot};
use crate::seq::{Cursor, Origin};
use crate::time::Env;

/// Makes a log with this policy on sealed payloads; one that exists stays as it is, whatever its policy. The answer says
/// whether it was made now.
#[must_use]
pub fn create_log(log: LogKey, sealing: Sealing, env: &Env, view: &View) -> Choice<(LogBounds, bool)> {
    if let Some(bounds) = &view.log(log).bounds {
        return Choice::Done((bounds.clone(), false), None);
    }
    let bounds = LogBounds { sealing, ..LogBounds::new(log, Origin(env.bytes16("origin")), env.now) };
    Choice::Done((bounds.clone(), true), Some(LogWrites::new(log, bounds).alone()))
}

/// Which log to delete, and the proof that the caller knows what it deletes.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::exhaustive_structs, reason = "arguments of one rule")]
pub struct DeleteLog {
    /// The log.
    pub log: LogKey,
    /// Its end as the caller last saw it. Deleting takes two steps: look, then say what was seen.
    pub seen: Cursor,
}

/// The outcome of a deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "every outcome needs its own answer")]
pub enum Deleted {
    /// Gone; also when it was not there.
    Done,
    /// The log has moved on since the caller looked; nothing was deleted.
    Moved(Box<LogBounds>),
}

/// Deletes a log that still ends where the caller saw it end.
#[must_use]
pub fn delete_log(delete: &DeleteLog, view: &View) -> Choice<Deleted> {
    match &view.log(delete.log).bounds {
        None => Choice::Done(Deleted::Done, None),
        Some(bounds) if bounds.end() == delete.seen => {
            Choice::Done(Deleted::Done, Some(LogWrites::forget(delete.log).alone()))
        }
        Some(bounds) => Choice::Done(Deleted::Moved(Box::new(bounds.clone())), None),
    }
}

/// Keeps a snapshot whose place in the log is right. The answer is the gap that its place shows, if any; a snapshot
/// older than the one kept is right and is not kept. Needs the anchor at the snapshot's seq in its reads.
#[must_use]
pub fn keep_snapshot(log: LogKey, snapshot: &Snapshot, view: &View) -> Choice<Option<Gap>> {
    let seen = view.log(log);
    let known = seen.anchors.get(&snapshot.seq).copied();
    if let Some(gap) = Gap::check(snapshot.cursor(), seen.bounds.as_ref(), known) {
        return Choice::Done(Some(gap), None);
    }
    let Some(bounds) = seen.bounds.as_ref().filter(|bounds| snapshot.seq > bounds.snapshot && !bounds.damaged) else {
        return Choice::Done(None, None);
    };
    let bounds = LogBounds { snapshot: snapshot.seq, ..bounds.clone() };
    let writes = LogWrites { snapshot: Some(snapshot.clone()), ..LogWrites::new(log, bounds) };
    Choice::Done(None, Some(writes.alone()))
}

/// Stops a log that was found to contradict itself; other logs go on. `origin` is that of the history it was found in:
/// a log made again since then is not stopped for it.
#[must_use]
pub fn mark_damaged(log: LogKey, origin: Origin, view: &View) -> Choice<()> {
    let same = |bounds: &&LogBounds| !bounds.damaged && bounds.tip.origin == origin;
    let Some(bounds) = view.log(log).bounds.as_ref().filter(same) else {
        return Choice::Done((), None);
    };
    let bounds = LogBounds { damaged: true, ..bounds.clone() };
    Choice::Done((), Some(LogWrites::new(log, bounds).alone()))
}
