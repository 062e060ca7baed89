//! Extended attributes: a user's own, as the folder has them, and one of ours that says how a file stands.
//!
//! What must hold: who asks brings nothing.

use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags, XattrFlags, fgetxattr, flistxattr, fremovexattr, fsetxattr, openat};
use rustix::io::Errno;
use syncline::files::{Hydration, What};

use super::core::{Core, Entry};
use super::states::{STATE, of, word};

type Done<T> = Result<T, Errno>;

/// What begins the names of a user's own attributes.
const USER: &str = "user.";
/// What begins the names of ours.
const OURS: &str = "user.syncline.";
/// As many bytes as systems keep.
const BYTES_MAX: usize = 64 << 10;

impl Core {
    /// How a file stands; `None` for folders and links.
    fn state(&self, entry: &Entry) -> Option<Hydration> {
        match entry {
            Entry::Placeholder(id, _) => {
                Some(self.window().both().flights.state(*id).unwrap_or(Hydration::Placeholder))
            }
            Entry::Here(_, looks) if matches!(looks.what, Some(What::File { .. })) => {
                let is_open = self.folder().uses().is_open(looks.print.identity);
                Some(of(&self.window().both(), &looks.print, is_open))
            }
            Entry::Here(..) => None,
        }
    }

    /// Opens what is here under a number, to ask for its attributes. `None`: a link, which has none, or a placeholder.
    fn to_ask(&self, number: u64, entry: &Entry) -> Done<Option<OwnedFd>> {
        let Entry::Here(_, looks) = entry else { return Ok(None) };
        match looks.what {
            Some(What::Folder) => Ok(Some(self.inside(number)?.folder)),
            Some(What::File { .. }) => {
                let (inside, name, _) = self.entry(number)?;
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
                Ok(Some(openat(&inside.folder, name, flags, Mode::empty())?))
            }
            _ => Ok(None),
        }
    }

    pub(super) fn attribute(&self, number: u64, name: &str) -> Done<Vec<u8>> {
        if !name.starts_with(USER) {
            // The system asks for its own before each write.
            return Err(Errno::NODATA);
        }
        let entry = self.entry_or_root(number)?;
        if name == STATE {
            return Ok(word(self.state(&entry).ok_or(Errno::NODATA)?).into());
        }
        let file = self.to_ask(number, &entry)?.ok_or(Errno::NODATA)?;
        let mut value = vec![0; BYTES_MAX];
        let len = fgetxattr(file, name, &mut value[..])?;
        value.truncate(len);
        Ok(value)
    }

    pub(super) fn attributes(&self, number: u64) -> Done<Vec<u8>> {
        let entry = self.entry_or_root(number)?;
        let mut names = Vec::new();
        if self.state(&entry).is_some() {
            names.extend_from_slice(STATE.as_bytes());
            names.push(0);
        }
        if let Some(file) = self.to_ask(number, &entry)? {
            let mut all = vec![0; BYTES_MAX];
            let len = match flistxattr(file, &mut all[..]) {
                Err(Errno::OPNOTSUPP) => 0,
                listed => listed?,
            };
            all.truncate(len);
            let users = all.split(|byte| *byte == 0).filter(|name| name.starts_with(USER.as_bytes()));
            for name in users.filter(|name| !name.starts_with(OURS.as_bytes())) {
                names.extend_from_slice(name);
                names.push(0);
            }
        }
        Ok(names)
    }

    pub(super) fn set_attribute(&self, number: u64, name: &str, value: &[u8], flags: i32) -> Done<()> {
        let file = self.to_change(number, name)?;
        fsetxattr(file, name, value, XattrFlags::from_bits_retain(flags.cast_unsigned()))
    }

    pub(super) fn remove_attribute(&self, number: u64, name: &str) -> Done<()> {
        fremovexattr(self.to_change(number, name)?, name)
    }

    /// A placeholder has nowhere to keep them: nobody else would see them either.
    fn to_change(&self, number: u64, name: &str) -> Done<OwnedFd> {
        if !name.starts_with(USER) {
            return Err(Errno::OPNOTSUPP);
        }
        if name.starts_with(OURS) {
            return Err(Errno::PERM);
        }
        let entry = self.entry_or_root(number)?;
        self.to_ask(number, &entry)?.ok_or(Errno::OPNOTSUPP)
    }
}
