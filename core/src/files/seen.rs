//! Up to where a device had seen a node when its user changed it.
//!
//! The user saw what was in the folder, which is what is held: of what the server has and the device does not hold yet, the
//! user cannot have known. What must hold: what is said to be seen is in the folder.

use super::held::Base;
use crate::id::EntityId;
use crate::seq::Seq;
use crate::tree::{MemoryTree, Node};

/// What the server has, up to a place in the log.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::exhaustive_structs, reason = "a tree and how far it goes")]
pub struct Remote<'a> {
    /// The tree.
    pub tree: &'a MemoryTree,
    /// The last commit in it.
    pub last: Seq,
}

impl Remote<'_> {
    /// Up to where the folder shows a node.
    #[must_use]
    pub fn seen(&self, base: &Base, id: EntityId) -> Seq {
        self.tree.get(id).map_or(self.last, |node| self.seen_of(base, id, node))
    }

    /// Up to where the folder shows a node and everything below it.
    #[must_use]
    pub fn seen_below(&self, base: &Base, id: EntityId) -> Seq {
        let (mut seen, mut open) = (self.seen(base, id), vec![id]);
        while let Some(folder) = open.pop() {
            for (id, node) in self.tree.children(folder, None, usize::MAX) {
                seen = seen.min(self.seen_of(base, id, node));
                if node.is_folder() {
                    open.push(id);
                }
            }
        }
        // What left the folder, or died, and still lies there.
        base.below(id).into_iter().fold(seen, |seen, id| seen.min(self.seen(base, id)))
    }

    fn seen_of(&self, base: &Base, id: EntityId, node: &Node) -> Seq {
        let held = base.get(id);
        let fields = [
            (node.content_stamp.seq, held.map(|held| held.content_seq)),
            (node.parent_stamp.seq, held.map(|held| held.parent_seq)),
            (node.name_stamp.seq, held.map(|held| held.name_seq)),
        ];
        let news = fields.into_iter().filter(|(now, held)| held.is_none_or(|held| *now > held)).map(|(now, _)| now);
        let root = id == base.root();
        let first = news.filter(|_| !root).chain(node.dead).min();
        first.map_or(self.last, |first| first.before().min(self.last))
    }
}
