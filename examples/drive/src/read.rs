//! Reading a file once: what it contains, and where it is cut.
//!
//! A file may be written while it is read. So it is looked at before and after, and what was read counts only when it looked
//! the same both times; and because a system's clock ticks, a file that was changed in this very tick is left alone until the
//! next: a change after that shows. What must hold: what is read is what the file contained while it looked as it is said to;
//! memory does not grow with the file.

use std::fs::File;
use std::io::{self, Read as _};
use std::iter;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use rustix::fs::readlinkat;
use syncline::blob::{Chunker, Cutter, Manifest, ManifestError, Piece};
use syncline::digest::Hasher;
use syncline::files::{Fingerprint, What};
use syncline::tree::Content;
use syncline::{Digest, Timestamp, limits};

use crate::folder::Folder;
use crate::looks::{self, Looks};

/// How far apart two changes are for certain told apart: the slowest tick of a system's clock is 10 ms.
const TICK_NS: i64 = 20_000_000;
/// The same where times are kept in seconds, or every two.
const COARSE_TICK_NS: i64 = 2_000_000_000;
/// Files that are read at once.
const READ_AT_ONCE: usize = 4;
/// Reads of a file that wait to be hashed.
const AHEAD: usize = 2;
/// What tells how a file is cut.
const HEAD_BYTES: usize = 4 << 10;

/// A file or link that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "what was read")]
pub struct Reading {
    /// What it contains.
    pub content: Content,
    /// Where it is cut; `None`: it is one blob.
    pub manifest: Option<Manifest>,
    /// How it looked all the while.
    pub print: Fingerprint,
}

/// A file or link that is to be read.
#[derive(Debug, Clone)]
#[allow(clippy::exhaustive_structs, reason = "the arguments of `read`")]
pub struct Asked<'a> {
    /// Where it lies.
    pub path: Vec<&'a str>,
    /// What it is.
    pub what: What,
    /// How it looked.
    pub print: Fingerprint,
    /// How its last revision was cut.
    pub before: Option<Chunker>,
}

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unread {
    /// It is not there.
    #[error("it is not there any more")]
    Gone,
    /// It looks otherwise than it did, or changed while it was read. Somebody is writing it: later.
    #[error("it is being written")]
    Changing,
    /// It is larger than a file may be, or has too many pieces.
    #[error("{0}")]
    TooLarge(ManifestError),
    /// The system does not let us.
    #[error("it cannot be read: {0}")]
    Io(#[source] io::Error),
}

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Gone,
            // A link or a folder has taken its place.
            io::ErrorKind::NotADirectory | io::ErrorKind::InvalidInput => Self::Changing,
            _ => Self::Io(error),
        }
    }
}

