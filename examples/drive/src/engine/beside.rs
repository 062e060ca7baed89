//! An engine among others on one device: what crosses the border of their folders, what a shared folder takes along, and how
//! a folder is left that is no longer mounted.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use syncline::client::BlobTransport;
use syncline::decide::TREE_ROOT;
use syncline::files::{Base, Identity, Local, agree, arrivals, carried, hold_back, misses_any, plan};
use syncline::files::{Issues, Remote};
use syncline::id::LogId;
use syncline::time::EnvSource;
use syncline::tree::Kind;
use syncline::{Cursor, EntityId, LogKey};

use super::wanted::Wants;
use super::{Done, Engine, Synced, on_disk};
use crate::folder::Folder;
use crate::journal::Journal;
use crate::rules::Rules;
use crate::steps::take_unfinished_away;
use crate::walk::walk;

/// The folder of another tree on this device.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::exhaustive_enums, reason = "it can be looked into or not")]
pub enum Beside<'a> {
    /// It can be looked into.
    Folder {
        /// It.
        folder: &'a Folder,
        /// What is left out of it.
        rules: &'a Rules,
        /// What is held in it.
        base: &'a Base,
    },
    /// It is somewhere, and nobody knows what is in it.
    Unknown,
}

impl Beside<'_> {
    fn arrivals(&self) -> io::Result<Option<HashSet<Identity>>> {
        let Self::Folder { folder, rules, base } = self else { return Ok(None) };
        match walk(folder, rules, base) {
            Ok(walk) => Ok(Some(arrivals(&walk.scan, base))),
            // Nothing has come to where nothing is.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Some(HashSet::new())),
            Err(error) => Err(error),
        }
    }
}

/// What came to the folders of others, as far as it was looked for; inside, `None` where one is unknown.
pub(super) type Arrived = Option<Option<HashSet<Identity>>>;

/// A mount that the device has in its folder.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "what a device follows")]
pub struct Mount {
    /// The node.
    pub id: EntityId,
    /// The log that it shows.
    pub log: LogId,
    /// Where, from the root of the folder down.
    pub path: PathBuf,
    /// Whether it is still there at the server.
    pub lives: bool,
}

/// The mounts that are held.
#[must_use]
pub fn mounts(base: &Base, lives: impl Fn(EntityId) -> bool) -> Vec<Mount> {
    let mount = |(id, held): (EntityId, &syncline::files::Held)| {
        let Kind::Mount(log) = held.kind else { return None };
        let path = base.path(id)?.into_iter().collect();
        Some(Mount { id, log, path, lives: lives(id) })
    };
    let mut found: Vec<Mount> = base.iter().filter_map(mount).collect();
    found.sort_unstable_by_key(|mount| (mount.log, mount.id));
    found
}

/// Where a device remembers what it follows in a mount: another mount of the same log is another folder.
#[must_use]
pub fn state_of(state: &Path, mount: EntityId) -> PathBuf {
    state.join("mounts").join(mount.to_string())
}

impl Engine {
    /// Its way to the server, and its world.
    pub(crate) fn ways(&self) -> (Arc<dyn BlobTransport>, Arc<dyn EnvSource>) {
        (Arc::clone(&self.way), Arc::clone(&self.env))
    }

