//! What a log's tree of files takes: names, sizes, how many nodes. A note beside the log, read and written with each commit.
//!
//! What must hold: only a commit changes how many nodes there are; what is there stays, whatever the terms become.
//!
//! *Next:* [`place`](super::place()) keeps to them.

use super::record::note_head;
use super::{Choice, LogWrites, Reads, TREE_ROOT, View};
use crate::codec::{DecodeError, Reader, Writer};
use crate::id::{LogId, LogKey};
use crate::limits;
use crate::oplog::{Collection, EntityKey, Head};
use crate::tree::{NamePolicy, Retention};

/// What a tree takes, and how much of it there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a row")]
pub struct TreeTerms {
    /// Which names there may be.
    pub names: NamePolicy,
    /// Bytes of one file.
    pub file_bytes_max: u64,
    /// Nodes, dead ones included.
    pub nodes_max: u64,
    /// How long older revisions and what was deleted are kept.
    pub retention: Retention,
    /// How many there are.
    pub nodes: u64,
    /// The log one of whose folders the tree was before it was shared. Such a tree takes no mounts, and only such a tree is
    /// mounted, so mounts never nest.
    pub shared: Option<LogId>,
}

impl Default for TreeTerms {
    fn default() -> Self {
        Self {
            names: NamePolicy::Strict,
            file_bytes_max: limits::BLOB_BYTES_MAX,
            nodes_max: limits::TREE_NODES_MAX,
            retention: Retention::default(),
            nodes: 0,
            shared: None,
        }
    }
}

impl TreeTerms {
    /// Its bytes: version 2, names (0 strict, 1 lenient), then the numbers as varints, those of the retention last. Version 1
    /// had none of these. Version 3 is that of a shared tree: behind them stands the log it was shared from.
    #[must_use]
    pub fn to_bytes(&self) -> bytes::Bytes {
        let mut out = Writer::with_capacity(32);
        out.u8(if self.shared.is_some() { 3 } else { 2 });
        out.u8(u8::from(self.names == NamePolicy::Lenient));
        let Retention { version_days, max_versions, tombstone_days } = self.retention;
        let numbers =
            [self.file_bytes_max, self.nodes_max, self.nodes, version_days, max_versions as u64, tombstone_days];
        numbers.into_iter().for_each(|number| out.u64(number));
        if let Some(log) = self.shared {
            out.fixed(log.as_bytes());
        }
        out.finish()
    }

    /// The inverse of [`to_bytes`](Self::to_bytes).
    ///
    /// # Errors
    /// When the bytes are not canonical.
    pub fn from_bytes(bytes: bytes::Bytes) -> Result<Self, DecodeError> {
        const WHAT: &str = "a tree's terms";
        let mut input = Reader::new(bytes);
        let version = input.u8(WHAT)?;
        let names = match (version, input.u8(WHAT)?) {
            (1..=3, 0) => NamePolicy::Strict,
            (1..=3, 1) => NamePolicy::Lenient,
            _ => return Err(DecodeError::NotCanonical(WHAT)),
        };
        let (file_bytes_max, nodes_max, nodes) = (input.u64(WHAT)?, input.u64(WHAT)?, input.u64(WHAT)?);
        let mut retention = Retention::default();
        if version >= 2 {
            retention.version_days = input.u64(WHAT)?;
            let max_versions = usize::try_from(input.u64(WHAT)?);
            retention.max_versions = max_versions.map_err(|_| DecodeError::NotCanonical(WHAT))?;
            retention.tombstone_days = input.u64(WHAT)?;
        }
        let shared = if version == 3 { Some(LogId::from_bytes(input.fixed(WHAT)?)) } else { None };
        input.finish()?;
        Ok(Self { names, file_bytes_max, nodes_max, retention, nodes, shared })
    }
}

/// What somebody wants a tree to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "arguments of one call")]
pub struct NewTerms {
    /// Which names there may be.
    pub names: NamePolicy,
    /// Bytes of one file, at most [`FILE_BYTES_MAX`](limits::FILE_BYTES_MAX).
    pub file_bytes_max: u64,
    /// Nodes, dead ones included, at most [`TREE_NODES_MAX`](limits::TREE_NODES_MAX).
    pub nodes_max: u64,
    /// How long older revisions and what was deleted are kept; 1 to [`REVISIONS_KEPT_MAX`](limits::REVISIONS_KEPT_MAX)
    /// revisions.
    pub retention: Retention,
}

/// Terms cannot be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TermsFault {
    /// More than any tree takes, or no revision of a file.
    #[error(
        "a tree takes files of at most {} bytes, {} nodes, and 1 to {} revisions of each file",
        limits::FILE_BYTES_MAX,
        limits::TREE_NODES_MAX,
        limits::REVISIONS_KEPT_MAX
    )]
    TooMuch,
    /// The log is not there.
    #[error("no such log")]
    NoLog,
    /// The terms that are kept do not read.
    #[error("what is kept of a tree does not read: {0}")]
    Unreadable(#[from] DecodeError),
}

/// The note of a tree's terms.
#[must_use]
pub fn tree_key() -> EntityKey {
    EntityKey { collection: Collection::system("sys.tree"), entity: TREE_ROOT }
}

/// A tree's terms, by the note.
///
/// # Errors
/// When it does not read.
pub fn tree_terms_of(note: Option<&Head>) -> Result<TreeTerms, DecodeError> {
    note.and_then(Head::live_state)
        .map_or_else(|| Ok(TreeTerms::default()), |bytes| TreeTerms::from_bytes(bytes.clone()))
}

/// What [`set_tree_terms`] reads.
#[must_use]
pub fn terms_reads() -> Reads {
    Reads { heads: vec![tree_key()], ..Reads::default() }
}

/// Says what a tree takes from now on. Needs [`terms_reads`].
#[must_use]
pub fn set_tree_terms(log: LogKey, new: NewTerms, view: &View) -> Choice<Result<TreeTerms, TermsFault>> {
    let seen = view.log(log);
    let NewTerms { names, file_bytes_max, nodes_max, retention } = new;
    let versions = (1..=limits::REVISIONS_KEPT_MAX).contains(&retention.max_versions);
    if file_bytes_max > limits::FILE_BYTES_MAX || nodes_max > limits::TREE_NODES_MAX || !versions {
        return Choice::Done(Err(TermsFault::TooMuch), None);
    }
    let Some(bounds) = seen.bounds.clone() else { return Choice::Done(Err(TermsFault::NoLog), None) };
    let terms = match tree_terms_of(seen.heads.get(&tree_key())) {
        Ok(before) => TreeTerms { names, file_bytes_max, nodes_max, retention, ..before },
        Err(error) => return Choice::Done(Err(error.into()), None),
    };
    let mut writes = LogWrites::new(log, bounds.clone());
    writes.heads.push((tree_key(), note_head(&bounds, terms.to_bytes())));
    Choice::Done(Ok(terms), Some(writes.alone()))
}
