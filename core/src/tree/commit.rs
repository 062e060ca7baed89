//! Deciding a commit: ops in order, then names, then what is to be written.
//!
//! [`commit`] is a pure function of the tree, the terms and the ops. What must hold: it reads and says no more than what the
//! ops name, the folders above that, and what others changed below a deleted folder; however large the tree is.
//!
//! Next: the rules, in `create`, `alter`, `delete` and `settle`.

use super::change::{Change, Committed};
use super::copy::Label;
use super::name::NamePolicy;
use super::node::Node;
use super::op::{Commit, Outcome, Refusal, TreeOp, TreeVerdict};
use super::view::TreeView;
use super::working::{Asked, Shield, Stuck, Working};
use crate::id::{EntityId, ReplicaId};
use crate::limits::PATH_CHARS_WARNED;
use crate::seq::Seq;
use crate::time::Timestamp;

/// What a commit is decided under, besides the tree.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::exhaustive_structs, reason = "everything a decision depends on")]
pub struct Terms<'a> {
    /// The place that the commit gets in the log.
    pub seq: Seq,
    /// Who made it.
    pub replica: ReplicaId,
    /// What the names of conflict copies call them.
    pub label: &'a Label,
    /// The server's time.
    pub accepted_at: Timestamp,
    /// The root of the tree.
    pub root: EntityId,
    /// Which names there may be.
    pub policy: NamePolicy,
    /// What there is room for.
    pub room: Room,
}

/// What a tree has room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "three numbers")]
pub struct Room {
    /// Bytes of one file.
    pub file_bytes_max: u64,
    /// Bytes of new contents that this commit may bring.
    pub bytes_free: u64,
    /// Nodes that it may make.
    pub nodes_free: u64,
}

impl Room {
    /// Room for anything.
    pub const ENDLESS: Self = Self { file_bytes_max: u64::MAX, bytes_free: u64::MAX, nodes_free: u64::MAX };
}

/// Decides a commit against the tree that `view` shows, which is locked.
///
/// # Errors
/// Every question without an answer that was met: the first ones of each op, so that who answers them all needs a few rounds
/// and not one per question. Nothing was decided then.
pub fn commit<V: TreeView>(view: &V, terms: &Terms<'_>, commit: &Commit) -> Result<Committed, Vec<Stuck<V::Error>>> {
    let mut tree = Working::new(view, terms);
    tree.shield_all(commit);
    let mut verdicts = Vec::with_capacity(commit.ops().len());
    for (number, op) in commit.ops().iter().enumerate() {
        (tree.op, tree.path_chars) = (number, 0);
        match tree.decide(op) {
            Ok(verdict) => verdicts.push((op, verdict, tree.path_chars > PATH_CHARS_WARNED)),
            Err(stuck) => tree.stuck.push(stuck),
        }
    }
    tree.settle();
    let result = if tree.stuck.is_empty() { tree.finish(verdicts) } else { Err(tree.stuck.remove(0)) };
    result.map_err(|stuck| std::iter::once(stuck).chain(tree.stuck).collect())
}

