//! Moves, renames and what comes back from the trash.
//!
//! Parent and name are decided apart: each is changed if nobody changed it since its author saw it. What must hold: no node is
//! ever below itself, dead ones included, for a folder's circle would come to life with it.
//!
//! Next: `delete`.

use super::copy::is_conflict_name;
use super::name::Name;
use super::node::{Kind, Stamp};
use super::op::{Dropped, Refusal, To, TreeVerdict};
use super::view::TreeView;
use super::working::{Asked, Origin, Shield, Working};
use crate::id::EntityId;
use crate::seq::Seq;

/// Where a node goes, after all that speaks against it was heard.
struct Going {
    parent: Option<EntityId>,
    name: Option<Name>,
    dropped: Vec<Dropped>,
}

impl<V: TreeView> Working<'_, V> {
    pub(super) fn move_to(
        &mut self,
        node: EntityId,
        parent: Option<&To<EntityId>>,
        name: Option<&To<String>>,
        seen: Seq,
    ) -> Asked<TreeVerdict, V> {
        let id = match self.movable(node)? {
            Ok(id) => id,
            Err(refusal) => return Ok(TreeVerdict::Rejected(refusal)),
        };
        // Even one that does not take effect: its author meant this folder to live.
        self.shield(id, Shield::Whole);
        let at_start = self.slot(id)?.before.as_ref().and_then(|before| before.dead);
        if at_start.is_some_and(|dead| seen >= dead) {
            return Ok(TreeVerdict::Rejected(Refusal::Gone));
        }
        let going = match self.going(id, parent, name)? {
            Ok(going) => going,
            Err(refusal) => return Ok(TreeVerdict::Rejected(refusal)),
        };
        let revived = at_start.is_some() || self.dead(id)?.is_some();
        self.bring_back(id, at_start)?;
        self.go(id, &going, revived)?;
        Ok(match (going.dropped.is_empty(), revived) {
            (false, _) => TreeVerdict::Partial(going.dropped),
            (true, true) => TreeVerdict::Revived,
            (true, false) => TreeVerdict::Done,
        })
    }

    pub(super) fn restore(
        &mut self,
        node: EntityId,
        parent: Option<EntityId>,
        name: Option<&str>,
    ) -> Asked<TreeVerdict, V> {
        let id = match self.movable(node)? {
            Ok(id) => id,
            Err(refusal) => return Ok(TreeVerdict::Rejected(refusal)),
        };
        self.shield(id, Shield::Whole);
        let at_start = self.slot(id)?.before.as_ref().and_then(|before| before.dead);
        if self.dead(id)?.is_none() && (at_start.is_none() || self.is_raised(id)?) {
            return Ok(TreeVerdict::Noop);
        }
        // Who restores says where to, whatever anybody said before.
        let (parent_base, name_base) = (self.slot(id)?.now.parent_stamp.seq, self.slot(id)?.now.name_stamp.seq);
        let parent = parent.map(|value| To { value, base: parent_base });
        let name = name.map(|value| To { value: value.to_owned(), base: name_base });
        let going = match self.going(id, parent.as_ref(), name.as_ref())? {
            Ok(going) => going,
            Err(refusal) => return Ok(TreeVerdict::Rejected(refusal)),
        };
        self.bring_back(id, at_start)?;
        self.go(id, &going, true)?;
        Ok(if going.dropped.is_empty() { TreeVerdict::Done } else { TreeVerdict::Partial(going.dropped) })
    }

    fn movable(&mut self, node: EntityId) -> Asked<Result<EntityId, Refusal>, V> {
        Ok(match self.find(node)? {
            None => Err(Refusal::Gone),
            Some(id) if id == self.terms.root => Err(Refusal::Root),
            Some(id) => Ok(id),
        })
    }

    fn going(
        &mut self,
        id: EntityId,
        parent: Option<&To<EntityId>>,
        name: Option<&To<String>>,
    ) -> Asked<Result<Going, Refusal>, V> {
        let now = self.slot(id)?.now.clone();
        let mut going = Going { parent: None, name: None, dropped: Vec::new() };
        if let Some(to) = parent {
            match self.folder(to.value)? {
                Err(refusal) => return Ok(Err(refusal)),
                Ok(folder) if now.parent == Some(folder) => {}
                Ok(_) if !self.is_base(now.parent_stamp, to.base) => going.dropped.push(Dropped::Parent),
                Ok(folder) if self.is_within(folder, id)? => going.dropped.push(Dropped::Circle),
                Ok(folder) => going.parent = Some(folder),
            }
        }
        if let Some(to) = name {
            match self.name(&to.value) {
                Err(refusal) => return Ok(Err(refusal)),
                Ok(name) if now.name == name => {}
                Ok(_) if !self.is_base(now.name_stamp, to.base) => going.dropped.push(Dropped::Name),
                Ok(name) => going.name = Some(name),
            }
        }
        let Some(folder) = going.parent.or(now.parent) else { return Ok(Err(Refusal::Root)) };
        if going.parent.is_some() || going.name.is_some() {
            let name = going.name.clone().unwrap_or(now.name);
            if let Some(refusal) = self.fits_path(folder, &name)? {
                return Ok(Err(refusal));
            }
            if going.parent.is_some() && now.kind == Kind::Folder && !self.fits_depth(id, folder)? {
                return Ok(Err(Refusal::TooDeep));
            }
        }
        Ok(Ok(going))
    }

    /// Whether a field is as its author saw it; what this commit changed itself, its author knows.
    fn is_base(&self, stamp: Stamp, base: Seq) -> bool {
        stamp.seq == base || stamp == self.stamp()
    }

    /// Brings a node back with all that died with it before this commit, or alone if this commit deleted it.
    fn bring_back(&mut self, id: EntityId, at_start: Option<Seq>) -> Asked<(), V> {
        match at_start {
            Some(group) if !self.is_raised(id)? => {
                let at = self.event();
                self.raised.insert(id, (at, group));
            }
            None if self.dead(id)?.is_none() => return Ok(()),
            _ => {}
        }
        self.say(id, None)?;
        let slot = self.slot(id)?;
        (slot.touched, slot.origin) = (true, Origin::Old);
        Ok(())
    }

    fn go(&mut self, id: EntityId, going: &Going, revived: bool) -> Asked<(), V> {
        let stamp = self.stamp();
        let slot = self.slot(id)?;
        let old = slot.now.parent;
        if let Some(parent) = going.parent {
            (slot.now.parent, slot.now.parent_stamp) = (Some(parent), stamp);
        }
        if let Some(name) = &going.name {
            (slot.now.name, slot.now.name_stamp) = (name.clone(), stamp);
            // Who gives a conflict copy a name of its own has decided: it is a file like others.
            if !is_conflict_name(name) {
                slot.now.conflict_of = None;
            }
        }
        let parent = slot.now.parent;
        let moved = going.parent.is_some() || going.name.is_some();
        slot.touched |= moved;
        if let Some(children) = old.and_then(|old| self.children.get_mut(&old)) {
            children.remove(&id);
        }
        if moved || revived {
            self.place(id, parent);
        }
        if let Some(parent) = parent {
            self.revive_bare(parent)?;
        }
        Ok(())
    }
}
