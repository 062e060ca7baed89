//! What the engine lets the view know: which files are at the server only, and how those that are here stand.
//!
//! Made anew each time the engine knows more; only folders that it makes come to it before. Folders are known by who they are, not by their paths: so
//! what is in them is found while they are moved, before the engine has heard of that.

use std::collections::{BTreeMap, HashMap, HashSet};

use syncline::files::{Base, Body, Fingerprint, Held, Identity, Issues};
use syncline::tree::{Content, Kind, MemoryTree};
use syncline::{EntityId, Seq};

/// What the view knows of a tree.
#[derive(Debug, Clone, Default)]
pub struct Shown {
    /// Files that are at the server only, as they would be held.
    placeholders: HashMap<EntityId, Held>,
    /// The same by folder and name.
    inside: HashMap<EntityId, BTreeMap<String, EntityId>>,
    /// Folders that are here, except the root.
    folders: HashMap<Identity, EntityId>,
    /// Files that are here.
    files: HashMap<Identity, Here>,
    refused: HashSet<Fingerprint>,
    root: Option<EntityId>,
    /// Up to where the server's log was read.
    seq: Seq,
}

/// A file that is here and that the server has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "what is known of it")]
pub struct Here {
    /// Which.
    pub node: EntityId,
    /// How it looked when it was what the server has.
    pub print: Fingerprint,
    /// What it contained then.
    pub content: Option<Content>,
    /// The server has this content still.
    pub is_current: bool,
}

impl Shown {
    /// What is held, and what the server has by now, up to a place in its log.
    #[must_use]
    pub fn of(base: &Base, tree: &MemoryTree, seq: Seq, issues: &Issues) -> Self {
        let refused = issues.iter().filter_map(|(.., issue)| issue.print).collect();
        let mut shown = Self { root: Some(base.root()), seq, refused, ..Self::default() };
        for (id, held) in base.iter() {
            let Some(node) = tree.get(id).filter(|node| node.dead.is_none()) else { continue };
            match (held.kind, held.body, held.print) {
                (Kind::Folder, _, Some(print)) => drop(shown.folders.insert(print.identity, id)),
                (Kind::File, Body::Elsewhere, _) => {
                    let (content, content_seq) = (node.content, node.content_stamp.seq);
                    shown.add(id, Held { content, content_seq, ..held.clone() });
                }
                (Kind::File, Body::Here, Some(print)) => {
                    let is_current = node.content.zip(held.content).is_some_and(|(a, b)| a.is_same(&b));
                    shown.files.insert(print.identity, Here { node: id, print, content: held.content, is_current });
                }
                _ => {}
            }
        }
        shown
    }

    fn add(&mut self, id: EntityId, held: Held) {
        self.inside.entry(held.parent).or_default().insert(held.at.clone(), id);
        self.placeholders.insert(id, held);
    }

    /// A folder is here from now on.
    pub(super) fn made_folder(&mut self, folder: Identity, id: EntityId) {
        self.folders.insert(folder, id);
    }

    /// Up to where the server's log was read.
    #[must_use]
    pub const fn seq(&self) -> Seq {
        self.seq
    }

    /// The folder of all others.
    #[must_use]
    pub const fn root(&self) -> Option<EntityId> {
        self.root
    }

    /// The node of a folder that is here; `None`: the server does not have it yet.
    #[must_use]
    pub fn folder(&self, folder: Identity) -> Option<EntityId> {
        self.folders.get(&folder).copied()
    }

    /// A file that is here, if the server has it.
    #[must_use]
    pub fn file(&self, file: Identity) -> Option<Here> {
        self.files.get(&file).copied()
    }

    /// Whether the server refused a file that looks like this.
    #[must_use]
    pub fn is_refused(&self, print: &Fingerprint) -> bool {
        self.refused.contains(print)
    }

    /// A file that is at the server only.
    #[must_use]
    pub fn placeholder(&self, id: EntityId) -> Option<&Held> {
        self.placeholders.get(&id)
    }

    /// The one of this name in a folder.
    #[must_use]
    pub fn at(&self, folder: EntityId, name: &str) -> Option<EntityId> {
        self.inside.get(&folder)?.get(name).copied()
    }

    /// Those in a folder, by name.
    pub fn inside(&self, folder: EntityId) -> impl Iterator<Item = (&str, EntityId)> {
        self.inside.get(&folder).into_iter().flatten().map(|(name, id)| (name.as_str(), *id))
    }
}
