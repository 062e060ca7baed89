//! What a decision has written: all of it or nothing, in one durable transaction.

use bytes::Bytes;

use super::SlotKey;
use crate::digest::Digest;
use crate::id::{EntityId, LogKey, RequestId};
use crate::oplog::{EntityKey, Head, LogBounds, LoggedOp, Snapshot};
use crate::seq::Seq;
use crate::time::Timestamp;
use crate::tree::{Change, Revision};

/// Everything one transaction writes.
#[derive(Debug, Clone, Default)]
#[allow(clippy::exhaustive_structs, reason = "adapters must write every part")]
pub struct WriteSet {
    /// Per log, in key order.
    pub logs: Vec<LogWrites>,
}

/// What is written to one log.
#[derive(Debug, Clone)]
#[allow(clippy::exhaustive_structs, reason = "adapters must write every part")]
pub struct LogWrites {
    /// Which log.
    pub log: LogKey,
    /// Forget the log first, with everything in it. With `bounds` it then begins anew at their horizon; see
    /// [`LogWrites::anew`].
    pub erase: bool,
    /// Ops after this seq go first, as if they had never been: their ids and digests, and a snapshot of a later place,
    /// go with them. Not with `erase`. Only a replica's copy of a log is ever cut back, never a server's log: it follows
    /// a server that lost them. The anchor there must have been read or be in the bounds.
    pub rewind: Option<Seq>,
    /// The log's row afterwards; `None` only with `erase`.
    pub bounds: Option<LogBounds>,
    /// New ops, in seq order, following `last` without a hole; in a log that begins anew, its horizon; in one that is
    /// cut back, the place where it was cut.
    pub ops: Vec<LoggedOp>,
    /// Heads that go before `heads` are written.
    pub forget: Forget,
    /// New or changed heads; no key twice, and none that [`Forget::Heads`] names.
    pub heads: Vec<(EntityKey, Head)>,
    /// Slots taken (`Some`) or given up (`None`); no key twice.
    pub slots: Vec<(SlotKey, Option<EntityKey>)>,
    /// What becomes of the tree of files.
    pub tree: TreeWrites,
    /// Answers to remember.
    pub receipts: Vec<Receipt>,
    /// A snapshot to keep; older ones of the log go.
    pub snapshot: Option<Snapshot>,
    /// Ops before this seq go; their ids and digests stay, so that no id ever has a second effect.
    pub prune_before: Option<Seq>,
    /// With `prune_before`: the ids and digests of all pruned ops go too, and the log may go on at a later place than its
    /// end, with nothing kept before that. For a reader's copy, whose ops are judged elsewhere.
    pub forget_pruned: bool,
    /// Receipts from before this time go.
    pub receipts_before: Option<Timestamp>,
}

impl LogWrites {
    /// Writes that leave the log with these bounds and change nothing else yet.
    #[must_use]
    pub fn new(log: LogKey, bounds: LogBounds) -> Self {
        Self { bounds: Some(bounds), ..Self::nothing(log) }
    }

    /// Writes without bounds: forget the log.
    #[must_use]
    pub fn forget(log: LogKey) -> Self {
        Self { erase: true, ..Self::nothing(log) }
    }

    /// Writes that forget the log, if there is one, and begin it anew at the horizon of these bounds: the first op
    /// written is `first`, its anchor extends `base`, and readers before the horizon meet a
    /// [`Gap::Pruned`](crate::oplog::Gap::Pruned). This is how a replica starts from a snapshot. `bounds.snapshot` is
    /// the seq of the snapshot written along, which lies at the horizon or at one of the ops.
    #[must_use]
    pub fn anew(log: LogKey, bounds: LogBounds) -> Self {
        Self { bounds: Some(bounds), ..Self::forget(log) }
    }

    const fn nothing(log: LogKey) -> Self {
        Self {
            log,
            erase: false,
            rewind: None,
            bounds: None,
            ops: Vec::new(),
            forget: Forget::Nothing,
            heads: Vec::new(),
            slots: Vec::new(),
            tree: TreeWrites::NOTHING,
            receipts: Vec::new(),
            snapshot: None,
            prune_before: None,
            forget_pruned: false,
            receipts_before: None,
        }
    }

    /// These writes alone as a write set.
    #[must_use]
    pub fn alone(self) -> Box<WriteSet> {
        Box::new(WriteSet { logs: vec![self] })
    }
}

/// What becomes of a log's tree of files. Only to be written where the view answered every question that it came of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(clippy::exhaustive_structs, reason = "adapters must write every part")]
pub struct TreeWrites {
    /// Applied in order; the names of siblings are unique when all of them are, and not before.
    pub changes: Vec<Change>,
    /// Contents to remember; of two of one file and one seq the later one counts.
    pub revisions: Vec<Revision>,
    /// Contents to forget: the file and the seq. One that is not there is no error. What a purged node had goes with it.
    pub forgotten: Vec<(EntityId, Seq)>,
}

impl TreeWrites {
    const NOTHING: Self = Self { changes: Vec::new(), revisions: Vec::new(), forgotten: Vec::new() };

    /// Whether nothing changes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.revisions.is_empty() && self.forgotten.is_empty()
    }
}

/// Which heads a write set forgets, as if they had never been. Ops, slots and everything else stay.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(clippy::exhaustive_enums, reason = "adapters must carry out every kind")]
pub enum Forget {
    /// None.
    #[default]
    Nothing,
    /// These. One that is not there is no error.
    Heads(Vec<EntityKey>),
    /// All of the log, those of system collections too.
    AllHeads,
}

/// The remembered answer to a request, bound to what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a store's row")]
pub struct Receipt {
    /// The client's id for the request.
    pub request: RequestId,
    /// What was asked: the same id with another question is refused.
    pub fingerprint: Digest,
    /// The answer, in the form its rule wrote.
    pub answer: Bytes,
    /// When, by the server's clock.
    pub at: Timestamp,
}
