//! The one function in which the four systems differ.
//!
//! `arbitrate(policy, basis, op)` judges an op against the head of one entity. It is total, pure, and pinned by
//! a golden table over every combination of policy, head, causality and precondition (`core/tests/arbitration.rs`).
//!
//! The causal column is the decision table of Super Productivity's server (seed 004; design, section 12.4); the
//! merge column is SyncKit's (seed 003: always accepted); the precondition column TinySync's (seed 002: the first
//! write whose precondition holds wins); append is chat and audit (seed 000).

use serde::{Deserialize, Serialize};

use super::bounds::FullStateMark;
use super::head::Head;
use super::op::{Op, OpKind, Precondition};
use super::verdict::{ConflictReason, RejectReason};
use crate::clock::Causality;
use crate::seq::Seq;

/// How a collection's conflicts are decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::exhaustive_enums, reason = "the arbitration table is exhaustive over these")]
pub enum ConflictPolicy {
    /// An op must have seen what it changes.
    Causal,
    /// Payloads merge: every op is accepted.
    Merge,
    /// An op must say which version it changes.
    Precondition,
    /// Entities are made once and never change.
    Append,
}

/// The outcome for one entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "an op is accepted, loses, or is wrong")]
pub enum Ruling {
    /// Take it.
    Accept,
    /// It lost.
    Conflict(ConflictReason),
    /// It is wrong.
    Reject(RejectReason),
}

/// Judges `op` against the head of one entity it touches.
///
/// `full_state` is the log's newest full-state op: a head older than it says nothing any more, and an op that
/// had not seen it is superseded. A precondition that was given is honoured under every policy.
#[must_use]
pub fn arbitrate(policy: ConflictPolicy, head: Option<&Head>, full_state: Option<&FullStateMark>, op: &Op) -> Ruling {
    let floor = full_state.filter(|mark| head.is_none_or(|head| head.version < mark.seq));
    let head = if floor.is_some() { None } else { head };
    match policy {
        ConflictPolicy::Causal => first_fault(&[causal(head, floor, op), precondition(head, floor, op)]),
        ConflictPolicy::Merge => first_fault(&[not_superseded(floor, op), precondition(head, floor, op)]),
        ConflictPolicy::Precondition => versioned(head, floor, op),
        ConflictPolicy::Append => append(head, op),
    }
}

fn first_fault(rulings: &[Ruling]) -> Ruling {
    rulings.iter().copied().find(|ruling| *ruling != Ruling::Accept).unwrap_or(Ruling::Accept)
}

fn causal(head: Option<&Head>, floor: Option<&FullStateMark>, op: &Op) -> Ruling {
    let Some(head) = head else {
        return not_superseded(floor, op);
    };
    match op.clock().compare(&head.clock) {
        Causality::After => Ruling::Accept,
        // The same author saying the same clock again is continuing, not contradicting itself.
        Causality::Equal if op.replica() == head.replica => Ruling::Accept,
        Causality::Equal | Causality::Before => Ruling::Conflict(ConflictReason::Stale),
        Causality::Concurrent => Ruling::Conflict(ConflictReason::Concurrent),
    }
}

fn not_superseded(floor: Option<&FullStateMark>, op: &Op) -> Ruling {
    match floor {
        Some(mark) if !op.clock().covers(&mark.clock) => Ruling::Conflict(ConflictReason::Superseded),
        _ => Ruling::Accept,
    }
}

fn precondition(head: Option<&Head>, floor: Option<&FullStateMark>, op: &Op) -> Ruling {
    match op.precondition() {
        Precondition::None => Ruling::Accept,
        Precondition::Absent if head.is_some_and(|head| !head.is_deleted()) => Ruling::Conflict(ConflictReason::Exists),
        Precondition::Absent => Ruling::Accept,
        Precondition::Version(version) if Some(version) == current_version(head, floor) => Ruling::Accept,
        Precondition::Version(_) => Ruling::Conflict(ConflictReason::VersionMismatch),
    }
}

/// An entity that only the full state can know has the full state's version.
fn current_version(head: Option<&Head>, floor: Option<&FullStateMark>) -> Option<Seq> {
    head.map(|head| head.version).or_else(|| floor.map(|mark| mark.seq))
}

fn versioned(head: Option<&Head>, floor: Option<&FullStateMark>, op: &Op) -> Ruling {
    match (op.kind(), op.precondition()) {
        // Making a thing without a precondition means: if it is not there.
        (OpKind::Create, Precondition::None) if head.is_some_and(|head| !head.is_deleted()) => {
            Ruling::Conflict(ConflictReason::Exists)
        }
        (OpKind::Create, Precondition::None) => Ruling::Accept,
        (_, Precondition::None) => Ruling::Reject(RejectReason::PreconditionRequired),
        _ => precondition(head, floor, op),
    }
}

fn append(head: Option<&Head>, op: &Op) -> Ruling {
    match (op.kind(), op.precondition()) {
        (OpKind::Create | OpKind::Other(_), Precondition::None | Precondition::Absent) => {
            if head.is_some() {
                Ruling::Conflict(ConflictReason::Exists)
            } else {
                Ruling::Accept
            }
        }
        _ => Ruling::Reject(RejectReason::AppendOnly),
    }
}
