//! The engine's verdict on an op, in the dialect's words.
//!
//! What must hold: a conflict gets a conflict's code, because the device then writes anew; a repetition of what is
//! stored is `DUPLICATE_OPERATION`, because the device then counts it as stored; everything unforeseen is
//! `INTERNAL_ERROR`, because the device then tries again.

use std::collections::BTreeMap;

use serde::Serialize;
use syncline::call::{ErrorCode, Refusal};
use syncline::clock::Causality;
use syncline::oplog::{ConflictReason, Head, Op, RejectReason, Verdict};
use syncline::seq::Seq;

use super::log::Log;
use super::op::WireOp;
use super::validate::Rejection;

/// The answer about one operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Outcome {
    pub(super) accepted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) server_seq: Option<Seq>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error_code: Option<String>,
    /// What is there had seen this: the device can dominate it without asking again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) existing_clock: Option<BTreeMap<String, u64>>,
}

impl Outcome {
    pub(super) const fn accepted(seq: Seq) -> Self {
        Self { accepted: true, server_seq: Some(seq), error: None, error_code: None, existing_clock: None }
    }

    pub(super) fn rejected(rejection: Rejection) -> Self {
        Self::no(rejection.code, rejection.error)
    }

    pub(super) fn internal(error: &str) -> Self {
        Self::no("INTERNAL_ERROR", error.to_owned())
    }

    fn no(code: &str, error: String) -> Self {
        Self {
            accepted: false,
            server_seq: None,
            error: Some(error),
            error_code: Some(code.to_owned()),
            existing_clock: None,
        }
    }

    /// What a device is told when the store failed: words that it takes for passing.
    pub(super) fn of_refusal(refusal: &Refusal) -> Self {
        match refusal.code {
            ErrorCode::Busy | ErrorCode::Timeout => Self::internal("Transaction timeout - server busy, please retry"),
            _ => Self::internal("Transaction rolled back: please retry"),
        }
    }
}

/// The outcome of a verdict.
pub(super) async fn outcome(
    log: &Log<'_>,
    stale: &str,
    wire: &WireOp,
    op: &Op,
    verdict: &Verdict,
) -> Result<Outcome, Refusal> {
    match verdict {
        Verdict::Accepted { seq } => Ok(Outcome::accepted(*seq)),
        Verdict::Duplicate { .. } => Ok(duplicate()),
        Verdict::Rejected { reason: RejectReason::OpIdReused } => Ok(match stored(log, wire, op).await? {
            Some(_) => duplicate(),
            None => Outcome::no("INVALID_OP_ID", "Operation ID already used by another operation".to_owned()),
        }),
        Verdict::Conflict { reason, head } => {
            let mut outcome = conflict(log, stale, wire, op, *reason, head.as_deref()).await?;
            outcome.existing_clock = match (reason, head) {
                // What there was before the newest full state no longer counts; the full state does.
                (ConflictReason::Superseded, _) => match log.bounds().await?.and_then(|bounds| bounds.full_state) {
                    Some(mark) => Some(log.clock_of(&mark.clock).await?),
                    None => None,
                },
                (_, Some(head)) => Some(log.clock_of(&head.clock).await?),
                (_, None) => None,
            };
            Ok(outcome)
        }
        _ => Ok(Outcome::internal("Operation cannot be stored now, please retry")),
    }
}

fn duplicate() -> Outcome {
    Outcome::no("DUPLICATE_OPERATION", "Duplicate operation ID".to_owned())
}

/// Where the operation is stored that this one repeats, with what a repetition may change left aside.
pub(super) async fn stored(log: &Log<'_>, wire: &WireOp, op: &Op) -> Result<Option<Seq>, Refusal> {
    let Some(known) = log.known(op.id()).await? else { return Ok(None) };
    let Some(there) = log.op_at(known.seq).await? else {
        // Pruned: it was stored, and what it said is in the full state that stands in for it.
        return Ok(Some(known.seq));
    };
    let first = there.op.read().ok().as_ref().and_then(WireOp::of);
    Ok(first.filter(|first| first.is_repeated_by(wire, there.accepted_at)).map(|_| known.seq))
}

async fn conflict(
    log: &Log<'_>,
    stale: &str,
    wire: &WireOp,
    op: &Op,
    reason: ConflictReason,
    head: Option<&Head>,
) -> Result<Outcome, Refusal> {
    let what = format!("{}:{}", wire.entity_type, wire.conflict_ids().next().unwrap_or_default());
    let equal = head.filter(|head| op.clock().compare(&head.clock) == Causality::Equal);
    Ok(match (reason, equal) {
        (ConflictReason::Stale, Some(head)) => {
            let (mine, theirs) = (&wire.client_id, log.client_of(head.replica).await?);
            let text = format!("Equal vector clocks from different clients for {what} (client {mine} vs {theirs})");
            Outcome::no(stale, text)
        }
        (ConflictReason::Stale, None) => {
            Outcome::no(stale, format!("Stale operation: server has newer version of {what}"))
        }
        (ConflictReason::Concurrent | ConflictReason::Superseded, _) => {
            Outcome::no("CONFLICT_CONCURRENT", format!("Concurrent modification detected for {what}"))
        }
        // Only a repair that names its base meets this, and only clients that know the code write one.
        (ConflictReason::VersionMismatch | ConflictReason::Exists, _) if op.full_state().is_some() => {
            Outcome::no("REPAIR_STALE", "The repair is based on a state that is no longer the newest".to_owned())
        }
        _ => Outcome::internal("Operation cannot be stored now, please retry"),
    })
}
