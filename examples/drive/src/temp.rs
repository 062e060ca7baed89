//! A file that is being written: beside where it will be, under a name of ours.
//!
//! Runs of zeros are left as holes. What must hold: it is whole, has the bytes that were announced and is on the disk before
//! anybody else sees it; it goes away when nobody takes it.

use std::fs::{File, Permissions};
use std::io::{self, Error, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, Mode, OFlags, openat, unlinkat};
use syncline::Digest;
use syncline::digest::Hasher;
use syncline::tree::Content;

use crate::looks::{self, Looks};

/// What begins the names of files that are being written. Who finds one that nobody is writing may take it away.
pub const UNFINISHED: &str = ".syncline-new-";

/// Zeros that are worth a hole, and where one may begin.
const HOLE_BYTES: usize = 64 << 10;

/// A file that is being written from its beginning to its end.
#[derive(Debug)]
pub struct Temp {
    folder: OwnedFd,
    name: String,
    file: File,
    hasher: Hasher,
    /// Bytes that were not written yet, less than [`HOLE_BYTES`] between calls.
    waiting: Vec<u8>,
    /// Where they go.
    at: u64,
    /// Somebody has taken it.
    taken: bool,
}

/// A name for a file that is being written.
///
/// # Errors
/// When the system has no randomness.
pub fn fresh_name() -> io::Result<String> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|error| Error::other(error.to_string()))?;
    Ok(format!("{UNFINISHED}{:016x}", u64::from_be_bytes(random)))
}

impl Temp {
    /// The folder it is in.
    #[must_use]
    pub fn folder(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }

    /// Begins a file in an open folder.
    ///
    /// # Errors
    /// What the system says.
    pub fn begin(folder: OwnedFd) -> io::Result<Self> {
        let name = fresh_name()?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(openat(&folder, &name, flags, Mode::from_raw_mode(0o666))?);
        Ok(Self { folder, name, file, hasher: Hasher::new(), waiting: Vec::new(), at: 0, taken: false })
    }

    /// Bytes taken so far.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.at + self.waiting.len() as u64
    }

    /// Whether none were taken yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// What the system says: [`ErrorKind::StorageFull`] among it.
    pub fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(HOLE_BYTES - self.waiting.len()));
            self.waiting.extend_from_slice(now);
            bytes = later;
            if self.waiting.len() == HOLE_BYTES {
                self.put()?;
            }
        }
        Ok(())
    }

    fn put(&mut self) -> io::Result<()> {
        if self.waiting.len() < HOLE_BYTES || self.waiting.iter().any(|byte| *byte != 0) {
            self.file.write_all_at(&self.waiting, self.at)?;
        }
        self.at += self.waiting.len() as u64;
        self.waiting.clear();
        Ok(())
    }

    /// Ends it: holds it against what was announced, gives it its time and permissions, and brings it to the disk. `mode`:
    /// the permissions that the file had before; whether it may be run is the content's to say.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidData`] when other bytes came; else what the system says.
    pub fn finish(mut self, content: &Content, mode: Option<u16>) -> io::Result<Whole> {
        self.put()?;
        let hash: Digest = std::mem::take(&mut self.hasher).finish();
        if (hash, self.at) != (content.blob, content.bytes) {
            let said = format!("{} bytes with the SHA-256 {hash} came for {}", self.at, content.blob);
            return Err(Error::new(ErrorKind::InvalidData, said));
        }
        // The last bytes may be a hole.
        self.file.set_len(self.at)?;
        let mode = match mode {
            Some(mode) => u32::from(mode),
            None => self.file.metadata()?.permissions().mode(),
        };
        // Whoever may read it may run it.
        let may_run = if content.executable { mode | (mode & 0o444) >> 2 } else { mode & !0o111 };
        self.file.set_permissions(Permissions::from_mode(may_run & 0o777))?;
        self.file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_millis(content.modified_at.ms()))?;
        self.file.sync_all()?;
        Ok(Whole(self))
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        if !self.taken {
            // Whatever stays is taken away when it is found.
            let _ = unlinkat(&self.folder, &self.name, AtFlags::empty());
        }
    }
}

/// A file that is whole, and not yet where it belongs.
#[derive(Debug)]
pub struct Whole(Temp);

impl Whole {
    /// The folder it is in.
    #[must_use]
    pub fn folder(&self) -> BorrowedFd<'_> {
        self.0.folder()
    }

    /// How it looks, under whatever name.
    ///
    /// # Errors
    /// What the system says.
    pub fn looks(&self) -> io::Result<Looks> {
        looks::open(&self.0.file)
    }

    /// Its name there.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// It has another name now: nobody needs to take it away.
    pub fn taken(mut self) {
        self.0.taken = true;
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;

    use syncline::Timestamp;

    use super::*;

    fn content(bytes: &[u8], executable: bool) -> Content {
        Content {
            blob: Digest::of(&[bytes]),
            bytes: bytes.len() as u64,
            manifest: None,
            modified_at: Timestamp::from_ms(1_700_000_000_123).unwrap(),
            executable,
            attributes: None,
        }
    }

    fn written(bytes: &[u8], by: usize, mode: Option<u16>, executable: bool) -> (tempfile::TempDir, fs::Metadata) {
        let dir = tempfile::tempdir().unwrap();
        let mut temp = Temp::begin(File::open(dir.path()).unwrap().into()).unwrap();
        bytes.chunks(by).for_each(|part| temp.write(part).unwrap());
        assert_eq!(temp.len(), bytes.len() as u64);
        let whole = temp.finish(&content(bytes, executable), mode).unwrap();
        let path = dir.path().join(whole.name());
        assert_eq!(fs::read(&path).unwrap(), bytes);
        let said = fs::metadata(&path).unwrap();
        whole.taken();
        (dir, said)
    }

    #[test]
    fn what_is_written_is_whole_with_its_time_and_permissions() {
        for by in [1, 7_000, 100_000] {
            let bytes: Vec<u8> = (0..200_001_u32).map(|at| at.to_le_bytes()[0] ^ at.to_le_bytes()[1]).collect();
            let (_dir, said) = written(&bytes, by.max(1_000), None, false);
            assert_eq!((said.mtime(), said.mtime_nsec()), (1_700_000_000, 123_000_000));
            assert_eq!(said.mode() & 0o111, 0);
        }
        for (mode, executable, then) in
            [(0o640, true, 0o750), (0o755, false, 0o644), (0o600, false, 0o600), (0o4644, true, 0o755)]
        {
            assert_eq!(written(b"x", 1, Some(mode), executable).1.mode() & 0o7777, then, "{mode:o} {executable}");
        }
    }

    #[test]
    fn zeros_are_holes_and_read_back_as_zeros() {
        let mut bytes = vec![0; 4 << 20];
        bytes[1_000_000] = 1;
        let (_dir, said) = written(&bytes, 100_001, None, false);
        assert!(said.blocks() * 512 < 256 << 10, "{} blocks", said.blocks());
        let (_dir, said) = written(&vec![0; 1 << 20], 4_096, None, false);
        assert_eq!((said.size(), said.blocks()), (1 << 20, 0));
        written(b"", 1, None, false);
    }

    #[test]
    fn other_bytes_than_announced_are_not_taken_and_nothing_is_left_behind() {
        let dir = tempfile::tempdir().unwrap();
        for came in [b"hellO".as_slice(), b"hell", b"hello!"] {
            let mut temp = Temp::begin(File::open(dir.path()).unwrap().into()).unwrap();
            temp.write(came).unwrap();
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
            let error = temp.finish(&content(b"hello", false), None).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData);
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        }
    }
}
