//! Everything a decision has read so far.

use std::collections::{BTreeMap, BTreeSet};

use super::{Forget, LogWrites, Reads, Receipt, SlotKey};
use crate::digest::Digest;
use crate::id::{EntityId, LogKey, OpId, RequestId};
use crate::oplog::{EntityKey, Gap, Head, LogBounds};
use crate::seq::{Anchor, Seq};
use crate::tree::{Loaded, Revision};

/// An op that was accepted once: where, and the digest of its bytes. Outlives the op itself when that is pruned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a store's row")]
pub struct KnownOp {
    /// Its place.
    pub seq: Seq,
    /// The digest of its canonical bytes.
    pub digest: Digest,
}

/// One log as a decision sees it: its bounds, locked, and what it asked for.
#[derive(Debug, Clone, Default)]
#[allow(clippy::exhaustive_structs, reason = "adapters fill in every kind of read")]
pub struct LogView {
    /// `None` when the log does not exist.
    pub bounds: Option<LogBounds>,
    /// Which of the ids asked for were ever accepted.
    pub ops: BTreeMap<OpId, KnownOp>,
    /// The heads found.
    pub heads: BTreeMap<EntityKey, Head>,
    /// The slots held.
    pub slots: BTreeMap<SlotKey, EntityKey>,
    /// The receipts found.
    pub receipts: BTreeMap<RequestId, Receipt>,
    /// The anchors found.
    pub anchors: BTreeMap<Seq, Anchor>,
    /// What was found of the tree.
    pub tree: Loaded,
    /// The revisions found, of each file that was asked for: oldest first.
    pub revisions: BTreeMap<EntityId, Vec<Revision>>,
    /// Everything asked for so far.
    pub asked: Reads,
}

/// The logs of a scope in key order.
#[derive(Debug, Clone, Default)]
pub struct View {
    logs: BTreeMap<LogKey, LogView>,
}

impl View {
    /// A view with nothing read; stores fill it in.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One log of the scope. A log outside the scope looks like one that does not exist.
    #[must_use]
    pub fn log(&self, log: LogKey) -> &LogView {
        static ABSENT: std::sync::LazyLock<LogView> = std::sync::LazyLock::new(LogView::default);
        self.logs.get(&log).unwrap_or(&ABSENT)
    }

    /// Where a store puts what it read.
    pub fn log_mut(&mut self, log: LogKey) -> &mut LogView {
        self.logs.entry(log).or_default()
    }

    /// The faults of a write set against what was read: a store calls this before it writes, so that a faulty
    /// rule is an error and not a damaged log.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self, writes: &LogWrites) -> Result<(), &'static str> {
        let before = self.logs.get(&writes.log).ok_or("writes to a log outside the scope")?;
        let Some(after) = &writes.bounds else {
            let only_erases = writes.erase && writes.ops.is_empty() && writes.heads.is_empty();
            return if only_erases { Ok(()) } else { Err("writes without bounds") };
        };
        if after.first < Seq::FIRST || after.first.before() > after.last {
            return Err("the horizon lies behind the end");
        }
        let (mut last, mut tip) = match &before.bounds {
            _ if writes.erase && writes.rewind.is_some() => return Err("a log is both erased and cut back"),
            _ if writes.erase => horizon(writes, after)?,
            Some(bounds) if bounds.last < after.first.before() => later_horizon(writes, after)?,
            Some(bounds) if writes.rewind.is_some() => cut(before, bounds, writes, after)?,
            Some(bounds) => (bounds.last, bounds.tip),
            None if writes.rewind.is_some() => return Err("a log that is not there is cut back"),
            None => (Seq::ZERO, Anchor::genesis(writes.log, after.tip.origin)),
        };
        for logged in &writes.ops {
            if last.next() != Some(logged.seq) {
                return Err("a seq does not follow the one before");
            }
            if tip.extend(logged.op.digest(), logged.accepted_at) != logged.anchor {
                return Err("an anchor does not follow the one before");
            }
            (last, tip) = (logged.seq, logged.anchor);
        }
        if after.last != last || after.tip != tip {
            return Err("the bounds do not end where the ops end");
        }
        forgets_nothing_it_writes(writes)
    }
}

/// Where a log begins anew.
fn horizon(writes: &LogWrites, after: &LogBounds) -> Result<(Seq, Anchor), &'static str> {
    let start = (after.first.before(), after.base);
    if start.0 == Seq::ZERO && start.1 != Anchor::genesis(writes.log, after.base.origin) {
        return Err("a log that begins with its first op does not begin at its genesis");
    }
    let kept = writes.snapshot.as_ref();
    if after.snapshot != kept.map_or(Seq::ZERO, |snapshot| snapshot.seq) {
        return Err("the bounds name another snapshot than the one that is kept");
    }
    let mut places = std::iter::once(start).chain(writes.ops.iter().map(|logged| (logged.seq, logged.anchor)));
    if kept.is_some_and(|snapshot| !places.any(|place| place == (snapshot.seq, snapshot.anchor))) {
        return Err("the snapshot is of no place in the log");
    }
    Ok(start)
}

/// Where a reader's copy goes on that keeps nothing of what came in between.
fn later_horizon(writes: &LogWrites, after: &LogBounds) -> Result<(Seq, Anchor), &'static str> {
    if writes.prune_before == Some(after.first) && writes.forget_pruned {
        Ok((after.first.before(), after.base))
    } else {
        Err("the horizon lies behind the end")
    }
}

/// Where a log is cut back to.
fn cut(
    view: &LogView,
    before: &LogBounds,
    writes: &LogWrites,
    after: &LogBounds,
) -> Result<(Seq, Anchor), &'static str> {
    let to = writes.rewind.unwrap_or(before.last);
    if (after.first, after.base) != (before.first, before.base) || to > before.last {
        return Err("a log is cut back to a place it does not have");
    }
    if writes.snapshot.is_none() && after.snapshot > to {
        return Err("the bounds name a snapshot of a place that is cut off");
    }
    let anchor = Gap::anchor_from_bounds(to, before).or_else(|| view.anchors.get(&to).copied());
    Ok((to, anchor.ok_or("a log is cut back to a place whose anchor was not read")?))
}

fn forgets_nothing_it_writes(writes: &LogWrites) -> Result<(), &'static str> {
    let Forget::Heads(gone) = &writes.forget else { return Ok(()) };
    let gone: BTreeSet<&EntityKey> = gone.iter().collect();
    let contradicts = writes.heads.iter().any(|(key, _)| gone.contains(key));
    if contradicts { Err("a head is both forgotten and written") } else { Ok(()) }
}
