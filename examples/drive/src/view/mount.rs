//! Showing a view under a path of the system, and taking it away.
//!
//! What must hold: where it cannot be shown that is said, with what to do about it, and nothing was changed; what a process
//! that was killed left behind is cleared away before the next one begins; a folder with something in it is not covered.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fuser::{BackgroundSession, Config, MountOption};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};

use super::fuse::Edge;

/// The system's way to file systems of programs.
pub const DEVICE: &str = "/dev/fuse";
/// Who mounts for those who may not.
const HELPER: &str = "fusermount3";
/// Threads that answer the kernel. Who waits for bytes waits elsewhere.
const THREADS: usize = 4;

/// Why a view cannot be shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unmountable {
    /// The system has no way to it.
    #[error(
        "this system has no {0}, so files that are not here cannot be shown; attach the folder without `--mode fuse`, and all \
         of them are brought"
    )]
    NoDevice(PathBuf),
    /// Who is not root needs a program that mounts.
    #[error("who is not root needs the program {HELPER} to show files that are not here; it is in the package fuse3")]
    NoHelper,
    /// There are files where it should be shown.
    #[error("{} is not empty: what is in it would be covered. Move it away, and into the folder once that is shown", .0.display())]
    NotEmpty(PathBuf),
    /// The system does not let us.
    #[error("{}: the files cannot be shown: {error}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What it says.
        #[source]
        error: io::Error,
    },
}

/// A view that is shown, until it is dropped.
#[derive(Debug)]
pub struct Mounted {
    session: Option<BackgroundSession>,
    at: PathBuf,
}

/// Whether views can be shown here at all.
///
/// # Errors
/// Why not.
pub fn check() -> Result<(), Unmountable> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    check_with(Path::new(DEVICE), rustix::process::geteuid().is_root(), &path)
}

fn check_with(device: &Path, is_root: bool, path: &OsStr) -> Result<(), Unmountable> {
    if !device.exists() {
        return Err(Unmountable::NoDevice(device.to_owned()));
    }
    if !is_root && !std::env::split_paths(path).any(|folder| folder.join(HELPER).is_file()) {
        return Err(Unmountable::NoHelper);
    }
    Ok(())
}

/// Clears away what a process that was killed left behind: a place that leads nowhere. Says whether it did.
///
/// # Errors
/// When the system does not let us.
pub fn clear(at: &Path) -> Result<bool, Unmountable> {
    let is_stale = fs::metadata(at).is_err_and(|error| error.raw_os_error() == Some(Errno::NOTCONN.raw_os_error()));
    if is_stale {
        detach(at).map_err(|error| Unmountable::Io { path: at.to_owned(), error })?;
    }
    Ok(is_stale)
}

/// Whether a place is a folder with nothing in it.
///
/// # Errors
/// When it is not.
pub fn check_place(at: &Path) -> Result<(), Unmountable> {
    let mut inside = fs::read_dir(at).map_err(|error| Unmountable::Io { path: at.to_owned(), error })?;
    if inside.next().is_some() { Err(Unmountable::NotEmpty(at.to_owned())) } else { Ok(()) }
}

/// Takes a view away, also while somebody has files in it open: they keep what they have.
fn detach(at: &Path) -> io::Result<()> {
    match unmount(at, UnmountFlags::DETACH) {
        Err(Errno::PERM) => {
            let helper = Command::new(HELPER).args(["-u", "-z", "-q", "--"]).arg(at).stdin(Stdio::null()).status()?;
            if helper.success() { Ok(()) } else { Err(io::Error::other(format!("{HELPER} did not unmount it"))) }
        }
        done => Ok(done?),
    }
}

impl Mounted {
    pub(super) fn show(edge: Edge, at: &Path) -> Result<Self, Unmountable> {
        check()?;
        clear(at)?;
        check_place(at)?;
        let mut config = Config::default();
        let named = MountOption::FSName("syncline".into());
        let kind = MountOption::Subtype("syncline".into());
        config.mount_options =
            vec![named, kind, MountOption::DefaultPermissions, MountOption::NoSuid, MountOption::NoDev];
        config.n_threads = Some(THREADS);
        let io = |error| Unmountable::Io { path: at.to_owned(), error };
        let session = fuser::spawn_mount(edge, at, &config).map_err(io)?;
        Ok(Self { session: Some(session), at: at.to_owned() })
    }

    /// Where it is shown.
    #[must_use]
    pub fn at(&self) -> &Path {
        &self.at
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let Some(session) = self.session.take() else { return };
        if unmount(&self.at, UnmountFlags::empty()).is_ok() {
            // Nobody is left who could ask.
            let _ = session.join();
        } else {
            // Somebody is in it: it goes away when they do, or with this process.
            let _ = detach(&self.at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_files_cannot_be_shown_that_is_said_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let (device, path) = (dir.path().join("fuse"), dir.path().as_os_str());
        let said = check_with(&device, true, path).unwrap_err().to_string();
        assert!(said.contains("has no ") && said.contains("without `--mode fuse`"), "{said}");
        fs::write(&device, b"").unwrap();
        assert!(check_with(&device, true, path).is_ok());
        let said = check_with(&device, false, path).unwrap_err().to_string();
        assert!(said.contains("fusermount3") && said.contains("the package fuse3"), "{said}");
        fs::write(dir.path().join(HELPER), b"").unwrap();
        assert!(check_with(&device, false, path).is_ok());
    }
}
