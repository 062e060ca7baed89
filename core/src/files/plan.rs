//! What to do next: what to tell the server, what to do in the folder, what to read before more can be said, or why to stop.
//!
//! A plan is worked out from what is known and kept nowhere. Who carries it out tells the server first, takes its answers over
//! (`settle`), and asks for the next plan; what a step finds otherwise than the plan knew it leaves. A plan without anything in
//! it means that folder and server are alike. What must hold: an accident (a folder that is not mounted, a disk that was
//! emptied) is not taken for a wish.
//!
//! Next: `wish` for what is told, `steps` for what is done.

use super::abilities::Abilities;
use super::held::{Base, Held};
use super::issue::Issues;
use super::recognize::Local;
use super::scan::Scan;
use super::seen::Remote;
use super::step::Step;
use super::steps::steps;
use super::wish::{Wish, wishes};
use crate::id::EntityId;
use crate::limits::{FILES_DELETED_MIN, FILES_DELETED_PERCENT};
use crate::tree::Node;

/// What a device wants of nodes.
pub trait Wanted {
    /// Whether its bytes are to be here.
    fn here(&self, id: EntityId) -> bool;
    /// Whether bytes that are here already, and are the server's, may stay though they need not be here: somebody read them,
    /// and reads them again perhaps.
    fn stays(&self, id: EntityId) -> bool {
        self.here(id)
    }
    /// Whether it is to be left alone for now: a program has it open and says so.
    fn waits(&self, id: EntityId) -> bool;
    /// What the device can hold: everything, if nobody says.
    fn abilities(&self) -> Abilities {
        Abilities::default()
    }
    /// The name that it has here: the node's, where the device can hold it.
    fn name_here(&self, id: EntityId, node: &Node) -> String {
        self.abilities().name_here(id, &node.name)
    }
}

/// Why nothing is done until somebody says that it is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Halt {
    /// The folder is not there: not mounted, perhaps.
    #[error("the folder is not there")]
    RootMissing,
    /// Something else is where the folder was.
    #[error("where the folder was there is something else")]
    RootIsNoFolder,
    /// The folder is on another disk than before.
    #[error("the folder is on another disk than before")]
    OtherVolume,
    /// Everything that was in the folder is gone.
    #[error("everything that was in the folder is gone")]
    RootEmptied,
    /// Most of the folder's entries were deleted in it.
    #[error("{gone} of {of} entries of the folder are gone")]
    DeletedHere {
        /// Entries that are gone.
        gone: usize,
        /// Entries that there were.
        of: usize,
    },
    /// Most of the folder's entries were deleted at the server.
    #[error("{gone} of {of} entries of the folder were deleted at the server")]
    DeletedThere {
        /// Entries that are to be taken away.
        gone: usize,
        /// Entries that there are.
        of: usize,
    },
}

/// What is where the folder should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "what a file system says")]
pub enum RootState {
    /// A folder, on the disk of this number.
    Folder {
        /// The disk.
        volume: u64,
    },
    /// Something else.
    Other,
    /// Nothing.
    Missing,
}

/// Whether what is where the folder should be lets anybody believe what it says. `volume` is the disk that it was on.
///
/// # Errors
/// Why not.
pub fn check_root(root: RootState, volume: Option<u64>, base: &Base, scan: &Scan) -> Result<(), Halt> {
    match root {
        RootState::Missing => return Err(Halt::RootMissing),
        RootState::Other => return Err(Halt::RootIsNoFolder),
        RootState::Folder { volume: now } if volume.is_some_and(|before| before != now) => {
            return Err(Halt::OtherVolume);
        }
        RootState::Folder { .. } => {}
    }
    let here = base.inside(base.root()).filter(|(_, id)| base.get(*id).is_some_and(|held| held.print.is_some()));
    if scan.found.is_empty() && scan.unread.is_empty() && here.count() >= 2 {
        return Err(Halt::RootEmptied);
    }
    Ok(())
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(clippy::exhaustive_structs, reason = "who carries it out must look at each part")]
pub struct Plan {
    /// Entries of the scan to be read, for what they contain decides more.
    pub unread: Vec<usize>,
    /// What to tell the server; [`batch`](super::batch()) takes out what goes into one commit.
    pub wishes: Vec<Wish>,
    /// Nodes that are held from now on without being in the folder.
    pub hold: Vec<(EntityId, Held)>,
    /// What to do in the folder, in this order. What is to be told is told first.
    pub steps: Vec<Step>,
    /// Nodes that are not brought, or not moved, for the path would be longer than the device can hold. What is in them is
    /// not brought either.
    pub too_long: Vec<EntityId>,
}

impl Plan {
    /// Whether folder and server are alike, as far as can be known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.unread.is_empty() && self.wishes.is_empty() && self.hold.is_empty() && self.steps.is_empty()
    }
}

/// Works out what to do. What is alike has been taken over before ([`agree`](super::agree())), and no commit is on its way.
/// `confirmed`: somebody said that it is meant. `mint` makes ids for conflict copies.
///
/// # Errors
/// When more than [`FILES_DELETED_PERCENT`] of at least [`FILES_DELETED_MIN`] nodes would be deleted, on either side.
pub fn plan(
    remote: Remote<'_>,
    base: &Base,
    local: &Local,
    issues: &Issues,
    wanted: &dyn Wanted,
    confirmed: bool,
    mint: &mut dyn FnMut() -> EntityId,
) -> Result<Plan, Halt> {
    let told = wishes(remote, base, local, issues, mint);
    let done = steps(remote.tree, base, local, &told.busy, wanted);
    let of = base.len();
    let is_most = |gone: usize| of >= FILES_DELETED_MIN && gone * 100 > of * FILES_DELETED_PERCENT;
    match (told.deleted, done.removed) {
        (gone, _) if is_most(gone) && !confirmed => Err(Halt::DeletedHere { gone, of }),
        (_, gone) if is_most(gone) && !confirmed => Err(Halt::DeletedThere { gone, of }),
        _ => Ok(Plan {
            unread: told.unread,
            wishes: told.wishes,
            hold: done.hold,
            steps: done.steps,
            too_long: done.too_long,
        }),
    }
}
