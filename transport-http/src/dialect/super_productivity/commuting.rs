//! Operations that may pass each other: time that devices add to the same task.
//!
//! Each adds an amount of its own, so of two that had not seen each other none is wrong and both count. The engine
//! orders an entity's ops by what their authors had seen; so one that is refused for this alone is pushed again as if
//! its author had seen the other. What readers get is the operation as it was uploaded, with its own clock.
//!
//! What must hold: only such an operation passes, and only another such one. One that is older than what is stored may
//! be part of it already, and is refused like any other.

use syncline::call::Refusal;
use syncline::oplog::{ConflictReason, Verdict};

use super::log::Log;
use super::op::WireOp;

/// What the app calls adding time to a task.
const ADDS_TIME: &str = "[TimeTracking] Sync time spent";
/// How often others may come first.
const RACES_MAX: usize = 8;

/// The verdict on an operation, once it was pushed again if that was all it needed.
pub(super) async fn judged(log: &Log<'_>, wire: &WireOp, mut verdict: Verdict) -> Result<Verdict, Refusal> {
    if wire.action_type != ADDS_TIME {
        return Ok(verdict);
    }
    for _ in 0..RACES_MAX {
        let Verdict::Conflict { reason: ConflictReason::Concurrent, head: Some(head) } = &verdict else { break };
        let there = log.op_at(head.version).await?.and_then(|there| WireOp::of(&there.op.read().ok()?));
        if there.is_none_or(|there| there.action_type != ADDS_TIME) {
            break;
        }
        let Ok(op) = wire.seal_after(false, &head.clock) else { break };
        let mut verdicts = log.push(vec![op], None).await?.verdicts;
        match verdicts.pop() {
            Some(again) => verdict = again,
            None => break,
        }
    }
    Ok(verdict)
}
