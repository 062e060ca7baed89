//! What a device holds after the server answered.
//!
//! What was told lies in the folder, and the server took it, or part of it, or shows it as something else. Either way it is
//! held as it lies there, at the seq of the answer; where the server shows another name, place or content than that, the next
//! plan brings it. What must hold: after it, nothing that was answered is told again, and no bytes are forgotten.
//!
//! It is done when the device has read the log up to the commit, or further: what came after the commit is news.

use std::collections::HashMap;

use super::held::{Base, Body, Fingerprint, Held};
use super::issue::{About, Issue, Issues};
use super::recognize::name_of;
use super::wish::{Becomes, Wish};
use crate::id::EntityId;
use crate::seq::Seq;
use crate::tree::{MemoryTree, Node, Refusal, Stamp, TreeVerdict};

/// Something that its user should know.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// Somebody else's content came first: this device's is a file beside it.
    Copied {
        /// Of which file.
        node: EntityId,
        /// The file beside it.
        copy: EntityId,
    },
    /// What was done in the folder did not count, for somebody else had done something there.
    Superseded {
        /// To which node.
        node: EntityId,
    },
    /// The server refused it; it stays as it is.
    Refused {
        /// The folder that it lies in.
        parent: EntityId,
        /// Under which name.
        at: String,
        /// Why.
        refusal: Refusal,
    },
    /// Its path is so long that some devices will not take it.
    LongPath {
        /// Which node.
        node: EntityId,
    },
}

/// Takes the answers to what was told over. `at` is the commit, or the log's end when it changed nothing; `tree` what the
/// server had then, or later. Gives what changed in what is held, and what its user should know.
#[must_use]
pub fn settle(
    base: &mut Base,
    issues: &mut Issues,
    tree: &MemoryTree,
    at: Seq,
    told: &[Wish],
    answers: &[crate::tree::Answer],
) -> (Vec<EntityId>, Vec<Notice>) {
    let mut settling =
        Settling { base, issues, tree, at, instead: HashMap::new(), changed: Vec::new(), notices: Vec::new() };
    for (wish, answer) in told.iter().zip(answers) {
        settling.settle(wish, &answer.verdict);
        if answer.long_path {
            settling.notices.push(Notice::LongPath { node: wish.op.node() });
        }
    }
    let displaced = settling.base.drop_displaced();
    settling.changed.extend(displaced);
    (settling.changed, settling.notices)
}

struct Settling<'a> {
    base: &'a mut Base,
    issues: &'a mut Issues,
    tree: &'a MemoryTree,
    at: Seq,
    /// Nodes that another stands for; `None` when that one lies elsewhere in the folder, so that nothing is held in them.
    instead: HashMap<EntityId, Option<EntityId>>,
    changed: Vec<EntityId>,
    notices: Vec<Notice>,
}