impl<V: TreeView> Working<'_, V> {
    /// What a commit makes or writes its author has, so no delete in it means that: not even when it arrives twice.
    fn shield_all(&mut self, commit: &Commit) {
        for op in commit.ops() {
            match op {
                TreeOp::Create { node, .. } => self.shield(*node, Shield::Node),
                TreeOp::Put { node, copy, .. } => {
                    self.shield(*node, Shield::Node);
                    self.shield(*copy, Shield::Node);
                }
                _ => {}
            }
        }
    }

    fn decide(&mut self, op: &TreeOp) -> Asked<TreeVerdict, V> {
        if op.claims() >= self.terms.seq {
            return Ok(TreeVerdict::Rejected(Refusal::Ahead));
        }
        match op {
            TreeOp::Create { node, parent, name, kind, content } => self.create(*node, *parent, name, *kind, *content),
            TreeOp::Put { .. } => self.put(op),
            TreeOp::Move { node, parent, name, seen } => self.move_to(*node, parent.as_ref(), name.as_ref(), *seen),
            TreeOp::Delete { node, seen } => self.delete(*node, *seen),
            TreeOp::Restore { node, parent, name } => self.restore(*node, *parent, name.as_deref()),
        }
    }

    fn finish(&mut self, verdicts: Vec<(&TreeOp, TreeVerdict, bool)>) -> Asked<Committed, V> {
        self.keep_what_came_later()?;
        let mut changes = self.folders();
        changes.extend(self.merged.iter().map(|(new, of)| Change::Alias { new: *new, of: *of }));
        changes.extend(self.nodes()?);
        let mut outcomes = Vec::with_capacity(verdicts.len());
        for (op, verdict, long_path) in verdicts {
            outcomes.push(self.outcome(op.node(), verdict, long_path)?);
        }
        Ok(Committed {
            changes,
            outcomes,
            revisions: std::mem::take(&mut self.revisions),
            nodes_added: self.nodes_added,
            bytes_added: self.bytes_added,
        })
    }

    /// What was moved into a folder after that had been deleted is named among what lives on there, so that who applies an
    /// entry twice ends where they were.
    fn keep_what_came_later(&mut self) -> Asked<(), V> {
        if self.felled.is_empty() {
            return Ok(());
        }
        let moved = self.shields.iter().filter(|(_, shield)| **shield == Shield::Whole).map(|(id, _)| *id);
        for id in moved.collect::<Vec<_>>() {
            let before = self.above_before(id)?;
            for folder in self.above(id)? {
                if before.contains(&folder) {
                    continue;
                }
                for felled in self.felled.get_mut(&folder).into_iter().flatten() {
                    felled.whole.insert(id);
                }
            }
        }
        Ok(())
    }

    /// Lives and deaths of whole folders, in the order in which they were decided.
    fn folders(&self) -> Vec<Change> {
        let old = |id: &&EntityId| self.slots.get(*id).is_some_and(|slot| slot.before.is_some());
        let mut folders = Vec::new();
        for (root, (at, group)) in &self.raised {
            folders.push((*at, Change::Revive { root: *root, group: *group }));
        }
        for (root, felled) in &self.felled {
            // What was new or dead has nothing below it that lives, unless its whole group came back.
            let lived = self
                .slots
                .get(root)
                .and_then(|slot| slot.before.as_ref())
                .is_some_and(|node| node.dead.is_none() || !self.raised.is_empty());
            for felled in felled.iter().filter(|_| lived) {
                let kept = felled.kept.iter().filter(old).copied().collect();
                let whole = felled.whole.iter().filter(old).copied().collect();
                folders.push((felled.at, Change::Tombstone { root: *root, group: self.terms.seq, kept, whole }));
            }
        }
        folders.sort_by_key(|(at, _)| *at);
        folders.into_iter().map(|(_, change)| change).collect()
    }

    /// The nodes that the commit touched, as they are now, parents first.
    fn nodes(&mut self) -> Asked<Vec<Change>, V> {
        let touched = self.slots.iter().filter(|(id, slot)| slot.touched && !self.merged.contains_key(id));
        let touched: Vec<EntityId> = touched.map(|(id, _)| *id).collect();
        let quiet = self.felled.is_empty() && self.raised.is_empty();
        let mut nodes = Vec::with_capacity(touched.len());
        for id in touched {
            let node = self.after(id)?;
            if quiet && self.slot(id)?.before.as_ref() == Some(&node) {
                continue;
            }
            nodes.push((self.above(id)?.len(), id, node));
        }
        nodes.sort_by_key(|(depth, id, _)| (*depth, *id));
        Ok(nodes.into_iter().map(|(_, id, node)| Change::Node { id, node: Box::new(node) }).collect())
    }

    fn after(&mut self, id: EntityId) -> Asked<Node, V> {
        let dead = self.dead(id)?;
        Ok(Node { dead, ..self.slot(id)?.now.clone() })
    }

    fn outcome(&mut self, asked: EntityId, verdict: TreeVerdict, long_path: bool) -> Asked<Outcome, V> {
        let mut copy = None;
        let verdict = match (verdict, self.merged.get(&asked)) {
            (TreeVerdict::Copied { copy: id }, _) => {
                let id = self.find(id)?.unwrap_or(id);
                let id = self.merged.get(&id).copied().unwrap_or(id);
                copy = Some(self.after(id)?);
                TreeVerdict::Copied { copy: id }
            }
            (TreeVerdict::Done | TreeVerdict::Noop, Some(of)) => TreeVerdict::Alias { of: *of },
            (verdict, _) => verdict,
        };
        let id = match self.merged.get(&asked) {
            Some(of) => Some(*of),
            None => self.find(asked)?,
        };
        let node = match id {
            Some(id) => Some((id, self.after(id)?)),
            None => None,
        };
        Ok(Outcome { verdict, node, copy, long_path })
    }
}
