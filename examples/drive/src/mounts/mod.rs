//! A device's own tree and the shared folders that are mounted in it: an engine each, all in one folder.
//!
//! A mount is an ordinary folder with its name. The engine of the own tree makes it, moves it and takes it away, and looks at
//! nothing in it; another engine follows the shared tree there, with a journal of its own below the device's. What must hold:
//! nothing in a shared tree is deleted because its mount is; what was moved over a border is told as deleted only once it is
//! agreed on beyond; what was changed in a mount that is gone, and not told, stays where it is.
//!
//! Next: `wakes` for who hears that something is new; [`Beside`] is what an engine knows of the others.

mod view;
mod wakes;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use syncline::client::{BlobTransport, CallError, TreeFault};
use syncline::id::LogId;
use syncline::store::SignalSource;
use syncline::time::EnvSource;
use syncline::{EntityId, LogKey};

use crate::ear::Ear;
use crate::engine::{Beside, Device, Engine, EngineError, Mount, Synced, state_of};
use crate::transfer::TransferError;
use crate::watch::Watch;

/// How often everything is gone over in one sync: what crosses a border takes two.
const ROUNDS_MAX: usize = 4;

/// What the name of a journal begins with that nobody opens any more.
const THROWN_AWAY: &str = "gone-";

/// Removes what is remembered of a mount. At no moment is there a part of it under its name: a journal without its newest
/// notes would take a folder that was emptied for deletions.
fn throw_away(state: &Path) -> std::io::Result<()> {
    let name = state.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let aside = state.with_file_name(format!("{THROWN_AWAY}{name}"));
    if aside.exists() {
        fs::remove_dir_all(&aside)?;
    }
    fs::rename(state, &aside)?;
    fs::remove_dir_all(aside)
}

/// A device with all that is mounted in its folder.
#[derive(Debug)]
pub struct Mounts {
    own: Engine,
    others: BTreeMap<EntityId, Other>,
    way: Arc<dyn BlobTransport>,
    env: Arc<dyn EnvSource>,
    /// Mounts came or went since somebody asked for wakes.
    changed: bool,
    /// Its own log is made if it is not there.
    makes: bool,
    /// What happens in the folder is heard.
    listens: bool,
}

impl From<Engine> for Mounts {
    fn from(own: Engine) -> Self {
        let (way, env) = own.ways();
        Self { own, others: BTreeMap::new(), way, env, changed: true, makes: true, listens: false }
    }
}

/// A mount and who follows it.
#[derive(Debug)]
struct Other {
    mount: Mount,
    /// `None`: its folder is not where it was, or cannot be used.
    engine: Option<Engine>,
    /// Something in it is not over yet.
    unsettled: bool,
}

