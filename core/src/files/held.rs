//! What a device has: the nodes that it and the server agreed on, as they lie in its folder.
//!
//! The [`Base`] is the middle one of the three trees. A [`Held`] node says what was agreed (parent, name, content, and the
//! seqs that the next change is made from) and how it lies there (under which name, with which [`Fingerprint`]). What must
//! hold: an entry is changed only together with the folder, or because both sides turned out to be the same.
//!
//! Next: `recognize` finds these nodes again in a scan.

use std::collections::{BTreeMap, HashMap};

use crate::id::EntityId;
use crate::seq::Seq;
use crate::tree::{Content, Kind, Name, Node};

/// What tells, without reading it, that a file is as it was, and that it is the file it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(clippy::exhaustive_structs, reason = "what a file system says")]
pub struct Fingerprint {
    /// Bytes; 0 for folders.
    pub size: u64,
    /// When its bytes were changed last, in ns since 1970; 0 for folders.
    pub modified_ns: i64,
    /// When anything about it was changed last, in ns since 1970; 0 for folders, and where no such time is known.
    pub changed_ns: i64,
    /// Who it is.
    pub identity: Identity,
}

/// Who a file is, whatever it is called and wherever it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(clippy::exhaustive_structs, reason = "what a file system says")]
pub struct Identity {
    /// The file system it is on.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
    /// When it got that number, in ns since 1970: numbers are given out again. `None` where this is not known.
    pub born_ns: Option<i64>,
}

impl Fingerprint {
    /// Whether both are one file: for certain by the time of its birth, else by looking unchanged.
    #[must_use]
    pub fn is_same_file(&self, other: &Self) -> bool {
        let plain = |print: &Self| (print.size, print.modified_ns);
        self.identity == other.identity && (self.identity.born_ns.is_some() || plain(self) == plain(other))
    }
}

/// Where a file's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "they are here or they are not")]
pub enum Body {
    /// In the folder.
    Here,
    /// At the server only; the folder shows a placeholder or nothing, and that it is not there does not mean a delete.
    Elsewhere,
}

/// A node that a device holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a row of a device's journal")]
pub struct Held {
    /// The folder that it lies in.
    pub parent: EntityId,
    /// Under which name it lies there.
    pub at: String,
    /// The name that was agreed on. It lies under another where the device cannot hold this one.
    pub name: Name,
    /// What it is.
    pub kind: Kind,
    /// The content that was agreed on.
    pub content: Option<Content>,
    /// The commit that the content is from.
    pub content_seq: Seq,
    /// The commit that its place is from.
    pub parent_seq: Seq,
    /// The commit that its name is from.
    pub name_seq: Seq,
    /// How it looked when its content was agreed on; `None` while its bytes are elsewhere.
    pub print: Option<Fingerprint>,
    /// Where its bytes are. Folders are here.
    pub body: Body,
}

impl Held {
    /// A node as the server has it, under this name in the folder.
    #[must_use]
    pub fn of(node: &Node, parent: EntityId, at: String, print: Option<Fingerprint>) -> Self {
        let body = if print.is_some() || !node.kind.has_content() { Body::Here } else { Body::Elsewhere };
        Self {
            parent,
            at,
            name: node.name.clone(),
            kind: node.kind,
            content: node.content,
            content_seq: node.content_stamp.seq,
            parent_seq: node.parent_stamp.seq,
            name_seq: node.name_stamp.seq,
            print,
            body,
        }
    }
}

/// The nodes that a device holds. The root is not among them: it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    root: EntityId,
    nodes: HashMap<EntityId, Held>,
    /// Who lies in a folder, by name.
    inside: HashMap<EntityId, BTreeMap<String, EntityId>>,
    /// Who lost a place to another, and may yet get one.
    displaced: Vec<EntityId>,
    /// Entries that are not held, for a node that lies elsewhere stands for them.
    doubles: HashMap<(EntityId, String), EntityId>,
}

