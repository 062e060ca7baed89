//! A node of the tree: a file or folder under an id that it keeps for ever.
//!
//! A node's content, its parent and its name change apart from each other, each with a [`Stamp`] that says when and by whom;
//! so a rename and an edit do not meet. A deleted node stays, dead, where it was, under the number of the commit that deleted
//! it: its *group*, everything that died together. What must hold: the kind never changes, and a live node's parent lives.
//!
//! Next: `op` is what a device asks for, `change` what comes of it.

use super::name::Name;
use crate::digest::Digest;
use crate::id::{EntityId, LogId, ReplicaId};
use crate::seq::Seq;
use crate::time::Timestamp;

/// What a node is, for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Has content.
    File,
    /// Has children.
    Folder,
    /// Has content: where it points to. Never followed here.
    Symlink,
    /// Another tree that is shown here.
    Mount(LogId),
}

impl Kind {
    /// Whether there is a content.
    #[must_use]
    pub const fn has_content(self) -> bool {
        matches!(self, Self::File | Self::Symlink)
    }
}

/// What a file contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_structs, reason = "what a device writes down")]
pub struct Content {
    /// SHA-256 of its bytes.
    pub blob: Digest,
    /// How many they are.
    pub bytes: u64,
    /// The manifest of its chunks, if it is stored in chunks.
    pub manifest: Option<Digest>,
    /// The device's time of its last change: shown, never compared.
    pub modified_at: Timestamp,
    /// Whether it may be run.
    pub executable: bool,
    /// Its extended attributes, if it has some that are synced.
    pub attributes: Option<Digest>,
}

impl Content {
    /// Whether somebody who has one has the other: times and the way it is stored aside.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        (self.blob, self.executable, self.attributes) == (other.blob, other.executable, other.attributes)
    }
}

/// When a field was changed last, and by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_structs, reason = "the two things that rules ask")]
pub struct Stamp {
    /// The commit.
    pub seq: Seq,
    /// The copy of the tree that made it.
    pub by: ReplicaId,
}

impl Stamp {
    /// Whether `reader`, who had seen everything up to `seen`, did not know of this change. Everybody knows their own.
    #[must_use]
    pub fn is_news(self, seen: Seq, reader: ReplicaId) -> bool {
        self.seq > seen && self.by != reader
    }
}

/// A file or folder.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a store's row")]
pub struct Node {
    /// The folder it is in; `None` only for the root.
    pub parent: Option<EntityId>,
    /// What it is called there.
    pub name: Name,
    /// What it is.
    pub kind: Kind,
    /// What it contains, if its kind contains something.
    pub content: Option<Content>,
    /// The last change of its content.
    pub content_stamp: Stamp,
    /// The last change of its parent.
    pub parent_stamp: Stamp,
    /// The last change of its name.
    pub name_stamp: Stamp,
    /// The commit that made it.
    pub created: Seq,
    /// The commit that deleted it: its group. `None` while it lives.
    pub dead: Option<Seq>,
    /// The node of whose content this was a conflict copy, until it gets a name that no conflict made: then somebody has
    /// decided that both stay.
    pub conflict_of: Option<EntityId>,
}

impl Node {
    /// The folder that a new tree begins with.
    #[must_use]
    pub fn root(made: Stamp) -> Self {
        Self {
            parent: None,
            name: Name::made(String::new()),
            kind: Kind::Folder,
            content: None,
            content_stamp: made,
            parent_stamp: made,
            name_stamp: made,
            created: made.seq,
            dead: None,
            conflict_of: None,
        }
    }

    /// The name of a node in this folder as it is kept: only the root, which is in none, has none. `None` when it is no name.
    pub(crate) fn kept_name(parent: Option<EntityId>, text: &str) -> Option<Name> {
        match parent {
            None => text.is_empty().then(|| Name::made(String::new())),
            Some(_) => Name::kept(text),
        }
    }

    /// Whether something about it was changed that `reader` had not seen.
    #[must_use]
    pub fn is_news(&self, seen: Seq, reader: ReplicaId) -> bool {
        [self.content_stamp, self.parent_stamp, self.name_stamp].iter().any(|stamp| stamp.is_news(seen, reader))
    }

    /// Whether it can have children here.
    #[must_use]
    pub fn is_folder(&self) -> bool {
        self.kind == Kind::Folder
    }
}

/// A content that a node had or has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a store's row")]
pub struct Revision {
    /// Whose.
    pub node: EntityId,
    /// Since which commit.
    pub seq: Seq,
    /// The content.
    pub content: Content,
    /// Who wrote it.
    pub by: ReplicaId,
    /// When the server took it.
    pub accepted_at: Timestamp,
    /// The revision it was made from; `None` for a node's first.
    pub base: Option<Seq>,
    /// How it came about.
    pub reason: Reason,
}

/// How a revision came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// Somebody wrote it.
    Put,
    /// Somebody wrote it elsewhere than to the newest, so it became a file of its own.
    Conflict,
    /// Somebody took an older one back.
    Restore,
}
