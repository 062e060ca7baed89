//! A folder in which all files are to be seen, and only those that somebody opened take room: `--mode fuse`.
//!
//! What is here lies in an ordinary folder that the engine syncs like any other. The view shows that folder and, beside what
//! is in it, a *placeholder* for each file that is at the server only. Opening one to read it brings it into the folder; from
//! then on it is a file like others. What programs write goes into the folder, and is an ordinary edit to the engine; what they
//! do where a placeholder stands, the engine is told ([`Window`]).
//!
//! What must hold: nobody sees a file half brought; bytes that only this device has are never dropped; who has a file open
//! keeps its bytes; looking around brings nothing; a process that dies leaves an ordinary folder and a journal that says
//! what it did.
//!
//! Next: `window` for what engine and view tell each other, `flights` for who waits for what, `bring` for how bytes come,
//! `change` for what programs do, `fuse` for what the kernel asks.

mod attr;
mod attributes;
mod bring;
mod change;
mod core;
mod flights;
mod fuse;
mod handles;
mod inodes;
mod mount;
mod moves;
mod shown;
mod states;
mod union;
mod window;

use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use tokio::runtime::Handle;
use tokio::sync::Semaphore;

pub use mount::{DEVICE, Mounted, Unmountable, check, check_place, clear};
pub use shown::{Here, Shown};
pub use states::{STATE, word};
pub use window::Window;

use crate::folder::{Folder, child};
use crate::journal::{Journal, JournalError};
use crate::looks::ASKED;
pub(crate) use core::Parts;

/// Files whose bytes are brought at once, for whoever opens them: more wait for their turn.
pub const HYDRATIONS_MAX: usize = 8;
/// Where files are that are being brought, in the folder where a device remembers.
const COMING: &str = "coming";

/// Why a folder cannot be shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ViewError {
    /// The system cannot show it.
    #[error(transparent)]
    Mount(#[from] Unmountable),
    /// The journal does not answer.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Where the device remembers is no place for files.
    #[error("where the device remembers: {0}")]
    State(#[from] io::Error),
}

/// Shows what an engine syncs, at a place where nothing is, until what is given back is dropped. `state` is where the device
/// remembers, on the same disk as the folder.
///
/// # Errors
/// Why not; then nothing is shown.
pub(crate) fn show(parts: Parts, state: &Path, at: &Path) -> Result<Mounted, ViewError> {
    check()?;
    let journal = Journal::beside(&state.join("journal.db"))?;
    let coming = state.join(COMING);
    // Whatever a process that died was bringing is brought again.
    match fs::remove_dir_all(&coming) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    fs::create_dir(&coming)?;
    let beside = Folder::open(state)?.map_err(|_| io::Error::from(io::ErrorKind::NotADirectory))?;
    let coming = child(beside.root(), COMING)?;
    let root =
        rustix::fs::statx(parts.folder.root(), c"", rustix::fs::AtFlags::EMPTY_PATH, ASKED).map_err(io::Error::from)?;
    let core = core::Core {
        parts,
        journal: Mutex::new(journal),
        coming,
        inodes: Mutex::new(inodes::Inodes::new()),
        runtime: Handle::current(),
        at_once: Semaphore::new(HYDRATIONS_MAX),
    };
    let owner = attr::Owner { uid: root.stx_uid, gid: root.stx_gid };
    let edge = fuse::Edge { core: Arc::new(core), handles: Arc::default(), owner };
    Ok(Mounted::show(edge, at)?)
}