impl Base {
    /// Of a device that holds nothing.
    #[must_use]
    pub fn new(root: EntityId) -> Self {
        Self { root, nodes: HashMap::new(), inside: HashMap::new(), displaced: Vec::new(), doubles: HashMap::new() }
    }

    /// The folder itself.
    #[must_use]
    pub const fn root(&self) -> EntityId {
        self.root
    }

    /// How many nodes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// A node.
    #[must_use]
    pub fn get(&self, id: EntityId) -> Option<&Held> {
        self.nodes.get(&id)
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (EntityId, &Held)> {
        self.nodes.iter().map(|(id, held)| (*id, held))
    }

    /// The node that lies in a folder under a name.
    #[must_use]
    pub fn at(&self, parent: EntityId, name: &str) -> Option<EntityId> {
        self.inside.get(&parent)?.get(name).copied()
    }

    /// What lies in a folder, by name.
    pub fn inside(&self, parent: EntityId) -> impl Iterator<Item = (&str, EntityId)> {
        self.inside.get(&parent).into_iter().flatten().map(|(name, id)| (name.as_str(), *id))
    }

    /// Holds a node, or holds it otherwise. Who lay at its place lies nowhere then, until it is held elsewhere or
    /// [dropped](Self::drop_displaced): nodes that change places pass through this.
    pub fn hold(&mut self, id: EntityId, held: Held) {
        self.unlink(id);
        if !self.doubles.is_empty() {
            self.doubles.remove(&(held.parent, held.at.clone()));
        }
        let other = self.inside.entry(held.parent).or_default().insert(held.at.clone(), id);
        self.displaced.extend(other.filter(|other| *other != id));
        self.nodes.insert(id, held);
    }

    /// Drops those whose place another has and who have got no other; gives them.
    pub fn drop_displaced(&mut self) -> Vec<EntityId> {
        let mut displaced = std::mem::take(&mut self.displaced);
        displaced.retain(|id| {
            let held = self.nodes.get(id);
            held.is_some_and(|held| self.at(held.parent, &held.at) != Some(*id))
        });
        displaced.iter().for_each(|id| drop(self.nodes.remove(id)));
        displaced
    }

    /// Notes that a held node stands for what lies in a folder under a name. It is not written down: who has forgotten it asks
    /// the server again.
    pub fn note_double(&mut self, parent: EntityId, at: String, of: EntityId) {
        self.doubles.insert((parent, at), of);
    }

    /// The held node that stands for what lies in a folder under a name.
    #[must_use]
    pub fn double(&self, parent: EntityId, at: &str) -> Option<EntityId> {
        if self.doubles.is_empty() {
            return None;
        }
        self.doubles.get(&(parent, at.to_owned())).copied().filter(|of| self.nodes.contains_key(of))
    }

    /// Holds a node no longer. What it has inside is not looked at.
    pub fn drop_one(&mut self, id: EntityId) {
        self.unlink(id);
        self.nodes.remove(&id);
    }

    fn unlink(&mut self, id: EntityId) {
        let Some(held) = self.nodes.get(&id) else { return };
        if let Some(inside) = self.inside.get_mut(&held.parent)
            && inside.get(&held.at) == Some(&id)
        {
            inside.remove(&held.at);
            if inside.is_empty() {
                self.inside.remove(&held.parent);
            }
        }
    }

    /// A node and everything inside it, the node first.
    #[must_use]
    pub fn below(&self, id: EntityId) -> Vec<EntityId> {
        let mut found = vec![id];
        let mut next = 0;
        while let Some(folder) = found.get(next) {
            let inside = self.inside.get(folder);
            next += 1;
            found.extend(inside.into_iter().flatten().map(|(_, id)| *id));
        }
        found
    }

    /// The names from the root down to a node; `None` when one of its folders is not held.
    #[must_use]
    pub fn path(&self, mut id: EntityId) -> Option<Vec<&str>> {
        let mut path = Vec::new();
        while id != self.root {
            let held = self.nodes.get(&id)?;
            path.push(held.at.as_str());
            id = held.parent;
            if path.len() > self.nodes.len() {
                return None;
            }
        }
        path.reverse();
        Some(path)
    }
}
