//! New nodes and new contents.
//!
//! What must hold: a content that is accepted is in the tree afterwards, under its own name or another, whoever came first;
//! and a node comes back to life only for somebody who had not seen it die.
//!
//! Next: `alter` for parents and names.

use super::node::{Content, Kind, Node, Reason, Revision};
use super::op::{Refusal, TreeOp, TreeVerdict};
use super::view::TreeView;
use super::working::{Asked, Working};
use crate::id::EntityId;
use crate::seq::Seq;

impl<V: TreeView> Working<'_, V> {
    pub(super) fn create(
        &mut self,
        id: EntityId,
        parent: EntityId,
        name: &str,
        kind: Kind,
        content: Option<Content>,
    ) -> Asked<TreeVerdict, V> {
        match self.find(id)? {
            Some(there) if there == id => return Ok(TreeVerdict::Noop),
            Some(of) => return Ok(TreeVerdict::Alias { of }),
            None => {}
        }
        let folder = match self.folder(parent)? {
            Ok(folder) => folder,
            Err(refusal) => return Ok(TreeVerdict::Rejected(refusal)),
        };
        let name = match self.name(name) {
            Ok(name) => name,
            Err(refusal) => return Ok(TreeVerdict::Rejected(refusal)),
        };
        if kind.has_content() != content.is_some() {
            return Ok(TreeVerdict::Rejected(Refusal::KindMismatch));
        }
        if let Some(refusal) = self.fits_path(folder, &name)?.or_else(|| self.fits_room(content.as_ref(), 1)) {
            return Ok(TreeVerdict::Rejected(refusal));
        }
        self.revive_bare(folder)?;
        let stamp = self.stamp();
        let node = Node {
            parent: Some(folder),
            name,
            kind,
            content,
            content_stamp: stamp,
            parent_stamp: stamp,
            name_stamp: stamp,
            created: stamp.seq,
            dead: None,
            conflict_of: None,
        };
        self.insert(id, node);
        if let Some(content) = content {
            self.revise(id, content, None, Reason::Put);
        }
        Ok(TreeVerdict::Done)
    }

    pub(super) fn put(&mut self, op: &TreeOp) -> Asked<TreeVerdict, V> {
        let TreeOp::Put { node, content, base, seen, copy, reason } = op else {
            return Ok(TreeVerdict::Rejected(Refusal::KindMismatch));
        };
        let Some(id) = self.find(*node)? else { return Ok(TreeVerdict::Rejected(Refusal::Gone)) };
        let now = self.slot(id)?.now.clone();
        let Some(old) = now.content else { return Ok(TreeVerdict::Rejected(Refusal::KindMismatch)) };
        let same = old.is_same(content);
        let dead = self.dead(id)?;
        if dead.is_some_and(|dead| *seen >= dead) {
            return Ok(TreeVerdict::Rejected(Refusal::Gone));
        }
        if dead.is_none() && same {
            return Ok(TreeVerdict::Noop);
        }
        // What this commit itself wrote is no news to its author.
        let known = now.content_stamp.seq == *base || now.content_stamp == self.stamp();
        let copied = dead.is_none() && !known;
        if copied && self.find(*copy)?.is_some() {
            return Ok(TreeVerdict::Copied { copy: *copy });
        }
        if let Some(refusal) = self.fits_room((!same).then_some(content), u64::from(copied)) {
            return Ok(TreeVerdict::Rejected(refusal));
        }
        if copied {
            self.copy(id, *copy, *content, *base);
            return Ok(TreeVerdict::Copied { copy: *copy });
        }
        if dead.is_some() {
            if let Some(parent) = now.parent {
                self.revive_bare(parent)?;
            }
            self.say(id, None)?;
            self.place(id, now.parent);
        }
        let stamp = self.stamp();
        let slot = self.slot(id)?;
        slot.touched = true;
        if !same {
            (slot.now.content, slot.now.content_stamp) = (Some(*content), stamp);
            self.revise(id, *content, Some(now.content_stamp.seq), *reason);
        }
        Ok(if dead.is_some() { TreeVerdict::Revived } else { TreeVerdict::Done })
    }

    /// A file of its own beside the one that somebody else wrote first.
    fn copy(&mut self, of: EntityId, copy: EntityId, content: Content, base: Seq) {
        let stamp = self.stamp();
        let Some(slot) = self.slots.get(&of) else { return };
        let node = Node {
            content: Some(content),
            content_stamp: stamp,
            parent_stamp: stamp,
            name_stamp: stamp,
            created: stamp.seq,
            dead: None,
            conflict_of: Some(of),
            ..slot.now.clone()
        };
        self.insert(copy, node);
        self.revise(copy, content, Some(base), Reason::Conflict);
    }

    fn revise(&mut self, node: EntityId, content: Content, base: Option<Seq>, reason: Reason) {
        let (seq, by, accepted_at) = (self.terms.seq, self.terms.replica, self.terms.accepted_at);
        self.bytes_added = self.bytes_added.saturating_add(content.bytes);
        self.revisions.push(Revision { node, seq, content, by, accepted_at, base, reason });
    }
}