/// Reads several, a few at a time: one waits for the disk or the clock while another is hashed. Gives them in some order.
#[must_use]
pub fn read_all(folder: &Folder, asked: &[Asked<'_>]) -> Vec<(Fingerprint, Result<Reading, Unread>)> {
    let next = AtomicUsize::new(0);
    let take = || asked.get(next.fetch_add(1, Ordering::Relaxed));
    let hand = || {
        let one = |asked: &Asked<'_>| (asked.print, read(folder, &asked.path, asked.what, &asked.print, asked.before));
        iter::from_fn(take).map(one).collect::<Vec<_>>()
    };
    thread::scope(|scope| {
        let hands: Vec<_> = (0..READ_AT_ONCE.min(asked.len())).map(|_| scope.spawn(hand)).collect();
        // A hand that panicked read nothing; what it took is asked for again.
        hands.into_iter().filter_map(|hand| hand.join().ok()).flatten().collect()
    })
}

/// Reads what looks like this, if it still does. `before` is how its last revision was cut.
///
/// Waits for the next tick of the clock if the file was changed in this one: some milliseconds; up to two seconds where a
/// file system keeps no finer times.
///
/// # Errors
/// Why not.
pub fn read(
    folder: &Folder,
    path: &[&str],
    what: What,
    looks: &Fingerprint,
    before: Option<Chunker>,
) -> Result<Reading, Unread> {
    match what {
        What::Symlink => read_link(folder, path, looks),
        What::File { .. } => read_file(folder, path, looks, before, || {}),
        What::Folder => Err(Unread::Changing),
    }
}

fn read_link(folder: &Folder, path: &[&str], looks: &Fingerprint) -> Result<Reading, Unread> {
    let (within, name) = folder.around(path)?;
    let target = readlinkat(&within, name, Vec::new()).map_err(io::Error::from)?;
    let now = looks::entry(&within, name)?.ok_or(Unread::Gone)?;
    if now.print != *looks || now.what != Some(What::Symlink) {
        return Err(Unread::Changing);
    }
    let target = target.as_bytes();
    let content = content(Digest::of(&[target]), target.len() as u64, None, &now);
    Ok(Reading { content, manifest: None, print: now.print })
}

fn read_file(
    folder: &Folder,
    path: &[&str],
    looks: &Fingerprint,
    before: Option<Chunker>,
    meanwhile: impl FnOnce(),
) -> Result<Reading, Unread> {
    let (file, _) = folder.file(path)?;
    wait_for_tick(looks);
    let begun = looks::open(&file)?;
    if begun.print != *looks {
        return Err(Unread::Changing);
    }
    let size = looks.size;
    if size > limits::FILE_BYTES_MAX {
        return Err(Unread::TooLarge(ManifestError::TooLarge(size)));
    }
    let mut head = [0; HEAD_BYTES];
    let head_len = read_at(&file, &mut head, 0)?;
    let chunker = Chunker::choose(size, head.get(..head_len).unwrap_or_default(), before);
    let (hash, read, pieces) = match chunker {
        None => whole(&file)?,
        Some(chunker) => cut(&file, chunker)?,
    };
    meanwhile();
    let ended = looks::open(&file)?;
    if ended != begun || read != size {
        return Err(Unread::Changing);
    }
    let manifest = chunker.map(|chunker| Manifest::new(hash, size, chunker, pieces)).transpose();
    let manifest = manifest.map_err(Unread::TooLarge)?;
    let content = content(hash, size, manifest.as_ref().map(Manifest::id), &begun);
    Ok(Reading { content, manifest, print: begun.print })
}

/// What was changed in this tick may be changed again in it and look the same.
fn wait_for_tick(looks: &Fingerprint) {
    let newest = looks.changed_ns.max(looks.modified_ns);
    let is_coarse = newest % 1_000_000_000 == 0;
    // A system notes the time when a write begins; a large one goes on for a while, a byte in less than a nanosecond.
    let written = i64::try_from(looks.size).unwrap_or(COARSE_TICK_NS);
    let tick = if is_coarse { COARSE_TICK_NS } else { TICK_NS.saturating_add(written).min(COARSE_TICK_NS) };
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let since = i64::try_from(since.as_nanos()).unwrap_or(i64::MAX);
    // A time in the future says nothing; a tick from now is as good.
    let wait = newest.saturating_add(tick).saturating_sub(since).clamp(0, tick);
    thread::sleep(Duration::from_nanos(wait.unsigned_abs()));
}

fn whole(file: &File) -> io::Result<(Digest, u64, Vec<Piece>)> {
    let (mut hasher, mut read, mut buffer) = (Hasher::new(), 0, vec![0; 64 << 10]);
    let mut file = file;
    loop {
        let len = file.read(&mut buffer)?;
        if len == 0 {
            return Ok((hasher.finish(), read, Vec::new()));
        }
        hasher.update(buffer.get(..len).unwrap_or_default());
        read += len as u64;
    }
}

/// Pieces are hashed here and the whole by another hand, for that is most of the work.
fn cut(file: &File, chunker: Chunker) -> io::Result<(Digest, u64, Vec<Piece>)> {
    thread::scope(|scope| {
        let (send, receive) = sync_channel::<Vec<u8>>(AHEAD);
        let whole = scope.spawn(move || {
            let mut hasher = Hasher::new();
            receive.into_iter().for_each(|bytes| hasher.update(&bytes));
            hasher.finish()
        });
        let (mut cutter, mut read, mut pieces) = (Cutter::new(chunker), 0, Vec::new());
        let (mut ended, mut file) = (false, file);
        while !ended {
            let space = cutter.space();
            let len = file.read(space)?;
            let gone = send.send(space.get(..len).unwrap_or_default().to_vec());
            gone.map_err(io::Error::other)?;
            cutter.filled(len);
            read += len as u64;
            ended = len == 0;
            while let Some(piece) = cutter.piece() {
                let len = u32::try_from(piece.len()).unwrap_or(u32::MAX);
                pieces.push(Piece { blob: Digest::of(&[piece]), len });
            }
        }
        drop(send);
        let hash = whole.join().map_err(|_| io::Error::other("a file could not be hashed"))?;
        Ok((hash, read, pieces))
    })
}

fn content(blob: Digest, bytes: u64, manifest: Option<Digest>, looks: &Looks) -> Content {
    let modified_ms = u64::try_from(looks.print.modified_ns / 1_000_000).unwrap_or_default();
    Content {
        blob,
        bytes,
        manifest,
        modified_at: Timestamp::from_ms(modified_ms).unwrap_or(Timestamp::MAX),
        executable: matches!(looks.what, Some(What::File { executable: true })),
        attributes: None,
    }
}

fn read_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(buffer.get_mut(filled..).unwrap_or_default(), at + filled as u64) {
            Ok(0) => break,
            Ok(len) => filled += len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Reads a piece of an open file again; `None`: these are other bytes now.
///
/// # Errors
/// What the system says.
pub fn piece(file: &File, at: u64, piece: Piece) -> io::Result<Option<Bytes>> {
    let mut bytes = vec![0; piece.len as usize];
    let len = read_at(file, &mut bytes, at)?;
    Ok((len == bytes.len() && Digest::of(&[&bytes]) == piece.blob).then(|| Bytes::from(bytes)))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::path::PathBuf;

    use super::*;

    struct Disk {
        _dir: tempfile::TempDir,
        path: PathBuf,
        folder: Folder,
    }

    impl Disk {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let folder = Folder::open(dir.path()).unwrap().unwrap();
            Self { path: dir.path().join("f"), _dir: dir, folder }
        }

        fn looks(&self) -> Looks {
            self.folder.looks(&["f"]).unwrap().unwrap()
        }

        fn read(&self, looks: &Looks, before: Option<Chunker>) -> Result<Reading, Unread> {
            read(&self.folder, &["f"], looks.what.unwrap(), &looks.print, before)
        }
    }

    fn noise(len: usize) -> Vec<u8> {
        let mut seed = 7_u64;
        let step = |_| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed.to_le_bytes()[3]
        };
        (0..len).map(step).collect()
    }

    #[test]
    fn a_file_is_read_once_hashed_and_cut_where_every_device_cuts_it() {
        for (len, is_cut) in [(0, false), (5, false), ((128 << 10) - 1, false), (128 << 10, true), (700_001, true)] {
            let (disk, bytes) = (Disk::new(), noise(len));
            fs::write(&disk.path, &bytes).unwrap();
            fs::set_permissions(&disk.path, fs::Permissions::from_mode(0o700)).unwrap();
            let looks = disk.looks();
            let Reading { content, manifest, print } = disk.read(&looks, None).unwrap();
            assert_eq!((content.blob, content.bytes, print), (Digest::of(&[&bytes]), len as u64, looks.print));
            assert_eq!(content.modified_at.ms(), u64::try_from(looks.print.modified_ns).unwrap() / 1_000_000);
            assert!(content.executable);
            assert_eq!(content.manifest, manifest.as_ref().map(Manifest::id));
            assert_eq!(manifest.is_some(), is_cut, "{len}");
            let Some(manifest) = manifest else { continue };
            let file = File::open(&disk.path).unwrap();
            let pieces = manifest.places().map(|(at, listed)| piece(&file, at, listed).unwrap().unwrap());
            assert_eq!(pieces.collect::<Vec<_>>().concat(), bytes);
        }
    }

    #[test]
    fn e08_a_file_that_is_written_meanwhile_is_not_taken_for_what_it_was() {
        let disk = Disk::new();
        fs::write(&disk.path, b"before").unwrap();
        let looks = disk.looks();
        fs::write(&disk.path, b"after.").unwrap();
        assert!(matches!(disk.read(&looks, None), Err(Unread::Changing)));
        fs::remove_file(&disk.path).unwrap();
        assert!(matches!(disk.read(&looks, None), Err(Unread::Gone)));
        fs::create_dir(&disk.path).unwrap();
        assert!(matches!(disk.read(&looks, None), Err(Unread::Changing)));
    }

    #[test]
    fn e08_a_file_that_is_changed_while_it_is_read_counts_only_once_it_is_quiet() {
        let disk = Disk::new();
        fs::write(&disk.path, noise(400_000)).unwrap();
        let looks = disk.looks();
        let changes: [fn(&File); 3] = [
            |file| file.write_all_at(b"x", 399_999).unwrap(),
            |file| file.set_len(1).unwrap(),
            |file| file.set_modified(UNIX_EPOCH).unwrap(),
        ];
        for change in changes {
            let meanwhile = || change(&File::options().write(true).open(&disk.path).unwrap());
            let read = read_file(&disk.folder, &["f"], &disk.looks().print, None, meanwhile);
            assert!(matches!(read, Err(Unread::Changing)), "{read:?}");
        }
        assert_ne!(disk.looks(), looks);
        assert!(disk.read(&disk.looks(), None).is_ok());
    }

    #[test]
    fn e08_a_change_in_the_tick_of_the_one_before_shows() {
        let disk = Disk::new();
        for _ in 0..10 {
            fs::write(&disk.path, b"one").unwrap();
            let looks = disk.looks();
            let first = disk.read(&looks, None).unwrap();
            fs::write(&disk.path, b"two").unwrap();
            assert_ne!(disk.looks().print, first.print, "a change that nobody would see");
        }
    }

    #[test]
    fn a_piece_that_changed_since_is_not_sent_for_what_it_was() {
        let (disk, mut bytes) = (Disk::new(), noise(300_000));
        fs::write(&disk.path, &bytes).unwrap();
        let manifest = disk.read(&disk.looks(), None).unwrap().manifest.unwrap();
        bytes[150_000] ^= 1;
        fs::write(&disk.path, &bytes).unwrap();
        let file = File::open(&disk.path).unwrap();
        let gone = manifest.places().filter(|(at, listed)| piece(&file, *at, *listed).unwrap().is_none());
        assert_eq!(gone.count(), 1);
        fs::write(&disk.path, &bytes[..10]).unwrap();
        let (at, listed) = manifest.places().next().unwrap();
        assert_eq!(piece(&file, at, listed).unwrap(), None);
    }

    #[test]
    fn a_link_is_what_it_says_and_is_not_followed() {
        let disk = Disk::new();
        symlink("/etc/passwd", &disk.path).unwrap();
        let reading = disk.read(&disk.looks(), None).unwrap();
        assert_eq!((reading.content.blob, reading.content.bytes), (Digest::of(&[b"/etc/passwd"]), 11));
        assert_eq!(reading.manifest, None);
    }

    #[test]
    fn a_file_stays_cut_as_it_was() {
        let disk = Disk::new();
        fs::write(&disk.path, noise(100 << 10)).unwrap();
        let looks = disk.looks();
        assert_eq!(disk.read(&looks, None).unwrap().manifest, None);
        let before = Chunker::content(16 << 10);
        let manifest = disk.read(&looks, before).unwrap().manifest.unwrap();
        assert_eq!(Some(manifest.chunker()), before);
    }
}
