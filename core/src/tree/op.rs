//! What a device asks of a tree, and what it is answered.
//!
//! Ops say what their author had seen: `seen` is the commit whose effects were on its disk when its user acted, not when the
//! op was sent; `base` the stamp of what was changed. What must hold: an answer is a value, whatever was asked.
//!
//! Next: `create`, `alter` and `delete` are the rules.

use super::name::NameError;
use super::node::{Content, Kind, Node, Reason};
use crate::id::{EntityId, LogId};
use crate::limits::TREE_OPS_MAX;
use crate::seq::Seq;

/// A change of one field, and the stamp of the field it was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a value and its base")]
pub struct To<T> {
    /// What it is to be.
    pub value: T,
    /// The seq of the stamp that the author saw on it.
    pub base: Seq,
}

/// One thing asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TreeOp {
    /// A new file or folder. If its parent is dead, that comes back, empty.
    Create {
        /// Its id, made by the author.
        node: EntityId,
        /// The folder it goes to.
        parent: EntityId,
        /// As typed.
        name: String,
        /// What it is.
        kind: Kind,
        /// What it contains, if its kind contains something.
        content: Option<Content>,
    },
    /// New content. If somebody else's came first, it becomes a conflict copy.
    Put {
        /// Of which file.
        node: EntityId,
        /// The content.
        content: Content,
        /// The seq of the content's stamp that the author saw.
        base: Seq,
        /// What the author had seen of the tree.
        seen: Seq,
        /// The id of the conflict copy, should there be one.
        copy: EntityId,
        /// Written, or taken back from an older revision.
        reason: Reason,
    },
    /// Another parent, another name or both; only what changes.
    Move {
        /// Which node.
        node: EntityId,
        /// The folder it goes to.
        parent: Option<To<EntityId>>,
        /// As typed.
        name: Option<To<String>>,
        /// What the author had seen of the tree.
        seen: Seq,
    },
    /// A node and what is below it, as far as the author had seen it.
    Delete {
        /// Which node.
        node: EntityId,
        /// What the author had seen of the tree.
        seen: Seq,
    },
    /// A dead node and what died with it below it, from the trash.
    Restore {
        /// Which node.
        node: EntityId,
        /// Elsewhere than where it was.
        parent: Option<EntityId>,
        /// Under another name, as typed.
        name: Option<String>,
    },
}

impl TreeOp {
    /// The node that is asked about.
    #[must_use]
    pub const fn node(&self) -> EntityId {
        match self {
            Self::Create { node, .. }
            | Self::Put { node, .. }
            | Self::Move { node, .. }
            | Self::Delete { node, .. }
            | Self::Restore { node, .. } => *node,
        }
    }

    /// The content it brings.
    #[must_use]
    pub const fn content(&self) -> Option<&Content> {
        match self {
            Self::Create { content, .. } => content.as_ref(),
            Self::Put { content, .. } => Some(content),
            _ => None,
        }
    }

    /// The latest seq it claims to have seen.
    pub(super) fn claims(&self) -> Seq {
        match self {
            Self::Create { .. } | Self::Restore { .. } => Seq::ZERO,
            Self::Put { base, seen, .. } => *base.max(seen),
            Self::Delete { seen, .. } => *seen,
            Self::Move { parent, name, seen, .. } => {
                let parent = parent.as_ref().map_or(Seq::ZERO, |to| to.base);
                name.as_ref().map_or(Seq::ZERO, |to| to.base).max(parent).max(*seen)
            }
        }
    }
}

/// Ops that take effect together: 1 to [`TREE_OPS_MAX`].
///
/// Their author puts creates of folders first, then moves from the top of the tree as it shall be, then deletes of the
/// topmost nodes that are gone, then creates of files and new contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit(Vec<TreeOp>);

/// No ops, or too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a commit has 1 to {TREE_OPS_MAX} ops, not {0}")]
pub struct CommitError(pub usize);

impl Commit {
    /// A commit of these ops, in this order.
    ///
    /// # Errors
    /// When there are none or too many.
    pub fn new(ops: Vec<TreeOp>) -> Result<Self, CommitError> {
        if ops.is_empty() || ops.len() > TREE_OPS_MAX { Err(CommitError(ops.len())) } else { Ok(Self(ops)) }
    }

    /// Its ops.
    #[must_use]
    pub fn ops(&self) -> &[TreeOp] {
        &self.0
    }

    /// The logs that it mounts.
    pub fn mounts(&self) -> impl Iterator<Item = LogId> {
        self.0.iter().filter_map(|op| match op {
            TreeOp::Create { kind: Kind::Mount(log), .. } => Some(*log),
            _ => None,
        })
    }
}

/// The answer to one op.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TreeVerdict {
    /// It took effect; the name may be another than was asked for.
    Done,
    /// It was so already.
    Noop,
    /// Somebody else's content came first; this one is a file beside it.
    Copied {
        /// That file.
        copy: EntityId,
    },
    /// It took effect, and its node came back to life for it.
    Revived,
    /// What is named here did not take effect; the rest did.
    Partial(Vec<Dropped>),
    /// The node was changed by somebody whose change the author had not seen, so it stays.
    Superseded,
    /// There is such a node already, and it stands for the new one.
    Alias {
        /// That node.
        of: EntityId,
    },
    /// It is wrong.
    Rejected(Refusal),
}

/// A part of an op that did not take effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dropped {
    /// The name: another was accepted first.
    Name,
    /// The parent: another was accepted first.
    Parent,
    /// The parent: it is the node itself or below it.
    Circle,
    /// The death of what the author had not seen, and of the folders around it.
    Unseen,
}

/// Why an op is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// No such name.
    Name(NameError),
    /// There is no such node, or its author knew that it is dead.
    Gone,
    /// Content for what has none, or none for what has some.
    KindMismatch,
    /// The parent is no folder.
    ParentNotFolder,
    /// The root stays.
    Root,
    /// Too many levels: more than [`TREE_DEPTH_MAX`](crate::limits::TREE_DEPTH_MAX) with what is below it.
    TooDeep,
    /// Its path would have this many bytes: more than [`PATH_BYTES_MAX`](crate::limits::PATH_BYTES_MAX).
    PathTooLong(usize),
    /// The file is larger than the tree takes.
    TooLarge,
    /// The tree has no room for it.
    QuotaExceeded,
    /// It claims to have seen what is not there yet.
    Ahead,
}

/// An op's answer with what its author needs to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// What became of the op.
    pub verdict: TreeVerdict,
    /// The node it was about, or which stands for it, as it is after the commit; `None` when there is none.
    pub node: Option<(EntityId, Node)>,
    /// The conflict copy after the commit.
    pub copy: Option<Node>,
    /// Whether its path has more than [`PATH_CHARS_WARNED`](crate::limits::PATH_CHARS_WARNED) characters, as it was asked
    /// for: some devices will not take it.
    pub long_path: bool,
}
