//! The worlds that are simulated here, by name.

use syncline_sim::{World, mixed};

/// What describes a world.
pub type Describe = fn(&mut World);

/// All of them.
pub const WORLDS: &[(&str, Describe)] = &[("mixed", mixed::world), ("diary", mixed::diary)];

/// The world of this name.
#[must_use]
pub fn named(name: &str) -> Option<Describe> {
    WORLDS.iter().find(|(known, _)| *known == name).map(|(_, describe)| *describe)
}
