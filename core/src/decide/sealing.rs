//! A log's policy on sealed payloads and its key epoch, held without a key.
//!
//! What must hold: what a log requires or forbids, it requires and forbids of ops, full states and snapshots alike; once a
//! log is at an epoch, nothing sealed under another one gets in, so that a device with an old key cannot write what the
//! others cannot read; and the epoch only rises.

use super::{Choice, LogWrites, View};
use crate::id::LogKey;
use crate::oplog::{Gap, LogBounds, Payload, RejectReason, Sealing, Snapshot};
use crate::seal::EnvelopeHead;

/// Judges a payload; the log's key epoch once it is taken.
///
/// The first payload in our envelope sets the epoch: a log is mostly made by its first push, and one that seeds an empty
/// server may be at any. Ciphertext of another program counts as epoch 0, so it gets in only before that.
pub(super) fn admit(bounds: &LogBounds, payload: &Payload) -> Result<u32, RejectReason> {
    let current = bounds.key_epoch;
    let Payload::Sealed(sealed) = payload else {
        let allowed = bounds.sealing != Sealing::Required;
        return if allowed { Ok(current) } else { Err(RejectReason::SealedRequired) };
    };
    if bounds.sealing == Sealing::Forbidden {
        return Err(RejectReason::SealedForbidden);
    }
    match EnvelopeHead::read(sealed).map_or(0, |head| head.epoch) {
        epoch if epoch == current || current == 0 => Ok(epoch),
        epoch if epoch < current => Err(RejectReason::KeyEpochStale { current }),
        _ => Err(RejectReason::KeyEpochAhead { current }),
    }
}

/// What became of a client's snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "every outcome needs its own answer")]
pub enum Offered {
    /// Right; kept unless one as new is kept already.
    Taken,
    /// Its place is not one of this log.
    Gap(Gap),
    /// The log takes no such payload.
    Refused(RejectReason),
}

/// Judges the payload of a client's snapshot. It sets no epoch: it stands for ops that did.
///
/// # Errors
/// Why the log does not take it.
pub fn admit_snapshot(bounds: &LogBounds, payload: &Payload) -> Result<(), RejectReason> {
    let current = bounds.key_epoch;
    match admit(bounds, payload)? {
        epoch if epoch == current => Ok(()),
        _ => Err(RejectReason::KeyEpochAhead { current }),
    }
}

/// Keeps a snapshot that a client made, as [`keep_snapshot`](super::keep_snapshot), if the log takes such a payload.
#[must_use]
pub fn offer_snapshot(log: LogKey, snapshot: &Snapshot, view: &View) -> Choice<Offered> {
    if let Some(bounds) = &view.log(log).bounds
        && let Err(reason) = admit_snapshot(bounds, &snapshot.payload)
    {
        return Choice::Done(Offered::Refused(reason), None);
    }
    match super::keep_snapshot(log, snapshot, view) {
        Choice::Read(more) => Choice::Read(more),
        Choice::Done(gap, writes) => Choice::Done(gap.map_or(Offered::Taken, Offered::Gap), writes),
    }
}

/// The outcome of a rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "every outcome needs its own answer")]
pub enum Rotated {
    /// The log is one epoch further.
    Done(Box<LogBounds>),
    /// There is no such log.
    NoLog,
    /// The log takes no sealed payloads.
    Forbidden,
    /// The log is not at the epoch the caller saw, or at the last there can be.
    Moved {
        /// Where it is.
        current: u32,
    },
    /// The log contradicts itself and takes no writes.
    Damaged,
}

/// Raises a log's key epoch by one, if it is still at `from`.
#[must_use]
pub fn rotate_keys(log: LogKey, from: u32, view: &View) -> Choice<Rotated> {
    let Some(bounds) = &view.log(log).bounds else { return Choice::Done(Rotated::NoLog, None) };
    if bounds.damaged {
        return Choice::Done(Rotated::Damaged, None);
    }
    if bounds.sealing == Sealing::Forbidden {
        return Choice::Done(Rotated::Forbidden, None);
    }
    let next = from.checked_add(1).filter(|_| from == bounds.key_epoch);
    let Some(key_epoch) = next else {
        return Choice::Done(Rotated::Moved { current: bounds.key_epoch }, None);
    };
    let bounds = LogBounds { key_epoch, ..bounds.clone() };
    Choice::Done(Rotated::Done(Box::new(bounds.clone())), Some(LogWrites::new(log, bounds).alone()))
}
