//! Deletes.
//!
//! What must hold: a delete removes only what its author had seen. What is below the folder and was changed by somebody else
//! since, or by the same commit, lives on with the folders around it; so nothing below needs to be read but that.
//!
//! Next: `settle`.

use std::collections::BTreeSet;

use super::node::Kind;
use super::op::{Dropped, Refusal, TreeVerdict};
use super::view::TreeView;
use super::working::{Asked, Felled, Origin, Shield, Stuck, Working};
use crate::id::EntityId;
use crate::limits::TREE_UNSEEN_MAX;
use crate::seq::Seq;

impl<V: TreeView> Working<'_, V> {
    pub(super) fn delete(&mut self, node: EntityId, seen: Seq) -> Asked<TreeVerdict, V> {
        let Some(id) = self.find(node)? else { return Ok(TreeVerdict::Noop) };
        if id == self.terms.root {
            return Ok(TreeVerdict::Rejected(Refusal::Root));
        }
        if self.dead(id)?.is_some() {
            return Ok(TreeVerdict::Noop);
        }
        let me = self.terms.replica;
        let slot = self.slot(id)?;
        let news = slot.before.as_ref().is_some_and(|before| before.is_news(seen, me));
        if news {
            return Ok(TreeVerdict::Superseded);
        }
        if slot.now.kind != Kind::Folder {
            self.fell(id, Felled { at: 0, kept: BTreeSet::new(), whole: BTreeSet::new() })?;
            return Ok(TreeVerdict::Done);
        }
        let Some(unseen) = self.unseen_below(id, seen)? else { return Ok(TreeVerdict::Superseded) };
        let felled = self.kept(id, &unseen)?;
        let stays = !felled.kept.is_empty();
        self.fell(id, felled)?;
        Ok(if stays { TreeVerdict::Partial(vec![Dropped::Unseen]) } else { TreeVerdict::Done })
    }

    /// What is below a folder and was changed by others since; `None` when that is too much to say.
    fn unseen_below(&mut self, id: EntityId, seen: Seq) -> Asked<Option<Vec<EntityId>>, V> {
        // Nothing was below a folder that is new or was dead, other than what the commit has put there or brought back.
        if self.slot(id)?.origin == Origin::New || seen >= self.terms.seq.before() {
            return Ok(Some(Vec::new()));
        }
        let found = self.view.changed_below(id, seen, self.terms.replica, TREE_UNSEEN_MAX + 1).map_err(Stuck::View)?;
        if found.len() > TREE_UNSEEN_MAX {
            return Ok(None);
        }
        let mut unseen = Vec::with_capacity(found.len());
        for below in found {
            if self.dead(below)?.is_none() && self.is_within(below, id)? {
                unseen.push(below);
            }
        }
        Ok(Some(unseen))
    }

    /// What lives on below a folder that is deleted.
    fn kept(&mut self, id: EntityId, unseen: &[EntityId]) -> Asked<Felled, V> {
        let mut felled = Felled { at: 0, kept: BTreeSet::new(), whole: BTreeSet::new() };
        let shields = self.shields.iter().map(|(id, shield)| (*id, *shield));
        let all: Vec<_> = shields.chain(unseen.iter().map(|id| (*id, Shield::Whole))).collect();
        for (node, shield) in all {
            let Some(node) = self.find(node)?.filter(|node| *node != id) else { continue };
            let slot = self.slot(node)?;
            let whole = shield == Shield::Whole && slot.before.is_some();
            let above = self.above(node)?;
            match above.iter().position(|folder| *folder == id) {
                Some(at) if self.dead(node)?.is_none() => {
                    felled.kept.insert(node);
                    felled.kept.extend(&above[..=at]);
                    if whole {
                        felled.whole.insert(node);
                    }
                }
                None if whole && self.above_before(node)?.contains(&id) => {
                    felled.whole.insert(node);
                }
                _ => {}
            }
        }
        Ok(felled)
    }

    fn fell(&mut self, id: EntityId, mut felled: Felled) -> Asked<(), V> {
        felled.at = self.event();
        let stays = felled.kept.contains(&id);
        self.felled.entry(id).or_default().push(felled);
        if !stays {
            let group = self.terms.seq;
            self.say(id, Some(group))?;
        }
        Ok(())
    }
}
