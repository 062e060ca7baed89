//! What the view is made of, and where in it something lies: what is in the folder, and the placeholders beside it.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{AtFlags, Statx, statx};
use rustix::io::Errno;
use syncline::EntityId;
use syncline::client::BlobTransport;
use syncline::files::{Held, Identity, What};
use syncline::time::EnvSource;
use syncline::tree::Label;
use syncline::{LogKey, ReplicaId};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::inodes::{Inodes, Who};
use super::window::Window;
use crate::folder::{Folder, check};
use crate::journal::Journal;
use crate::looks::{self, ASKED, Looks};
use crate::rules::OURS;
use crate::transfer::Transfer;

/// What an engine lends a view.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) folder: Arc<Folder>,
    pub(crate) window: Arc<Window>,
    pub(crate) transfer: Arc<Transfer>,
    pub(crate) way: Arc<dyn BlobTransport>,
    pub(crate) env: Arc<dyn EnvSource>,
    pub(crate) log: LogKey,
    pub(crate) replica: ReplicaId,
    pub(crate) label: Label,
}

/// A view at work.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) parts: Parts,
    /// The engine's, beside it.
    pub(super) journal: Mutex<Journal>,
    /// Where files are that are being brought; on the folder's disk, and not in it.
    pub(super) coming: OwnedFd,
    pub(super) inodes: Mutex<Inodes>,
    pub(super) runtime: Handle,
    pub(super) at_once: Semaphore,
}

/// An entry of the view.
#[derive(Debug)]
pub(super) enum Entry {
    /// In the folder.
    Here(Box<Statx>, Looks),
    /// At the server only.
    Placeholder(EntityId, Box<Held>),
}

impl Entry {
    pub(super) const fn who(&self) -> Who {
        match self {
            Self::Here(_, looks) => Who::Here(looks.print.identity),
            Self::Placeholder(id, _) => Who::Placeholder(*id),
        }
    }
}

/// A folder of the view, open.
#[derive(Debug)]
pub(super) struct Inside {
    pub(super) folder: OwnedFd,
    /// Its node; `None` while the server does not have it.
    pub(super) node: Option<EntityId>,
}

impl Core {
    pub(super) fn inodes(&self) -> MutexGuard<'_, Inodes> {
        self.inodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn folder(&self) -> &Folder {
        &self.parts.folder
    }

    pub(super) fn window(&self) -> &Window {
        &self.parts.window
    }

    /// Opens the folder with this number.
    pub(super) fn inside(&self, number: u64) -> Result<Inside, Errno> {
        let path = self.inodes().path(number).ok_or(Errno::NOENT)?;
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let folder = self.folder().inside(&path).map_err(|error| errno(&error))?;
        let shown = Arc::clone(&self.window().both().shown);
        let node = if path.is_empty() { shown.root() } else { shown.folder(identity(&folder)?) };
        Ok(Inside { folder, node })
    }

    /// What is in a folder under a name.
    pub(super) fn find(&self, inside: &Inside, name: &str) -> Result<Entry, Errno> {
        if let Some((statx, looks)) = seen(&inside.folder, allowed(name)?)? {
            return Ok(Entry::Here(Box::new(statx), looks));
        }
        let found = inside.node.and_then(|node| self.window().both().at(node, name));
        match found {
            Some((id, held)) => Ok(Entry::Placeholder(id, Box::new(held))),
            // Its bytes may have come between both looks.
            None => match seen(&inside.folder, name)? {
                Some((statx, looks)) => Ok(Entry::Here(Box::new(statx), looks)),
                None => Err(Errno::NOENT),
            },
        }
    }

    /// The folder that the entry with this number is in, its name there, and what it is. Not for the root.
    pub(super) fn entry(&self, number: u64) -> Result<(Inside, String, Entry), Errno> {
        let (folder, name) = {
            let inodes = self.inodes();
            let (folder, name) = inodes.place(number).ok_or(Errno::NOENT)?;
            (folder, name.to_owned())
        };
        let inside = self.inside(folder)?;
        let entry = self.find(&inside, &name)?;
        Ok((inside, name, entry))
    }
}

/// A name that may be used in the view: none of those that the engine uses itself.
pub(super) fn allowed(name: &str) -> Result<&str, Errno> {
    let name = check(name).map_err(|_| Errno::INVAL)?;
    if name.starts_with(OURS) { Err(Errno::NOENT) } else { Ok(name) }
}

/// How an entry of an open folder looks.
pub(super) fn seen(folder: &OwnedFd, name: &str) -> Result<Option<(Statx, Looks)>, Errno> {
    match statx(folder, name, AtFlags::SYMLINK_NOFOLLOW, ASKED) {
        Ok(found) => {
            let looks = looks::read(&found);
            // Pipes and devices are not shown: nobody else could have them.
            Ok(looks.what.is_some().then_some((found, looks)))
        }
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) fn is_folder(looks: &Looks) -> bool {
    looks.what == Some(What::Folder)
}

fn identity(folder: &OwnedFd) -> Result<Identity, Errno> {
    Ok(looks::open(folder).map_err(|error| errno(&error))?.print.identity)
}

/// What to tell a program of an error.
pub(super) fn errno(error: &io::Error) -> Errno {
    if let Some(raw) = error.raw_os_error() {
        return Errno::from_raw_os_error(raw);
    }
    match error.kind() {
        io::ErrorKind::NotFound => Errno::NOENT,
        io::ErrorKind::AlreadyExists => Errno::EXIST,
        io::ErrorKind::NotADirectory => Errno::NOTDIR,
        io::ErrorKind::InvalidInput => Errno::INVAL,
        io::ErrorKind::StorageFull => Errno::NOSPC,
        io::ErrorKind::QuotaExceeded => Errno::DQUOT,
        _ => Errno::IO,
    }
}
