//! What is to be done in the folder, and what the device holds once it is done.
//!
//! Each step is small, and is looked at again right before it is done: whoever carries it out leaves it when what it names is
//! not as the step says, and the next plan sees why. What must hold: no step takes away bytes that the server does not have.

use super::held::{Base, Body, Fingerprint, Held};
use crate::id::EntityId;
use crate::tree::{Content, Node};

/// What begins the names of files and folders that are being written or were moved aside, with 16 hexadecimal digits behind
/// it. Nobody else may have such names.
pub const ASIDE: &str = ".syncline-tmp-";

/// Under which name a node is moved aside: by it, who died before writing that down finds it again.
pub(super) fn aside(id: EntityId) -> String {
    let mut name = ASIDE.to_owned();
    for byte in &id.as_bytes()[8..] {
        name.push_str(&format!("{byte:02x}"));
    }
    name
}

/// One thing to do in the folder. Where a node lies now is what [`Base::path`] says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "a device must carry out each")]
pub enum Step {
    /// Give a node another place. Nothing may be there.
    Move {
        /// Which.
        node: EntityId,
        /// Into which folder.
        parent: EntityId,
        /// Under which name: its own, or for a while one of ours, to make room for another.
        at: String,
    },
    /// Make a folder. Nothing may be there.
    MakeFolder {
        /// Which.
        node: EntityId,
        /// In which folder.
        parent: EntityId,
        /// Under which name.
        at: String,
    },
    /// Write a file or a link.
    Write {
        /// Which.
        node: EntityId,
        /// In which folder.
        parent: EntityId,
        /// Under which name.
        at: String,
        /// What to write.
        content: Content,
        /// Whether it replaces what the node contained, which must look as it is held; else nothing may be there.
        replaces: bool,
    },
    /// Take a file or a link away that the server no longer shows. It must look as it is held.
    Remove {
        /// Which.
        node: EntityId,
    },
    /// Take a file away that the server has and that is not wanted here: what is left of it is a placeholder. It must look as
    /// it is held.
    Evict {
        /// Which.
        node: EntityId,
    },
    /// Take a folder away, if nothing is in it but what is ignored.
    RemoveFolder {
        /// Which.
        node: EntityId,
    },
    /// The names of a folder and of a held one count as the same: put what is in it into that one, and take it away.
    Merge {
        /// Its number in the scan.
        entry: usize,
        /// Into which folder.
        into: EntityId,
    },
    /// A file that is the double, by name and content, of a held one: take it away. It must look as it was found.
    RemoveDouble {
        /// Its number in the scan.
        entry: usize,
        /// Of which.
        of: EntityId,
    },
}

impl Step {
    /// The node that it is about; none for entries that are nobody.
    #[must_use]
    pub const fn node(&self) -> Option<EntityId> {
        match self {
            Self::Move { node, .. }
            | Self::MakeFolder { node, .. }
            | Self::Write { node, .. }
            | Self::Remove { node }
            | Self::Evict { node }
            | Self::RemoveFolder { node } => Some(*node),
            Self::Merge { .. } | Self::RemoveDouble { .. } => None,
        }
    }
}

impl Base {
    /// Takes over that a step was done. `node` is the node as the step knew it, `looks` how it looks in the folder now. Gives
    /// the nodes that are held otherwise than before, or no longer.
    pub fn did(&mut self, step: &Step, node: Option<&Node>, looks: Option<Fingerprint>) -> Vec<EntityId> {
        self.take_over(step, node, looks);
        // Steps go where nobody lies: whoever was held there had left unheard.
        let mut changed = self.drop_displaced();
        changed.extend(step.node());
        changed
    }

    fn take_over(&mut self, step: &Step, node: Option<&Node>, looks: Option<Fingerprint>) {
        match step {
            Step::Move { node: id, parent, at } => {
                let Some(mut held) = self.get(*id).cloned() else { return };
                (held.parent, held.at) = (*parent, at.clone());
                if let Some(print) = looks {
                    held.print = held.print.map(|_| print);
                }
                // What was moved aside has not come to where it belongs.
                if let Some(node) = node.filter(|node| node.parent == Some(*parent) && !at.starts_with(ASIDE)) {
                    held.name = node.name.clone();
                    (held.parent_seq, held.name_seq) = (node.parent_stamp.seq, node.name_stamp.seq);
                }
                self.hold(*id, held);
            }
            Step::MakeFolder { node: id, parent, at } => {
                if let Some(node) = node {
                    self.hold(*id, Held::of(node, *parent, at.clone(), looks));
                }
            }
            Step::Write { node: id, parent, at, content, .. } => {
                let Some(node) = node else { return };
                let mut held = self.get(*id).cloned().unwrap_or_else(|| Held::of(node, *parent, at.clone(), looks));
                (held.content, held.content_seq) = (Some(*content), node.content_stamp.seq);
                (held.print, held.body) = (looks, Body::Here);
                self.hold(*id, held);
            }
            Step::Evict { node: id } => {
                let Some(mut held) = self.get(*id).cloned() else { return };
                (held.print, held.body) = (None, Body::Elsewhere);
                self.hold(*id, held);
            }
            Step::Remove { node } | Step::RemoveFolder { node } => self.drop_one(*node),
            Step::Merge { .. } | Step::RemoveDouble { .. } => {}
        }
    }
}
