//! Dropping old history, never more than a full-state op stands in for: it is in the log itself, under the running hash.

use super::{Choice, LogWrites, View};
use crate::id::LogKey;
use crate::oplog::{Gap, LogBounds};
use crate::seq::Seq;

/// What to drop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "arguments of one rule")]
pub struct Prune {
    /// Of which log.
    pub log: LogKey,
    /// Ops before this seq go.
    pub before: Seq,
    /// The horizon this was computed from.
    pub first: Seq,
    /// Canonical bytes of the ops from `first` up to `before`.
    pub bytes: u64,
}

/// What was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(clippy::exhaustive_structs, reason = "plain data")]
pub struct Pruned {
    /// Ops.
    pub ops: u64,
    /// Their canonical bytes.
    pub bytes: u64,
}

/// Whether a full state stands in for what lies before a seq. It stays itself: it is in the log and nowhere else.
pub(crate) fn is_stood_in_for(before: Seq, bounds: &LogBounds) -> bool {
    let stand_in = bounds.full_state.as_ref().map_or(Seq::ZERO, |mark| mark.seq);
    before <= stand_in && before <= bounds.last
}

/// Moves the horizon. `None` when the log has moved on from what the plan was computed from, or nothing stands in for
/// what would go. Needs the anchor at `before − 1` in its reads. A cursor at the new horizon still fits.
#[must_use]
pub fn prune(plan: &Prune, view: &View) -> Choice<Option<Pruned>> {
    let seen = view.log(plan.log);
    let Some(bounds) = seen.bounds.as_ref().filter(|bounds| bounds.first == plan.first && !bounds.damaged) else {
        return Choice::Done(None, None);
    };
    let horizon = plan.before.before();
    if plan.before <= bounds.first || !is_stood_in_for(plan.before, bounds) {
        return Choice::Done((plan.before == bounds.first).then(Pruned::default), None);
    }
    let known = Gap::anchor_from_bounds(horizon, bounds).or_else(|| seen.anchors.get(&horizon).copied());
    let Some(base) = known else {
        return Choice::Done(None, None);
    };
    let pruned = Pruned { ops: plan.before.get() - plan.first.get(), bytes: plan.bytes };
    let bytes = bounds.bytes.saturating_sub(plan.bytes);
    let bounds = LogBounds { first: plan.before, base, bytes, ..bounds.clone() };
    let writes = LogWrites { prune_before: Some(plan.before), ..LogWrites::new(plan.log, bounds) };
    Choice::Done(Some(pruned), Some(writes.alone()))
}
