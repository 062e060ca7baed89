//! A commit to a tree of files, and what the tree takes.
//!
//! *Next:* `verdicts` is how a commit is answered, `nodes` how a tree is read.

use std::sync::Arc;

use super::*;
use crate::call::Commit;
use crate::decide::{NewTerms, TreeTerms};
use crate::digest::{BlobId, Digest};
use crate::tree::{self, Content, Kind, Label, NamePolicy, Reason, Retention, To, TreeOp};

/// The body of a commit.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommitJson {
    id: OpId,
    replica: ReplicaId,
    label: String,
    ops: Vec<TreeOpJson>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
enum TreeOpJson {
    Create {
        node: EntityId,
        parent: EntityId,
        name: String,
        kind: KindJson,
        #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
        mount: Option<LogId>,
        #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
        content: Option<ContentJson>,
    },
    Put {
        node: EntityId,
        content: ContentJson,
        base: Seq,
        seen: Seq,
        copy: EntityId,
        #[serde(default, skip_serializing_if = "ReasonJson::is_put")]
        reason: ReasonJson,
    },
    Move {
        node: EntityId,
        #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
        parent: Option<ToJson<EntityId>>,
        #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
        name: Option<ToJson<String>>,
        seen: Seq,
    },
    Delete {
        node: EntityId,
        seen: Seq,
    },
    Restore {
        node: EntityId,
        #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
        parent: Option<EntityId>,
        #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
        name: Option<String>,
    },
}

/// A new value of a field, and the stamp of the old one.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ToJson<T> {
    value: T,
    base: Seq,
}

/// What a node is; a mount stands beside where it leads.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum KindJson {
    File,
    Folder,
    Symlink,
    Mount,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ReasonJson {
    #[default]
    Put,
    Conflict,
    Restore,
}

/// What a file contains.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ContentJson {
    blob: BlobId,
    bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    manifest: Option<Digest>,
    modified_at: Timestamp,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    executable: bool,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    attributes: Option<Digest>,
}

impl KindJson {
    pub(super) const fn of(kind: Kind) -> (Self, Option<LogId>) {
        match kind {
            Kind::File => (Self::File, None),
            Kind::Folder => (Self::Folder, None),
            Kind::Symlink => (Self::Symlink, None),
            Kind::Mount(log) => (Self::Mount, Some(log)),
        }
    }

    pub(super) fn read(self, mount: Option<LogId>) -> Result<Kind, WireError> {
        match (self, mount) {
            (Self::File, None) => Ok(Kind::File),
            (Self::Folder, None) => Ok(Kind::Folder),
            (Self::Symlink, None) => Ok(Kind::Symlink),
            (Self::Mount, Some(log)) => Ok(Kind::Mount(log)),
            _ => Err(WireError::Json("a mount, and nothing else, says which log it shows".into())),
        }
    }
}

impl ReasonJson {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
    const fn is_put(&self) -> bool {
        matches!(self, Self::Put)
    }

    pub(super) const fn of(reason: Reason) -> Self {
        match reason {
            Reason::Put => Self::Put,
            Reason::Conflict => Self::Conflict,
            Reason::Restore => Self::Restore,
        }
    }

    pub(super) const fn read(self) -> Reason {
        match self {
            Self::Put => Reason::Put,
            Self::Conflict => Reason::Conflict,
            Self::Restore => Reason::Restore,
        }
    }
}

impl ContentJson {
    pub(super) const fn of(content: &Content) -> Self {
        let Content { blob, bytes, manifest, modified_at, executable, attributes } = *content;
        Self { blob, bytes, manifest, modified_at, executable, attributes }
    }

    pub(super) const fn read(self) -> Content {
        let Self { blob, bytes, manifest, modified_at, executable, attributes } = self;
        Content { blob, bytes, manifest, modified_at, executable, attributes }
    }
}

impl<T: Clone> ToJson<T> {
    fn of(to: &To<T>) -> Self {
        Self { value: to.value.clone(), base: to.base }
    }

    fn read(self) -> To<T> {
        To { value: self.value, base: self.base }
    }
}

impl TreeOpJson {
    fn of(op: &TreeOp) -> Self {
        match op {
            TreeOp::Create { node, parent, name, kind, content } => {
                let (kind, mount) = KindJson::of(*kind);
                let content = content.as_ref().map(ContentJson::of);
                Self::Create { node: *node, parent: *parent, name: name.clone(), kind, mount, content }
            }
            TreeOp::Put { node, content, base, seen, copy, reason } => Self::Put {
                node: *node,
                content: ContentJson::of(content),
                base: *base,
                seen: *seen,
                copy: *copy,
                reason: ReasonJson::of(*reason),
            },
            TreeOp::Move { node, parent, name, seen } => Self::Move {
                node: *node,
                parent: parent.as_ref().map(ToJson::of),
                name: name.as_ref().map(ToJson::of),
                seen: *seen,
            },
            TreeOp::Delete { node, seen } => Self::Delete { node: *node, seen: *seen },
            TreeOp::Restore { node, parent, name } => {
                Self::Restore { node: *node, parent: *parent, name: name.clone() }
            }
        }
    }

