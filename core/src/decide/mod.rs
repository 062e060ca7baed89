//! The contract between rules and storage: what a decision may read, and what it may have written.
//!
//! A decision is a pure function of a [`View`], everything read so far. It answers with a [`Step`]: read these
//! too, commit these writes, or abort. The store runs it inside one transaction that is serial with every other
//! on the same logs, and may run it again from the start; so every rule is tested by handing it a view, and an
//! adapter only moves rows. What must hold: a decision looks at nothing but its view and its captured arguments.
//!
//! Next: [`upload()`] is the rule that matters most; [`store`](crate::store) is the other side.

mod admin;
mod blobs;
mod holders;
mod links;
mod manifests;
mod place;
mod prune;
mod record;
mod retain;
mod scans;
mod sealing;
mod share;
mod system;
mod terms;
pub mod upload;
mod view;
mod write;

use std::sync::Arc;

pub use admin::{DeleteLog, Deleted, create_log, delete_log, keep_snapshot, mark_damaged};
pub use blobs::{
    BlobBook, BlobFault, Came, Going, adopt_blobs, blob_key, blob_notes, blob_of, blob_reads, forget_blobs,
    reserve_blobs, set_quota, settle_blobs, sweep_blobs, usage_key, usage_of,
};
pub use holders::{Acknowledge, Acknowledged, acknowledge, holders_key, holders_of};
pub use links::{
    Guess, count_download, end_guess, link_key, link_notes, link_of, link_use_key, link_use_of, make_link, revoke_link,
    try_guess,
};
pub use manifests::{PieceStep, PiecesStepped, count_pieces, file_key, judge_manifest, manifest_of, release_pieces};
pub use place::{Placed, Placement, TREE_ROOT, WrongContent, place};
pub(crate) use prune::is_stood_in_for;
pub use prune::{Prune, Pruned, prune};
use record::note_head;
pub use record::{Expect, Record, RecordWrite, RecordWritten, forget_notes, record_of, set_note, write_record};
pub use retain::{Candidate, Retain, Retained, retain};
pub use scans::{
    ScanPage, Unscanned, bring_scan, contents_of, forget_scan, keep_scan, put_off_scan, queue_scans, release_scan,
    scan_key, scan_notes, scan_of, scan_reads, scan_terms_key, scan_terms_of, set_scanning, settle_scan, unscanned_key,
    unscanned_notes,
};
pub use sealing::{Offered, Rotated, admit_snapshot, offer_snapshot, rotate_keys};
pub use share::{Share, ShareFault, Shared, SharedEnds, share_folder};
pub use system::{Recalled, group_key, group_records, recall, token_key, token_records};
pub use terms::{NewTerms, TermsFault, TreeTerms, set_tree_terms, terms_reads, tree_key, tree_terms_of};
pub use upload::{Upload, Uploaded, upload};
pub use view::{KnownOp, LogView, View};
pub use write::{Forget, LogWrites, Receipt, TreeWrites, WriteSet};

use crate::id::{EntityId, LogKey, OpId, RequestId};
use crate::limits;
use crate::oplog::EntityKey;
use crate::seq::Seq;
use crate::tree::TreeRead;

/// The logs a transaction locks, each with what to read along with its bounds. Sorted by key, no repeats.
#[derive(Debug, Clone)]
pub struct Scope {
    logs: Vec<(LogKey, Reads)>,
}

/// A transaction over too many logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a transaction takes 1 to {max} logs, not {0}", max = limits::SCOPE_LOGS_MAX)]
pub struct ScopeError(pub usize);

impl Scope {
    /// One log.
    #[must_use]
    pub fn log(log: LogKey, reads: Reads) -> Self {
        Self { logs: vec![(log, reads)] }
    }

    /// Several logs, locked in key order whatever the order here.
    ///
    /// # Errors
    /// When there are none or too many; reads of a log named twice are put together.
    pub fn logs(mut logs: Vec<(LogKey, Reads)>) -> Result<Self, ScopeError> {
        logs.sort_by_key(|(log, _)| *log);
        logs.dedup_by(|(log, reads), (kept, kept_reads)| {
            let same = log == kept;
            if same {
                kept_reads.add(std::mem::take(reads));
            }
            same
        });
        if logs.is_empty() || logs.len() > limits::SCOPE_LOGS_MAX {
            return Err(ScopeError(logs.len()));
        }
        Ok(Self { logs })
    }

    /// The logs in locking order with their first reads.
    #[must_use]
    pub fn parts(&self) -> &[(LogKey, Reads)] {
        &self.logs
    }
}

/// What to read in one log, beyond its bounds. Reading what is absent is no error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "adapters must answer every kind of read")]
pub struct Reads {
    /// Whether these op ids were ever accepted, and as what.
    pub ops: Vec<OpId>,
    /// The heads of these entities.
    pub heads: Vec<EntityKey>,
    /// Who holds these slots.
    pub slots: Vec<SlotKey>,
    /// The receipts of these requests.
    pub receipts: Vec<RequestId>,
    /// The log's running hash at these seqs.
    pub anchors: Vec<Seq>,
    /// Questions about the log's tree of files.
    pub tree: Vec<TreeRead>,
    /// The contents that these files had: the oldest [`limits::REVISIONS_READ_MAX`] of each.
    pub revisions: Vec<EntityId>,
}

impl Reads {
    /// Puts more reads to these.
    pub fn add(&mut self, more: Self) {
        self.ops.extend(more.ops);
        self.heads.extend(more.heads);
        self.slots.extend(more.slots);
        self.receipts.extend(more.receipts);
        self.anchors.extend(more.anchors);
        self.tree.extend(more.tree);
        self.revisions.extend(more.revisions);
    }

    /// How many keys.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.ops.len()
            + self.heads.len()
            + self.slots.len()
            + self.receipts.len()
            + self.anchors.len()
            + self.tree.len()
            + self.revisions.len()
    }

    /// Whether there is nothing to read.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A unique name inside a log that one entity holds: `(parent, folded name)` in a tree, an e-mail address in a roster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(clippy::exhaustive_structs, reason = "a key is its bytes")]
pub struct SlotKey(pub bytes::Bytes);

/// What a decision wants next.
#[derive(Debug, Clone)]
#[allow(clippy::exhaustive_enums, reason = "the whole contract between rules and storage")]
pub enum Step {
    /// Read these too, then ask again.
    Read(Vec<(LogKey, Reads)>),
    /// Write all of this, atomically and durably.
    Commit(Box<WriteSet>),
    /// Write nothing.
    Abort,
}

/// A rule as a store runs it. Pure; may be called any number of times.
pub type Decision = Arc<dyn Fn(&View) -> Step + Send + Sync>;

/// A step with the rule's own answer, as rules are written.
#[derive(Debug, Clone)]
#[allow(clippy::exhaustive_enums, reason = "a rule reads on or is done")]
pub enum Choice<R> {
    /// Read these too, then ask again.
    Read(Vec<(LogKey, Reads)>),
    /// The answer, and what is to be written for it.
    Done(R, Option<Box<WriteSet>>),
}
