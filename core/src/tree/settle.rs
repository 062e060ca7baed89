//! Who has which name, at the end of a commit.
//!
//! Names are looked at when all ops are done, so a swap needs no third name. Nodes that the commit made, moved or revived are
//! placed one after the other, parents first; whoever was there before keeps its name. A folder that was just made joins a
//! folder of its name, a new file one with the same content; anything else gets the name of a conflict copy.
//!
//! Next: `commit` puts the result together.

use super::copy::ConflictName;
use super::name::{Name, NameKey};
use super::node::Kind;
use super::view::TreeView;
use super::working::{Asked, Origin, Stuck, Working};
use crate::id::EntityId;

impl<V: TreeView> Working<'_, V> {
    /// Settles every name. What has no answer is noted, and the rest goes on.
    pub(super) fn settle(&mut self) {
        let mut order = Vec::with_capacity(self.named.len());
        let named: Vec<_> = self.named.iter().map(|(id, op)| (*id, *op)).collect();
        for (id, op) in named {
            match self.dead(id).and_then(|dead| Ok((dead, self.above(id)?.len()))) {
                Ok((None, depth)) => order.push((depth, op, id)),
                Ok((Some(_), _)) => {}
                Err(stuck) => self.stuck.push(stuck),
            }
        }
        order.sort_unstable();
        for (_, _, id) in order {
            if let Err(stuck) = self.settle_one(id) {
                self.stuck.push(stuck);
            }
        }
    }

    fn settle_one(&mut self, id: EntityId) -> Asked<(), V> {
        let now = self.slot(id)?.now.clone();
        let Some(parent) = now.parent else { return Ok(()) };
        let key = now.name.key();
        let Some(sibling) = self.occupant(parent, &key)? else {
            self.taken.insert((parent, key), id);
            return Ok(());
        };
        let other = &self.slot(sibling)?.now;
        let (folder, same) = (other.kind == Kind::Folder, other.kind == now.kind && other.content.is_some());
        let same = same && other.content.zip(now.content).is_some_and(|(theirs, ours)| theirs.is_same(&ours));
        let origin = self.slot(id)?.origin;
        let fresh = match origin {
            Origin::Old => false,
            Origin::New => true,
            Origin::Bare(_) => !self.is_raised(id)?,
        };
        if now.kind == Kind::Folder && folder && fresh {
            return self.join(id, sibling);
        }
        if origin == Origin::New && same {
            self.stand_for(id, sibling);
            return Ok(());
        }
        let name = self.free_name(parent, &now.name)?;
        self.taken.insert((parent, name.key()), id);
        let stamp = self.stamp();
        let slot = self.slot(id)?;
        (slot.now.name, slot.now.name_stamp, slot.touched) = (name, stamp, true);
        Ok(())
    }

    /// Who has a name in a folder and keeps it.
    fn occupant(&mut self, parent: EntityId, key: &NameKey) -> Asked<Option<EntityId>, V> {
        if let Some(id) = self.taken.get(&(parent, key.clone())) {
            return Ok(Some(*id));
        }
        let Some(before) = self.slot(parent)?.before.as_ref() else { return Ok(None) };
        let group = before.dead;
        if group.is_some() && self.raised.is_empty() {
            return Ok(None);
        }
        let found = match self.looked.get(&(parent, key.clone())) {
            Some(found) => *found,
            None => {
                let found = match group {
                    None => self.view.child(parent, key),
                    Some(group) => self.view.dead_child(parent, group, key),
                };
                let found = found.map_err(Stuck::View)?;
                self.looked.insert((parent, key.clone()), found);
                found
            }
        };
        let Some(id) = found.filter(|id| !self.named.contains_key(id)) else { return Ok(None) };
        Ok(self.dead(id)?.is_none().then_some(id))
    }

    /// A conflict copy's name that nobody has. Asks about more and more of them at once, for every question may be a trip to a
    /// database.
    fn free_name(&mut self, parent: EntityId, name: &Name) -> Asked<Name, V> {
        let names = ConflictName::of(name, self.terms.label, self.terms.accepted_at);
        let first = (parent, names.nth(1).key());
        let mut number = self.numbered.get(&first).copied().unwrap_or(1);
        let mut at_once = 1;
        loop {
            let mut free = None;
            let mut stuck = None;
            for number in number..number.saturating_add(at_once) {
                let name = names.nth(number);
                match self.occupant(parent, &name.key()) {
                    Ok(None) if free.is_none() => free = Some((number, name)),
                    Ok(_) => {}
                    Err(error) => self.stuck.extend(stuck.replace(error)),
                }
            }
            if let Some(stuck) = stuck {
                // The next one that wants this name asks about the next numbers in the same round.
                self.numbered.insert(first, number.saturating_add(at_once));
                return Err(stuck);
            }
            if let Some((number, name)) = free {
                self.numbered.insert(first, number);
                return Ok(name);
            }
            number = number.saturating_add(at_once);
            at_once *= 8;
        }
    }

    /// What was put into a folder that was just made or came back goes to the folder that was there.
    fn join(&mut self, id: EntityId, sibling: EntityId) -> Asked<(), V> {
        let stamp = self.stamp();
        let origin = self.slot(id)?.origin;
        for child in self.children.remove(&id).unwrap_or_default() {
            if origin != Origin::New && self.dead(child)?.is_some() {
                continue;
            }
            let slot = self.slot(child)?;
            (slot.now.parent, slot.now.parent_stamp, slot.touched) = (Some(sibling), stamp, true);
            self.children.entry(sibling).or_default().insert(child);
        }
        match origin {
            Origin::Bare(group) => self.say(id, Some(group)),
            _ => {
                self.stand_for(id, sibling);
                Ok(())
            }
        }
    }

    fn stand_for(&mut self, new: EntityId, of: EntityId) {
        self.merged.insert(new, of);
        self.nodes_added = self.nodes_added.saturating_sub(1);
        self.revisions.retain(|revision| {
            let gone = revision.node == new;
            if gone {
                self.bytes_added = self.bytes_added.saturating_sub(revision.content.bytes);
            }
            !gone
        });
    }
}
