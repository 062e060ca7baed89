//! Hearing what happens in the folder, through the system's own watcher.
//!
//! It is a hint and nothing more: [`Debounce`](syncline::files::Debounce) says when to look. What must hold: what was not
//! heard is said to be missed; what we do ourselves is not heard.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use notify::event::{CreateKind, ModifyKind, RenameMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use syncline::files::Heard;
use tokio::sync::mpsc;

use crate::temp::UNFINISHED;

/// What is heard ahead of whoever listens; more than this is missed.
pub const AHEAD: usize = 4_096;

/// A watcher of a folder.
#[derive(Debug)]
pub struct Watch {
    /// `None`: somebody else hears.
    _watcher: Option<RecommendedWatcher>,
    noises: mpsc::Receiver<Noise>,
    missed: Arc<AtomicBool>,
}

/// What was heard, kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "what a watcher hears")]
pub enum Noise {
    /// A file was made or written, and has this many bytes now.
    Wrote(String, u64),
    /// Something is not there any more.
    Vanished(String),
    /// Something has another path.
    Moved(String, String),
    /// A folder is new, or came here.
    NewFolder(String),
    /// Something was not heard.
    Missed,
}

impl Noise {
    /// The same, as it is told on.
    #[must_use]
    pub fn heard(&self) -> Heard<'_> {
        match self {
            Self::Wrote(path, bytes) => Heard::Wrote { path, bytes: *bytes },
            Self::Vanished(path) => Heard::Vanished(path),
            Self::Moved(from, to) => Heard::Moved { from, to },
            Self::NewFolder(path) => Heard::NewFolder(path),
            Self::Missed => Heard::Missed,
        }
    }
}

/// A folder cannot be watched: mostly there are too many folders for the system's limit. Looking now and then still works.
#[derive(Debug, thiserror::Error)]
#[error("the folder cannot be watched: {0}")]
pub struct Unwatched(#[source] notify::Error);

impl Watch {
    /// Begins to listen.
    ///
    /// # Errors
    /// When the system does not let us.
    pub fn begin(folder: &Path) -> Result<Self, Unwatched> {
        let (sender, noises) = mpsc::channel(AHEAD);
        let missed = Arc::new(AtomicBool::new(false));
        let (lost, root): (_, PathBuf) = (Arc::clone(&missed), folder.to_owned());
        let mut ours = None;
        let hear = move |event: notify::Result<Event>| {
            for noise in noises_of(&root, &event, &mut ours) {
                if sender.try_send(noise).is_err() {
                    lost.store(true, Ordering::Release);
                }
            }
        };
        let mut watcher = notify::recommended_watcher(hear).map_err(Unwatched)?;
        watcher.watch(folder, RecursiveMode::Recursive).map_err(Unwatched)?;
        Ok(Self { _watcher: Some(watcher), noises, missed })
    }

    /// Noises that somebody else hears: a program with a watcher of its own, or a test.
    #[must_use]
    pub fn of(noises: mpsc::Receiver<Noise>) -> Self {
        Self { _watcher: None, noises, missed: Arc::default() }
    }

    /// The next noise; `None` when the system stopped telling.
    pub async fn next(&mut self) -> Option<Noise> {
        if self.missed.swap(false, Ordering::AcqRel) {
            return Some(Noise::Missed);
        }
        self.noises.recv().await
    }

    /// The next noise that was heard already, if there is one.
    pub fn heard(&mut self) -> Option<Noise> {
        if self.missed.swap(false, Ordering::AcqRel) {
            return Some(Noise::Missed);
        }
        self.noises.try_recv().ok()
    }
}

/// What an event says. `ours` is the last rename of ours: its other half, which says nothing of us, comes next.
fn noises_of(root: &Path, event: &notify::Result<Event>, ours: &mut Option<usize>) -> Vec<Noise> {
    let Ok(event) = event else { return vec![Noise::Missed] };
    if event.need_rescan() {
        return vec![Noise::Missed];
    }
    if event.paths.iter().any(|path| is_ours(path)) {
        *ours = event.tracker().or(*ours);
        return Vec::new();
    }
    if event.tracker().is_some() && event.tracker() == *ours {
        return Vec::new();
    }
    let inside = |path: &PathBuf| {
        let path = path.strip_prefix(root).ok()?.to_str()?.to_owned();
        (!path.is_empty()).then_some(path)
    };
    let mut paths = event.paths.iter().filter_map(|path| Some((path, inside(path)?)));
    match (event.kind, paths.next()) {
        (EventKind::Access(_), _) | (_, None) => Vec::new(),
        (EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(RenameMode::From)), Some((_, path))) => {
            vec![Noise::Vanished(path)]
        }
        (EventKind::Modify(ModifyKind::Name(RenameMode::Both)), Some((_, from))) => match paths.next() {
            Some((at, to)) if is_folder(at) => vec![Noise::Moved(from, to.clone()), Noise::NewFolder(to)],
            Some((_, to)) => vec![Noise::Moved(from, to)],
            None => vec![Noise::Vanished(from)],
        },
        (EventKind::Create(CreateKind::Folder), Some((_, path))) => vec![Noise::NewFolder(path)],
        (EventKind::Create(_) | EventKind::Modify(ModifyKind::Name(_)), Some((at, path))) if is_folder(at) => {
            vec![Noise::NewFolder(path)]
        }
        (_, Some((at, path))) => match fs::symlink_metadata(at) {
            // What is in it is heard by itself.
            Ok(found) if found.is_dir() => Vec::new(),
            Ok(found) => vec![Noise::Wrote(path, found.len())],
            Err(_) => vec![Noise::Vanished(path)],
        },
    }
}

