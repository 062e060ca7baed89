//! Paths that are typed, as nodes; nodes, as paths that are shown.

use std::collections::HashMap;
use std::path::{Component, Path};

use syncline::EntityId;
use syncline::decide::TREE_ROOT;
use syncline::files::Base;
use syncline::tree::Node;
use syncline_desk::Fault;

use super::device::Device;

/// The node that is held at a path: from the folder down, or whole.
///
/// # Errors
/// When nothing is held there.
pub(super) fn node(device: &Device, base: &Base, typed: &Path) -> Result<EntityId, Fault> {
    let none = || Fault::new(format!("{} is not in the folder, or was not synced yet", typed.display()));
    let inside = if typed.is_absolute() { typed.strip_prefix(device.folder()).map_err(|_| none())? } else { typed };
    let mut at = TREE_ROOT;
    for part in inside.components() {
        at = match part {
            Component::CurDir => at,
            Component::Normal(name) => name.to_str().and_then(|name| base.at(at, name)).ok_or_else(none)?,
            _ => return Err(none()),
        };
    }
    Ok(at)
}

/// The server's paths of nodes.
pub(super) struct Paths<'a> {
    nodes: HashMap<EntityId, &'a Node>,
}

impl<'a> Paths<'a> {
    pub(super) fn of(nodes: &'a [(EntityId, Node)]) -> Self {
        Self { nodes: nodes.iter().map(|(id, node)| (*id, node)).collect() }
    }

    /// A live node's path; `None` for others.
    pub(super) fn path(&self, id: EntityId) -> Option<String> {
        let (mut names, mut at) = (Vec::new(), id);
        while at != TREE_ROOT {
            let node = self.nodes.get(&at).filter(|node| node.dead.is_none())?;
            names.push(node.name.as_str());
            at = node.parent?;
            if names.len() > self.nodes.len() {
                return None;
            }
        }
        names.reverse();
        Some(names.join("/"))
    }
}