    /// This engine's folder, as others see it.
    #[must_use]
    pub fn beside(&self) -> Beside<'_> {
        Beside::Folder { folder: &self.folder, rules: &self.rules, base: &self.base }
    }

    /// How much the last sync did not tell as deleted, for it lies in the folder of another tree and is not agreed on there.
    #[must_use]
    pub const fn held_back(&self) -> usize {
        self.held_back
    }

    /// The mounts that are in the folder.
    #[must_use]
    pub fn mounts(&self) -> Vec<Mount> {
        mounts(&self.base, |id| self.server.tree().get(id).is_some_and(|node| node.dead.is_none()))
    }

    /// The folder is looked into first, then those of the others: what has left is there by then. Nobody looks yet into a
    /// mount that is not among the `known`: it came in this sync.
    pub(super) fn hold_back(
        &mut self,
        local: &mut Local,
        others: &[Beside<'_>],
        known: &HashSet<EntityId>,
        arrived: &mut Arrived,
    ) -> Done<()> {
        self.held_back = 0;
        if self.mounts().iter().any(|mount| !known.contains(&mount.id)) {
            self.held_back = hold_back(local, &self.base, None);
            return Ok(());
        }
        if others.is_empty() || !misses_any(local, &self.base) {
            return Ok(());
        }
        if arrived.is_none() {
            let mut all = Some(HashSet::new());
            for other in others {
                let came = on_disk(|| other.arrivals()).map_err(self.at_folder())?;
                all = all.zip(came).map(|(mut all, came)| {
                    all.extend(came);
                    all
                });
            }
            *arrived = Some(all);
        }
        self.held_back = hold_back(local, &self.base, arrived.as_ref().and_then(Option::as_ref));
        Ok(())
    }

    /// What the device holds of a folder that was shared it holds of the tree that the folder became. That is written down
    /// there first: who is cut off between the two does it again.
    pub(super) fn carry(&mut self) -> Done<()> {
        for carried in carried(&self.base, self.server.tree()) {
            let state = state_of(&self.device.state, carried.mount.0);
            std::fs::create_dir_all(&state)
                .map_err(|error| super::EngineError::Folder { path: state.clone(), error })?;
            let (mut journal, _) = Journal::open(&state.join("journal.db"))?;
            // Who followed that tree before knows better.
            if journal.cursor()?.is_none() {
                let (pins, tree) = (&self.pins, self.server.tree());
                let mut above = std::iter::successors(Some(carried.folder), |id| tree.get(*id)?.parent);
                let around = above.find_map(|id| pins.get(&id).copied());
                journal.write(|batch| {
                    batch.forget_held()?;
                    batch.pin(TREE_ROOT, around)?;
                    carried.held.iter().try_for_each(|(id, held)| batch.hold(*id, Some(held)))?;
                    carried.held.iter().try_for_each(|(id, _)| match pins.get(id) {
                        Some(pin) => batch.pin(*id, Some(*pin)),
                        None => Ok(()),
                    })
                })?;
            }
            drop(journal);
            let changed = self.base.carry(&carried);
            self.note(&changed)?;
        }
        Ok(())
    }

    /// Whether [`leave`](Self::leave) was begun, now or before a restart. Then only leaving goes on: the folder lacks what was
    /// taken out of it, and a sync would tell that as deleted, or bring it again.
    #[must_use]
    pub const fn is_leaving(&self) -> bool {
        self.leaving
    }

    /// Takes everything out of the folder that the server has or had, as it was agreed on; what was changed here and not told
    /// stays, and so does what is left out by rules. Says whether nothing is left. It never [`sync`](Self::sync)s again.
    ///
    /// # Errors
    /// Why it stopped.
    pub async fn leave(&mut self) -> Done<bool> {
        let mut synced = Synced::default();
        let empty = syncline::client::ServerTree::new(LogKey { ..self.device.log });
        if !self.leaving {
            // Before anything is taken away.
            self.journal.write(|batch| batch.leaving())?;
            self.leaving = true;
        }
        let walk = self.look(true)?;
        take_unfinished_away(&self.folder, &walk).map_err(self.at_folder())?;
        loop {
            let walk = self.look(true)?;
            let local = self.recognize(&walk);
            // Who was cut off here before took away what is still held.
            let gone = agree(&mut self.base, &local, empty.tree());
            self.note(&gone)?;
            let remote = Remote { tree: empty.tree(), last: Cursor::START.seq };
            let (waits, shows) = (HashSet::new(), self.window.is_some());
            let wants = Wants { pins: &self.pins, tree: empty.tree(), waits, abilities: self.abilities, shows };
            let mint = &mut || EntityId::from_bytes(self.env.env().uuid7("node"));
            let plan = plan(remote, &self.base, &local, &Issues::default(), &wants, true, mint)?;
            if !self.bring(&walk, &plan.steps, &mut synced).await? {
                let mut left = std::fs::read_dir(self.folder.path()).map_err(self.at_folder())?;
                return Ok(left.next().is_none());
            }
        }
    }
}