    fn read(self) -> Result<TreeOp, WireError> {
        Ok(match self {
            Self::Create { node, parent, name, kind, mount, content } => {
                let (kind, content) = (kind.read(mount)?, content.map(ContentJson::read));
                TreeOp::Create { node, parent, name, kind, content }
            }
            Self::Put { node, content, base, seen, copy, reason } => {
                TreeOp::Put { node, content: content.read(), base, seen, copy, reason: reason.read() }
            }
            Self::Move { node, parent, name, seen } => {
                TreeOp::Move { node, parent: parent.map(ToJson::read), name: name.map(ToJson::read), seen }
            }
            Self::Delete { node, seen } => TreeOp::Delete { node, seen },
            Self::Restore { node, parent, name } => TreeOp::Restore { node, parent, name },
        })
    }
}

impl CommitJson {
    /// The JSON form of a commit.
    #[must_use]
    pub fn of(commit: &Commit) -> Self {
        let ops = commit.ops.ops().iter().map(TreeOpJson::of).collect();
        Self { id: commit.id, replica: commit.replica, label: commit.label.as_str().to_owned(), ops }
    }

    /// The commit; the log is named by the route.
    ///
    /// # Errors
    /// When it is none: too many ops or none, a label that is none.
    pub fn read(self, log: LogId) -> Result<Commit, WireError> {
        let label = Label::new(&self.label).map_err(|error| WireError::Json(error.to_string()))?;
        let ops = self.ops.into_iter().map(TreeOpJson::read).collect::<Result<_, _>>()?;
        let ops = Arc::new(tree::Commit::new(ops)?);
        Ok(Commit { log, id: self.id, replica: self.replica, label, ops })
    }
}

/// Which names a tree takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::exhaustive_enums, reason = "a body is one of these")]
pub enum NamesJson {
    /// What every device can hold.
    Strict,
    /// What some device can hold.
    Lenient,
}

/// The body of new terms.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::exhaustive_structs, reason = "a body is its fields")]
pub struct NewTermsJson {
    /// Which names there may be.
    pub names: NamesJson,
    /// Bytes of one file.
    pub file_bytes_max: u64,
    /// Nodes, dead ones included.
    pub nodes_max: u64,
    /// How long older revisions and what was deleted are kept.
    pub retention: RetentionJson,
}

/// How long older revisions and what was deleted are kept.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::exhaustive_structs, reason = "a body is its fields")]
pub struct RetentionJson {
    /// Older revisions go.
    pub version_days: u64,
    /// How many revisions of a file stay at most.
    pub max_versions: usize,
    /// What was deleted longer ago goes.
    pub tombstone_days: u64,
}

/// What a purge did.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a body is its fields")]
pub struct PurgedJson {
    /// Nodes that went.
    pub nodes: u64,
    /// Whether there are more than one call takes.
    pub more: bool,
}

/// What a tree takes, and how much of it there is.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a body is its fields")]
pub struct TreeTermsJson {
    /// Which names there may be.
    pub names: NamesJson,
    /// Bytes of one file.
    pub file_bytes_max: u64,
    /// Nodes, dead ones included.
    pub nodes_max: u64,
    /// How long older revisions and what was deleted are kept.
    pub retention: RetentionJson,
    /// How many there are.
    pub nodes: u64,
    /// The log one of whose folders it was.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::there")]
    pub shared: Option<LogId>,
}

impl NamesJson {
    const fn of(names: NamePolicy) -> Self {
        match names {
            NamePolicy::Strict => Self::Strict,
            NamePolicy::Lenient => Self::Lenient,
        }
    }

    const fn read(self) -> NamePolicy {
        match self {
            Self::Strict => NamePolicy::Strict,
            Self::Lenient => NamePolicy::Lenient,
        }
    }
}

impl RetentionJson {
    const fn of(retention: Retention) -> Self {
        let Retention { version_days, max_versions, tombstone_days } = retention;
        Self { version_days, max_versions, tombstone_days }
    }

    const fn read(self) -> Retention {
        let Self { version_days, max_versions, tombstone_days } = self;
        Retention { version_days, max_versions, tombstone_days }
    }
}

impl NewTermsJson {
    /// The JSON form of new terms.
    #[must_use]
    pub const fn of(terms: &NewTerms) -> Self {
        let NewTerms { names, file_bytes_max, nodes_max, retention } = *terms;
        Self { names: NamesJson::of(names), file_bytes_max, nodes_max, retention: RetentionJson::of(retention) }
    }

    /// The terms.
    #[must_use]
    pub const fn read(self) -> NewTerms {
        let Self { names, file_bytes_max, nodes_max, retention } = self;
        NewTerms { names: names.read(), file_bytes_max, nodes_max, retention: retention.read() }
    }
}

impl TreeTermsJson {
    /// The JSON form of a tree's terms.
    #[must_use]
    pub const fn of(terms: &TreeTerms) -> Self {
        let TreeTerms { names, file_bytes_max, nodes_max, retention, nodes, shared } = *terms;
        let (names, retention) = (NamesJson::of(names), RetentionJson::of(retention));
        Self { names, file_bytes_max, nodes_max, retention, nodes, shared }
    }

    /// The terms.
    #[must_use]
    pub const fn read(self) -> TreeTerms {
        let Self { names, file_bytes_max, nodes_max, retention, nodes, shared } = self;
        TreeTerms { names: names.read(), file_bytes_max, nodes_max, retention: retention.read(), nodes, shared }
    }
}
