//! The worlds that are simulated here, by name.

use std::path::Path;

use syncline_sim::{World, mixed};

/// What describes a world.
pub type Describe = fn(&mut World);

/// All of them.
pub const WORLDS: &[(&str, Describe)] =
    &[("mixed", mixed::world), ("diary", mixed::diary), ("recovery", mixed::recovery)];

/// The world of a kept plan, whose file is called `WORLD-what_was_broken.plan`.
#[must_use]
pub fn of_file(file: &Path) -> Option<Describe> {
    of_name(file.file_stem()?.to_str()?.split('-').next()?)
}

/// The world of this name.
#[must_use]
pub fn of_name(world: &str) -> Option<Describe> {
    WORLDS.iter().find(|(name, _)| *name == world).map(|(_, describe)| *describe)
}

/// A promise as files are called after it.
#[must_use]
pub fn words(promise: &str) -> String {
    promise.chars().filter(|c| *c == ' ' || c.is_ascii_alphanumeric()).collect::<String>().replace(' ', "_")
}