fn is_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())
}

fn is_ours(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(UNFINISHED))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Waits for a noise, and says what was heard before it.
    async fn until(watch: &mut Watch, wanted: &Noise) -> Vec<Noise> {
        let mut before = Vec::new();
        let listen = async {
            while let Some(noise) = watch.next().await {
                if noise == *wanted {
                    return;
                }
                before.push(noise);
            }
        };
        let heard = tokio::time::timeout(Duration::from_secs(20), listen).await.is_ok();
        assert!(heard, "{wanted:?} was not heard, but {before:?}");
        before
    }

    #[tokio::test]
    async fn what_happens_in_the_folder_is_heard() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("old"), b"old").unwrap();
        let mut watch = Watch::begin(dir.path()).unwrap();
        fs::write(at("a"), b"four").unwrap();
        until(&mut watch, &Noise::Wrote("a".into(), 4)).await;
        fs::create_dir_all(at("d/e")).unwrap();
        until(&mut watch, &Noise::NewFolder("d".into())).await;
        fs::rename(at("a"), at("b")).unwrap();
        until(&mut watch, &Noise::Moved("a".into(), "b".into())).await;
        fs::remove_file(at("old")).unwrap();
        until(&mut watch, &Noise::Vanished("old".into())).await;
    }

    #[tokio::test]
    async fn what_we_write_ourselves_is_not_heard() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let ours = format!("{UNFINISHED}1");
        let mut watch = Watch::begin(dir.path()).unwrap();
        fs::write(at(&ours), b"ours").unwrap();
        fs::rename(at(&ours), at("ours")).unwrap();
        fs::write(at("theirs"), b"x").unwrap();
        let before = until(&mut watch, &Noise::Wrote("theirs".into(), 1)).await;
        let alien = |noise: &&Noise| !matches!(noise, Noise::Wrote(path, 0) if path == "theirs");
        assert_eq!(before.iter().find(alien), None);
    }

    #[test]
    fn e14_what_the_system_could_not_tell_is_missed() {
        let root = Path::new("/drive");
        let lost = Event::new(EventKind::Other).set_flag(notify::event::Flag::Rescan);
        assert_eq!(noises_of(root, &Ok(lost), &mut None), [Noise::Missed]);
        assert_eq!(
            noises_of(root, &Err(notify::Error::new(notify::ErrorKind::MaxFilesWatch)), &mut None),
            [Noise::Missed]
        );
        let elsewhere = Event::new(EventKind::Create(CreateKind::File)).add_path("/elsewhere/x".into());
        assert_eq!(noises_of(root, &Ok(elsewhere), &mut None), []);
    }
}
