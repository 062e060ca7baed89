//! What a sealed payload is bound to: everything else its author says.

use bytes::Bytes;

use crate::clock::VectorClock;
use crate::codec::Writer;
use crate::id::LogKey;
use crate::limits;
use crate::oplog::{Draft, Op, OpKind, Snapshot, Subject};
use crate::seq::{Anchor, Seq};

/// The place of a payload: which log, which op or snapshot. One place has one spelling, so that sealer and opener agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealContext {
    bound: Bytes,
    limits: Sizes,
}

/// What a payload in this place may measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sizes {
    /// Bytes once sealed.
    pub(super) bytes_max: usize,
    /// Keys and elements of JSON.
    pub(super) nodes_max: usize,
}

impl Sizes {
    const OP: Self = Self { bytes_max: limits::OP_PAYLOAD_BYTES_MAX, nodes_max: limits::JSON_NODES_MAX };
    const STATE: Self = Self { bytes_max: limits::FULL_STATE_BYTES_MAX, nodes_max: limits::FULL_STATE_JSON_NODES_MAX };
}

impl SealContext {
    /// The place of the payload of an op that is still being written: all its other fields are final. An op of this draft
    /// has the same context.
    #[must_use]
    pub fn of_draft(log: LogKey, draft: &Draft) -> Self {
        let mut out = begin(b"syncline/seal/op/v1\0", log);
        match &draft.subject {
            // An op names its further entities in order, whatever the order of its draft.
            Subject::Entity { key, also } if !also.is_sorted() => {
                let mut also = also.clone();
                also.sort_unstable();
                let subject = Subject::Entity { key: key.clone(), also };
                Draft { subject, ..draft.clone() }.encode_head(&mut out);
            }
            _ => draft.encode_head(&mut out),
        }
        // As the op will have it: a known code is the known kind.
        let state = matches!(OpKind::from_code(draft.kind.code()), OpKind::FullState(_));
        Self { bound: out.finish(), limits: if state { Sizes::STATE } else { Sizes::OP } }
    }

    /// The place of an op's payload.
    #[must_use]
    pub fn of_op(log: LogKey, op: &Op) -> Self {
        Self::of_draft(log, op.draft())
    }

    /// The place of a snapshot that a client made. Not of one that stands for a full-state op: a server answers with that
    /// op's own payload then, and whoever opens it reads the op at its seq.
    #[must_use]
    pub fn of_snapshot(log: LogKey, seq: Seq, anchor: Anchor, clock: &VectorClock, schema_version: u32) -> Self {
        let mut out = begin(b"syncline/seal/snapshot/v1\0", log);
        out.u64(seq.get());
        out.fixed(&anchor.to_bytes());
        clock.encode(&mut out);
        out.u64(schema_version.into());
        Self { bound: out.finish(), limits: Sizes::STATE }
    }

    /// The place of this snapshot's payload; see [`SealContext::of_snapshot`].
    #[must_use]
    pub fn of_kept(log: LogKey, snapshot: &Snapshot) -> Self {
        Self::of_snapshot(log, snapshot.seq, snapshot.anchor, &snapshot.clock, snapshot.schema_version)
    }

    pub(super) const fn sizes(&self) -> Sizes {
        self.limits
    }

    /// What the tag covers beside the ciphertext: the open part of the envelope, then the place.
    pub(super) fn bound_with(&self, open: &[u8]) -> Vec<u8> {
        [open, &self.bound].concat()
    }
}

fn begin(purpose: &[u8], log: LogKey) -> Writer {
    let mut out = Writer::with_capacity(256);
    out.fixed(purpose);
    out.fixed(log.bucket.as_bytes());
    out.fixed(log.log.as_bytes());
    out
}
