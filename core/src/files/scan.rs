//! What is in the folder, as a walk through it found it.

use super::held::Fingerprint;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "what is synced; sockets, pipes and devices are not")]
pub enum What {
    /// A file.
    File {
        /// Whether it may be run.
        executable: bool,
    },
    /// A folder.
    Folder,
    /// A symbolic link; never followed.
    Symlink,
}

/// A file or folder in the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "what a walk finds")]
pub struct Found {
    /// The number of the entry that it is in; `None` for those in the root.
    pub parent: Option<usize>,
    /// Its name, as it lies there.
    pub name: String,
    /// What it is.
    pub what: What,
    /// How it looks.
    pub print: Fingerprint,
}

/// Everything in the folder that is synced: what is ignored is not in it, unless the device holds it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(clippy::exhaustive_structs, reason = "what a walk finds")]
pub struct Scan {
    /// Folders before what is in them.
    pub found: Vec<Found>,
    /// Folders that could not be read, by their numbers: nothing is known of what is in them.
    pub unread: Vec<usize>,
}

impl Scan {
    /// The names from the root down to an entry.
    #[must_use]
    pub fn path(&self, number: usize) -> Vec<&str> {
        let mut path = Vec::new();
        let mut at = self.found.get(number);
        while let Some(found) = at {
            path.push(found.name.as_str());
            at = found.parent.and_then(|parent| self.found.get(parent));
        }
        path.reverse();
        path
    }
}
