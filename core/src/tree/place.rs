//! Whether a node fits where it is to go: its folder, its name, depth, length of path, room.
//!
//! Depth is looked at with everything below the node, dead nodes included, so that no path ever exceeds
//! [`TREE_DEPTH_MAX`] whatever comes back to life. The length of a path is looked at for the node that goes there only: what
//! is below it may come to have a longer one, and the devices that cannot hold it say so.
//!
//! Next: `settle` for who has the name already.

use super::name::Name;
use super::node::{Content, Kind};
use super::op::Refusal;
use super::view::TreeView;
use super::working::{Asked, Stuck, Working};
use crate::id::EntityId;
use crate::limits::{PATH_BYTES_MAX, TREE_DEPTH_MAX};

impl<V: TreeView> Working<'_, V> {
    /// The folder under an id, dead or alive.
    pub(super) fn folder(&mut self, id: EntityId) -> Asked<Result<EntityId, Refusal>, V> {
        let Some(id) = self.find(id)? else { return Ok(Err(Refusal::Gone)) };
        Ok(if self.slot(id)?.now.is_folder() { Ok(id) } else { Err(Refusal::ParentNotFolder) })
    }

    pub(super) fn name(&self, typed: &str) -> Result<Name, Refusal> {
        Name::new(typed, self.terms.policy).map_err(Refusal::Name)
    }

    /// Why a node of that name cannot be in a folder.
    pub(super) fn fits_path(&mut self, folder: EntityId, name: &Name) -> Asked<Option<Refusal>, V> {
        let above = self.above(folder)?;
        if above.len() + 1 > TREE_DEPTH_MAX {
            return Ok(Some(Refusal::TooDeep));
        }
        let (mut bytes, mut chars) = (name.as_str().len(), name.as_str().chars().count());
        for id in std::iter::once(folder).chain(above) {
            let name = &self.slot(id)?.now.name;
            // The root has no name, and its slash is that of the path.
            bytes += name.as_str().len() + 1;
            chars += name.as_str().chars().count() + 1;
        }
        self.path_chars = self.path_chars.max(chars);
        Ok((bytes > PATH_BYTES_MAX).then_some(Refusal::PathTooLong(bytes)))
    }

    /// Whether a folder fits into another with what is below it.
    pub(super) fn fits_depth(&mut self, id: EntityId, folder: EntityId) -> Asked<bool, V> {
        let (old, new) = (self.above(id)?.len(), self.above(folder)?.len() + 1);
        if new <= old {
            return Ok(true);
        }
        let room = TREE_DEPTH_MAX.saturating_sub(new);
        // What the commit itself put below it has what is below that with it.
        let mut roots = vec![(0, id)];
        let named: Vec<EntityId> = self.named.keys().copied().collect();
        for other in named {
            let above = self.above(other)?;
            if let Some(distance) = above.iter().position(|folder| *folder == id) {
                roots.push((distance + 1, other));
            }
        }
        for (distance, root) in roots {
            let slot = self.slot(root)?;
            let loaded = slot.before.is_some() && slot.now.kind == Kind::Folder;
            let height = if loaded { self.view.height(root, room + 1).map_err(Stuck::View)? } else { 0 };
            if distance + height > room {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Why there is no room for a content and as many new nodes.
    pub(super) fn fits_room(&self, content: Option<&Content>, nodes: u64) -> Option<Refusal> {
        let room = self.terms.room;
        let bytes = content.map_or(0, |content| content.bytes);
        if bytes > room.file_bytes_max {
            return Some(Refusal::TooLarge);
        }
        let full = self.bytes_added.saturating_add(bytes) > room.bytes_free
            || self.nodes_added.saturating_add(nodes) > room.nodes_free;
        full.then_some(Refusal::QuotaExceeded)
    }
}