impl Mounts {
    /// Opens a device.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub fn open(device: Device, way: Arc<dyn BlobTransport>, env: Arc<dyn EnvSource>) -> Result<Self, EngineError> {
        Engine::open(device, way, env).map(Self::from)
    }

    /// Its log is somebody else's: it is not made where it is not there.
    #[must_use]
    pub const fn of_another(mut self) -> Self {
        self.makes = false;
        self
    }

    /// Makes the log of its own tree, if it is not there.
    ///
    /// # Errors
    /// As [`Engine::begin`].
    pub async fn begin(&self) -> Result<(), EngineError> {
        if self.makes { self.own.begin().await } else { Ok(()) }
    }

    /// From now on what is heard counts, in the mounts too.
    pub fn listen(&mut self, ear: Ear) {
        self.listens = true;
        self.own.listen(ear);
    }

    /// Who hears what happens in the folder, and in all that is mounted there.
    pub const fn ear(&mut self) -> Option<&mut Ear> {
        self.own.ear()
    }

    /// Whether something in a mount was left alone because it is not over yet.
    #[must_use]
    pub fn is_unsettled(&self) -> bool {
        self.others.values().any(|other| other.unsettled)
    }

    /// The engine of the own tree.
    #[must_use]
    pub const fn own(&self) -> &Engine {
        &self.own
    }

    /// Brings the folder and all its trees together, as far as that is possible now. What is wrong with one mount stops no
    /// other, and is told among the troubles.
    ///
    /// # Errors
    /// Why the own tree stopped.
    pub async fn sync(&mut self, confirmed: bool) -> Result<Synced, EngineError> {
        let mut all = Synced::default();
        for _ in 0..ROUNDS_MAX {
            // What could not be done is told as it is in the end.
            (all.troubles, all.busy, all.unsettled, all.put_off) = (Vec::new(), 0, 0, 0);
            let _ = self.follow();
            let known: Vec<EntityId> = self.others.keys().copied().collect();
            let others: Vec<Beside<'_>> = self.others.values().map(Other::beside).collect();
            let synced = self.own.sync_beside(confirmed, &others).await?;
            let mut moves = synced.told + synced.done > 0;
            add(&mut all, synced, Path::new(""));
            all.troubles.extend(self.follow());
            moves |= !self.others.keys().eq(&known);
            let mut held_back = self.own.held_back();
            for id in self.others.keys().copied().collect::<Vec<_>>() {
                let Some(mut other) = self.others.remove(&id) else { continue };
                let beside: Vec<Beside<'_>> =
                    [self.own.beside()].into_iter().chain(self.others.values().map(Other::beside)).collect();
                let (moved, held) = other.sync(confirmed, &beside, &mut all).await;
                self.others.insert(id, other);
                moves |= moved;
                held_back += held;
            }
            let left = self.others.values().any(|other| !other.mount.lives);
            if !moves || (held_back == 0 && !left) {
                break;
            }
        }
        all.troubles.dedup();
        Ok(all)
    }

    /// Has an engine for each mount that is held, where it lies now, and none for others; says what is in the way.
    fn follow(&mut self) -> Vec<(String, String)> {
        let (mut troubles, mut seen, mut shown) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        let mut mounts = self.own.mounts();
        // Of two that show the same the one that was followed before.
        mounts.sort_by_key(|mount| !state_of(&self.own.device().state, mount.id).exists());
        for mount in mounts {
            let path = mount.path.display().to_string();
            // One that is being left shows nothing.
            if mount.lives && !shown.insert(mount.log) {
                troubles.push((path, "another folder here shows the same files; delete one of them".to_owned()));
                continue;
            }
            seen.insert(mount.id);
            let before = self.others.remove(&mount.id);
            self.changed |= before.is_none();
            let engine = match before {
                Some(Other { mount: before, engine: Some(engine), .. })
                    if before.path == mount.path && !(mount.lives && engine.is_leaving()) =>
                {
                    Ok(engine)
                }
                // Two engines in one folder would be one too many.
                other => {
                    drop(other);
                    self.engine_of(&mount)
                }
            };
            if let Err(error) = &engine {
                troubles.push((path, error.to_string()));
            }
            self.others.insert(mount.id, Other { mount, engine: engine.ok(), unsettled: false });
        }
        let before = self.others.len();
        self.others.retain(|id, _| seen.contains(id));
        self.changed |= self.others.len() != before;
        self.forget(&seen);
        troubles
    }

    fn engine_of(&self, mount: &Mount) -> Result<Engine, EngineError> {
        let own = self.own.device();
        let state = state_of(&own.state, mount.id);
        let open = || {
            let device = Device {
                folder: own.folder.join(&mount.path),
                state: state.clone(),
                log: LogKey { log: mount.log, ..own.log },
                replica: own.replica,
                label: own.label.clone(),
                limits: own.limits,
            };
            Engine::open(device, Arc::clone(&self.way), Arc::clone(&self.env))
        };
        let mut engine = open()?;
        if mount.lives && engine.is_leaving() {
            // It came back: what was taken out of it comes again, and what stayed is told.
            drop(engine);
            throw_away(&state).map_err(|error| EngineError::Folder { path: state.clone(), error })?;
            engine = open()?;
        }
        let folder = engine.device().folder.clone();
        if self.listens {
            // When to look the ear of the whole folder says; this one knows what is not over.
            engine.listen(Ear::new(Watch::begin(&folder).ok()));
        }
        Ok(engine)
    }

    /// What was remembered of a mount that is gone would take an empty folder for a deletion, should it come back.
    fn forget(&self, seen: &BTreeSet<EntityId>) {
        let Ok(entries) = fs::read_dir(self.own.device().state.join("mounts")) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            if name.starts_with(THROWN_AWAY) {
                let _ = fs::remove_dir_all(entry.path());
            } else if name.parse::<EntityId>().is_ok_and(|id| !seen.contains(&id)) {
                let _ = throw_away(&entry.path());
            }
        }
    }

    /// Whether mounts came or went since the last [`wakes`](Self::wakes).
    #[must_use]
    pub const fn is_changed(&self) -> bool {
        self.changed
    }

    /// Who says that something is new in one of the trees; `None` when nobody does.
    pub async fn wakes(&mut self) -> Option<Box<dyn SignalSource>> {
        self.changed = false;
        let own = self.own.device().log;
        let mounted: BTreeSet<LogId> = self.others.values().map(|other| other.mount.log).collect();
        let logs = [own].into_iter().chain(mounted.into_iter().map(|log| LogKey { log, ..own }));
        let mut sources = Vec::new();
        for log in logs {
            sources.extend(self.own.way().wakes(log).await.ok().flatten());
        }
        wakes::any(sources)
    }
}