impl Settling<'_> {
    fn settle(&mut self, wish: &Wish, verdict: &TreeVerdict) {
        let node = wish.op.node();
        match verdict {
            TreeVerdict::Rejected(refusal) => return self.refused(wish, refusal),
            TreeVerdict::Superseded | TreeVerdict::Partial(_) => self.notices.push(Notice::Superseded { node }),
            TreeVerdict::Copied { copy } => self.notices.push(Notice::Copied { node, copy: *copy }),
            _ => {}
        }
        match (&wish.becomes, verdict) {
            (Becomes::Made { .. }, TreeVerdict::Alias { of }) => self.joined(node, *of, wish),
            (Becomes::Made { .. }, _) => self.made(node, node, wish),
            (Becomes::Filled { print, content }, TreeVerdict::Copied { copy }) => {
                let Some(held) = self.base.get(node).cloned() else { return };
                self.forget(node);
                // A file that was there stands for the copy: then it lies elsewhere, and this one is a double of it.
                if let Some(copied) = self.tree.get(*copy).filter(|_| self.base.get(*copy).is_none()) {
                    let lies = self.as_then(copied, held.parent, held.at, Some(*print));
                    self.hold(*copy, Held { name: held.name, content: Some(*content), ..lies });
                } else {
                    self.base.note_double(held.parent, held.at, *copy);
                }
            }
            (Becomes::Filled { print, content }, _) => {
                let (Some(held), Some(now)) = (self.base.get(node).cloned(), self.tree.get(node)) else { return };
                let is_so = now.content.is_some_and(|theirs| theirs.is_same(content));
                let content_seq = self.since(is_so, now.content_stamp, held.content_seq);
                let (content, print) = (Some(*content), Some(*print));
                self.hold(node, Held { content, print, body: Body::Here, content_seq, ..held });
            }
            (Becomes::Moved { parent, at }, _) => {
                let (Some(held), Some(now)) = (self.base.get(node).cloned(), self.tree.get(node)) else { return };
                let Some(parent) = self.folder(*parent) else { return self.forget_all(node) };
                let name = name_of(at).unwrap_or_else(|| held.name.clone());
                let parent_seq = self.since(now.parent == Some(parent), now.parent_stamp, held.parent_seq);
                let name_seq = self.since(now.name == name, now.name_stamp, held.name_seq);
                self.hold(node, Held { parent, at: at.clone(), name, parent_seq, name_seq, ..held });
            }
            (Becomes::Gone, _) => self.forget_all(node),
        }
    }

    /// Which folder something is held in, if it is one that is held.
    fn folder(&self, parent: EntityId) -> Option<EntityId> {
        self.instead.get(&parent).copied().unwrap_or(Some(parent))
    }

    /// Since when a field is what the folder shows: unless it is so at the server, or became what it is there by this commit,
    /// its last change is one that the folder does not show.
    fn since(&self, is_so: bool, stamp: Stamp, held: Seq) -> Seq {
        if is_so || stamp.seq == self.at { stamp.seq.min(self.at) } else { held }
    }

    /// A node, of which no more is known than there was to know.
    fn as_then(&self, node: &Node, parent: EntityId, at: String, print: Option<Fingerprint>) -> Held {
        let held = Held::of(node, parent, at, print);
        let [content_seq, parent_seq, name_seq] =
            [held.content_seq, held.parent_seq, held.name_seq].map(|seq| seq.min(self.at));
        Held { content_seq, parent_seq, name_seq, ..held }
    }

    fn made(&mut self, told: EntityId, id: EntityId, wish: &Wish) {
        let Becomes::Made { parent, at, print, content } = &wish.becomes else { return };
        let (Some(parent), Some(node)) = (self.folder(*parent), self.tree.get(id)) else {
            self.instead.insert(told, None);
            return;
        };
        if parent != self.base.root() && self.base.get(parent).is_none() {
            self.instead.insert(told, None);
            return;
        }
        let held = self.as_then(node, parent, at.clone(), Some(*print));
        let name = name_of(at).unwrap_or_else(|| held.name.clone());
        self.hold(id, Held { name, content: *content, ..held });
    }

    /// Another node stands for a new one.
    fn joined(&mut self, new: EntityId, of: EntityId, wish: &Wish) {
        if self.base.get(of).is_some() {
            self.instead.insert(new, None);
            if let Becomes::Made { parent, at, .. } = &wish.becomes
                && let Some(parent) = self.folder(*parent)
            {
                self.base.note_double(parent, at.clone(), of);
            }
            return;
        }
        self.instead.insert(new, Some(of));
        self.made(new, of, wish);
    }

    fn refused(&mut self, wish: &Wish, refusal: &Refusal) {
        let node = wish.op.node();
        if *refusal == Refusal::Gone {
            // The device held it, so it lies there: as something new.
            return self.forget_all(node);
        }
        let (about, parent, at, print) = match &wish.becomes {
            Becomes::Made { parent, at, print, content } => {
                (About::Make, *parent, at.clone(), content.is_some().then_some(*print))
            }
            Becomes::Moved { parent, at } => (About::Move, *parent, at.clone(), None),
            Becomes::Filled { print, .. } => {
                let Some(held) = self.base.get(node) else { return };
                (About::Fill, held.parent, held.at.clone(), Some(*print))
            }
            // A delete is not refused, except of what is not there.
            Becomes::Gone => return self.forget_all(node),
        };
        self.notices.push(Notice::Refused { parent, at: at.clone(), refusal: refusal.clone() });
        self.issues.raise(parent, at, about, Issue { print, refusal: refusal.clone() });
    }

    fn hold(&mut self, id: EntityId, held: Held) {
        self.base.hold(id, held);
        self.changed.push(id);
    }

    fn forget(&mut self, id: EntityId) {
        self.base.drop_one(id);
        self.changed.push(id);
    }

    fn forget_all(&mut self, id: EntityId) {
        for id in self.base.below(id) {
            self.forget(id);
        }
    }
}
