//! What a device can hold, and what becomes of the rest.
//!
//! A name that a device cannot hold is another one here, and the node's own everywhere else; who edits the file or moves it does
//! not rename it by that. A path that is too long has no such way out: the node is not brought, and its user is told. What must
//! hold: whatever one device cannot hold, the others have it as it is.
//!
//! Next: `steps` asks.

use crate::id::EntityId;
use crate::limits::PATH_BYTES_MAX;
use crate::tree::{Name, NamePolicy};

/// What a device can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "what a device knows of its disk")]
pub struct Abilities {
    /// Which names. Those of [ours](Name::is_ours) no device holds.
    pub names: NamePolicy,
    /// How many bytes a path has at most, from the folder down, slashes counted.
    pub path_bytes_max: usize,
}

impl Default for Abilities {
    /// Every name and every path that a tree takes.
    fn default() -> Self {
        Self { names: NamePolicy::Lenient, path_bytes_max: PATH_BYTES_MAX }
    }
}

impl Abilities {
    /// The name that a node has here.
    #[must_use]
    pub fn name_here(&self, id: EntityId, name: &Name) -> String {
        let is_held = self.names == NamePolicy::Lenient && !name.is_ours();
        if is_held { name.as_str().to_owned() } else { name.local(id).as_str().to_owned() }
    }

    /// Whether every path that a tree takes fits. A name that is another here may be a little longer: that is no reason to
    /// count.
    pub(super) const fn holds_every_path(&self) -> bool {
        self.path_bytes_max >= PATH_BYTES_MAX
    }
}