impl Other {
    fn beside(&self) -> Beside<'_> {
        self.engine.as_ref().map_or(Beside::Unknown, Engine::beside)
    }

    /// Syncs, and leaves the folder if it is not mounted any more; says whether anything was done, and how much is held back.
    async fn sync(&mut self, confirmed: bool, beside: &[Beside<'_>], all: &mut Synced) -> (bool, usize) {
        let Some(engine) = &mut self.engine else { return (false, 0) };
        let path: &PathBuf = &self.mount.path;
        let mut moved = false;
        // Once things are taken out of the folder, what is missing there is no delete, and nothing is brought.
        if !engine.is_leaving() {
            match engine.sync_beside(confirmed, beside).await {
                Ok(synced) => {
                    moved = synced.told + synced.done > 0;
                    self.unsettled = synced.unsettled > 0;
                    add(all, synced, path);
                }
                // Who is not let in any more leaves all the same; who is not answered tells first what is new here.
                Err(error) if self.mount.lives || is_unanswered(&error) => {
                    all.troubles.push((path.display().to_string(), error.to_string()));
                    return (false, engine.held_back());
                }
                Err(_) => {}
            }
        }
        if !self.mount.lives {
            let why = match engine.leave().await {
                Ok(true) => None,
                Ok(false) => Some("it is shared no more; what the server does not have of it is still here".to_owned()),
                Err(error) => Some(error.to_string()),
            };
            moved |= why.is_none();
            all.troubles.extend(why.map(|why| (path.display().to_string(), why)));
        }
        (moved, engine.held_back())
    }
}

/// Whether the server may answer the next time.
const fn is_unanswered(error: &EngineError) -> bool {
    let (EngineError::Call(error)
    | EngineError::Tree(TreeFault::Call(error))
    | EngineError::Transfer(TransferError::Call(error))) = error
    else {
        return false;
    };
    matches!(error, CallError::Unreachable(_) | CallError::Interrupted(_))
}

/// Puts what one engine did to what all did.
fn add(all: &mut Synced, one: Synced, at: &Path) {
    all.told += one.told;
    all.done += one.done;
    all.busy += one.busy;
    all.unsettled += one.unsettled;
    all.put_off += one.put_off;
    all.united |= one.united;
    all.notices.extend(one.notices);
    let here = |path: String| if path.is_empty() { at.to_path_buf() } else { at.join(path) };
    all.troubles.extend(one.troubles.into_iter().map(|(path, why)| (here(path).display().to_string(), why)));
}
