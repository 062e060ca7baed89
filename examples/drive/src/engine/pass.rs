//! A look at both sides, and what is to do: until nothing is.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use syncline::call::Call;
use syncline::client::{CallError, News};
use syncline::files::{
    About, Base, Held, Local, Place, Plan, Remote, RootState, Step, agree, check_root, plan, recognize,
};
use syncline::tree::Refusal;
use syncline::{Cursor, EntityId};

use super::wanted::Wants;
use super::{Beside, Done, Engine, EngineError, Skipped, Synced, on_disk};
use crate::folder::Folder;
use crate::read::{Asked, Unread, read_all};
use crate::rules::Rules;
use crate::steps::take_unfinished_away;
use crate::walk::{Walk, walk};

/// More looks than this in one sync is a sync that never ends.
const LOOKS_MAX: usize = 10_000;
/// How many files are read before they are told: each round looks at the whole tree.
const READ_FILES: usize = 10_000;
/// How many bytes are.
const READ_BYTES: u64 = 256 << 20;

impl Engine {
    pub(super) async fn sync_all(&mut self, confirmed: bool, others: &[Beside<'_>]) -> Done<Synced> {
        let (mut synced, mut skipped, mut arrived) = (Synced::default(), Skipped::new(), None);
        if self.leaving {
            return Err(EngineError::Nonsense("the folder is being left; nothing in it counts any more"));
        }
        let known: HashSet<EntityId> = self.mounts().iter().map(|mount| mount.id).collect();
        // There may be room by now.
        self.issues.retain(|_, _, _, issue| issue.refusal != Refusal::QuotaExceeded);
        self.send_waiting(&mut synced).await?;
        self.read_on(&mut synced).await?;
        self.want_anew()?;
        let (mut walk, mut occupied) = (self.look(confirmed)?, HashSet::new());
        take_unfinished_away(&self.folder, &walk).map_err(self.at_folder())?;
        for _ in 0..LOOKS_MAX {
            self.carry()?;
            let mut local = self.recognize(&walk);
            self.hold_back(&mut local, others, &known, &mut arrived)?;
            let agreed = agree(&mut self.base, &local, self.server.tree());
            self.note(&agreed)?;
            local.still =
                self.ear.as_ref().map(|ear| ear.unsettled(&walk.scan, &local, &self.base)).unwrap_or_default();
            self.show();
            self.forget_issues(&walk, &local)?;
            let mut plan = self.plan(&walk, &local, confirmed)?;
            synced.put_off = self.leave_out_put_off(&mut plan);
            self.keep_what_is_ahead(&mut plan);
            let unread: Vec<usize> = plan.unread.iter().copied().filter(|at| is_new(&walk, *at, &skipped)).collect();
            let (free, taken): (Vec<_>, Vec<_>) =
                on_disk(|| plan.hold.into_iter().partition(|(_, held)| self.is_free(held)));
            let held: Vec<EntityId> = free.iter().map(|(id, _)| *id).collect();
            free.into_iter().for_each(|(id, held)| self.base.hold(id, held));
            self.note(&held)?;
            // What no walk finds may lie there for good: one more walk for each is enough.
            if taken.iter().filter(|(id, _)| occupied.insert(*id)).count() > 0 {
                (walk, arrived) = (self.look(confirmed)?, None);
                continue;
            }
            if !held.is_empty() {
                continue;
            }
            let read = self.read_some(&walk, &unread, &mut skipped)?;
            if !plan.wishes.is_empty() && self.tell(&walk, &local, plan.wishes, &mut skipped, &mut synced).await? {
                self.read_on(&mut synced).await?;
                continue;
            }
            if read {
                continue;
            }
            let brought = self.bring(&walk, &plan.steps, &mut synced).await?;
            if !brought {
                self.say_too_long(&plan.too_long, &mut synced);
                (synced.busy, synced.unsettled) = (plan.unread.len(), local.still.len());
                self.forget_unneeded(&walk)?;
                self.show();
                if synced.busy + synced.unsettled + synced.put_off == 0 && synced.troubles.is_empty() {
                    self.acknowledge().await?;
                }
                return Ok(synced);
            }
            self.read_on(&mut synced).await?;
            (walk, arrived) = (self.look(confirmed)?, None);
        }
        Err(EngineError::Nonsense("folder and server never come to be alike"))
    }

    /// Whether nothing lies where a file is to be held without being there: something may have come since the walk.
    fn is_free(&self, held: &Held) -> bool {
        // Where its folder is not yet, nothing is.
        let Some(mut path) = self.base.path(held.parent) else { return true };
        path.push(&held.at);
        match self.folder.looks(&path) {
            Ok(looks) => looks.is_none(),
            Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        }
    }

    /// Leaves out files that could not be brought and wait; says how many.
    fn leave_out_put_off(&self, plan: &mut Plan) -> usize {
        let (before, now) = (plan.steps.len(), self.env.env().now);
        let waits =
            |step: &Step| matches!(step, Step::Write { node, content, .. } if self.put_off.holds(*node, content, now));
        plan.steps.retain(|step| !waits(step));
        before - plan.steps.len()
    }

    fn say_too_long(&self, nodes: &[EntityId], synced: &mut Synced) {
        let tree = self.server.tree();
        for id in nodes {
            let above = std::iter::successors(tree.get(*id), |node| tree.get(node.parent?));
            let mut names: Vec<&str> = above.map(|node| node.name.as_str()).filter(|name| !name.is_empty()).collect();
            names.reverse();
            let most = self.abilities.path_bytes_max;
            let why =
                format!("this device holds paths of at most {most} bytes, and it or what is in it has a longer one");
            synced.troubles.push((names.join("/"), why));
        }
    }

    /// Tells the server up to where this device has the files, so that its other users see who is behind. What the server
    /// says to that changes nothing here.
    async fn acknowledge(&mut self) -> Done<()> {
        let cursor = self.server.cursor();
        if self.acknowledged == Some(cursor) {
            return Ok(());
        }
        let call = Call::Acknowledge { log: self.device.log.log, replica: self.device.replica, cursor };
        match self.way.call(call).await {
            Ok(_) | Err(CallError::Refused(_)) => self.acknowledged = Some(cursor),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Reads the log to its end, and writes down what it says together with how far that goes.
    pub(super) async fn read_on(&mut self, synced: &mut Synced) -> Done<()> {
        let way = Arc::clone(&self.way);
        let before = self.server.cursor();
        let read = self.server.read_on(&*way).await;
        let (tree, cursor, news) = (self.server.tree(), self.server.cursor(), self.server.news());
        match news {
            // Half of a tree is not worth a note: it is listed anew.
            _ if read.is_err() && cursor == Cursor::START => return Ok(read?),
            News::On(touched) if touched.is_empty() && cursor == before => return Ok(read?),
            News::On(touched) => self.journal.write(|batch| {
                touched.iter().try_for_each(|id| batch.remote(*id, tree.get(*id)))?;
                batch.cursor(cursor)
            })?,
            News::Listed | News::Other => {
                // What another history does not show it may never have had: nothing is a delete, and whatever is here is told.
                let is_other = *news == News::Other;
                self.journal.write(|batch| {
                    if is_other {
                        batch.forget_held()?;
                    }
                    batch.forget_remote()?;
                    tree.nodes().try_for_each(|(id, node)| batch.remote(id, Some(node)))?;
                    batch.cursor(cursor)
                })?;
                if is_other {
                    self.base = Base::new(self.base.root());
                    synced.united = true;
                }
            }
        }
        self.server.noted();
        Ok(read?)
    }

    /// Walks through the folder, if it is the one that it was.
    pub(super) fn look(&mut self, confirmed: bool) -> Done<Walk> {
        // By its path: a folder that was moved away is still open.
        let there = Folder::open(&self.device.folder).map_err(self.at_folder())?;
        let root = there.as_ref().map_or_else(|root| *root, Folder::state);
        let volume = self.journal.volume()?;
        if let Ok(folder) = &there
            && folder.state() != self.folder.state()
            && confirmed
        {
            return Err(EngineError::Nonsense("the folder was replaced while it was synced; start again"));
        }
        self.take_over_from_view()?;
        let (rules, _) = Rules::load(&self.folder).map_err(self.at_folder())?;
        self.rules = rules;
        let [a, b, c, d, ..] = self.env.env().bytes16("the next full look");
        if let Some(ear) = &mut self.ear {
            ear.look(u32::from_be_bytes([a, b, c, d]).into());
        }
        let walk = on_disk(|| walk(&self.folder, &self.rules, &self.base));
        let walk = walk.map_err(self.at_folder())?;
        self.take_over_from_view()?;
        match check_root(root, volume, &self.base, &walk.scan) {
            Err(halt) if !confirmed || !matches!(root, RootState::Folder { .. }) => return Err(halt.into()),
            _ => {}
        }
        if let RootState::Folder { volume: now } = root
            && volume != Some(now)
        {
            self.journal.write(|batch| batch.volume(now))?;
        }
        Ok(walk)
    }

    fn mint(&self) -> impl FnMut() -> EntityId + use<> {
        let env = Arc::clone(&self.env);
        move || EntityId::from_bytes(env.env().uuid7("node"))
    }

    pub(super) fn recognize(&self, walk: &Walk) -> Local {
        let contents = |print: &_| self.contents.get(print).copied();
        recognize(&walk.scan, &self.base, self.server.tree(), &contents, &mut self.mint())
    }

    pub(super) fn plan(&self, walk: &Walk, local: &Local, confirmed: bool) -> Done<Plan> {
        let remote = Remote { tree: self.server.tree(), last: self.server.cursor().seq };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(now.as_nanos()).unwrap_or(i64::MAX);
        let is_open = |(id, place): (&EntityId, &Place)| {
            let folder = walk.scan.found.get(place.entry).and_then(|found| found.parent);
            walk.locks.hold(folder, &place.at, now).then_some(*id)
        };
        let waits: HashSet<EntityId> =
            if walk.locks.is_empty() { HashSet::new() } else { local.nodes.iter().filter_map(is_open).collect() };
        let shows = self.window.is_some();
        let wants = Wants { pins: &self.pins, tree: self.server.tree(), waits, abilities: self.abilities, shows };
        Ok(plan(remote, &self.base, local, &self.issues, &wants, confirmed, &mut self.mint())?)
    }

    /// Reads some of the files that have to be read; says whether any was.
    fn read_some(&mut self, walk: &Walk, unread: &[usize], skipped: &mut Skipped) -> Done<bool> {
        let (mut bytes, mut asked) = (0_u64, Vec::new());
        for at in unread.iter().take(READ_FILES) {
            let Some(found) = walk.scan.found.get(*at) else { continue };
            let path = walk.scan.path(*at);
            let before = self.chunker_before(&path)?;
            bytes = bytes.saturating_add(found.print.size);
            asked.push(Asked { path, what: found.what, print: found.print, before });
            if bytes >= READ_BYTES {
                break;
            }
        }
        let mut readings = Vec::with_capacity(asked.len());
        for (print, outcome) in on_disk(|| read_all(&self.folder, &asked)) {
            match outcome {
                Ok(reading) => readings.push(reading),
                Err(Unread::Io(error)) if error.kind() == std::io::ErrorKind::StorageFull => {
                    return Err(self.at_folder()(error));
                }
                Err(_) => drop(skipped.insert(print)),
            }
        }
        if readings.is_empty() {
            return Ok(false);
        }
        self.journal.write(|batch| {
            readings.iter().try_for_each(|read| batch.content(&read.print, &read.content, read.manifest.as_ref()))
        })?;
        self.contents.extend(readings.into_iter().map(|reading| (reading.print, reading.content)));
        Ok(true)
    }

    /// How the last revision of the file at a path was cut.
    fn chunker_before(&self, path: &[&str]) -> Done<Option<syncline::blob::Chunker>> {
        let held = path.iter().try_fold(self.base.root(), |folder, name| self.base.at(folder, name));
        let manifest = held.and_then(|id| self.base.get(id)).and_then(|held| held.content?.manifest);
        let Some(manifest) = manifest else { return Ok(None) };
        Ok(self.journal.manifest(manifest)?.map(|manifest| manifest.chunker()))
    }

    /// Writes down how these nodes are held.
    pub(super) fn note(&mut self, changed: &[EntityId]) -> Done<()> {
        if changed.is_empty() {
            return Ok(());
        }
        let (base, journal) = (&self.base, &mut self.journal);
        let mut note = |is_older: &dyn Fn(EntityId) -> bool| {
            let mut changed = changed.iter().filter(|id| !is_older(**id));
            journal.write(|batch| changed.try_for_each(|id| batch.hold(*id, base.get(*id))))
        };
        match &self.window {
            // What the view wrote down since is newer.
            Some(window) => window.still(note)?,
            None => note(&|_| false)?,
        }
        Ok(())
    }

    /// Forgets what was read of files that look otherwise now, and refusals of what is not there any more.
    /// Forgets what was refused of entries that are gone, look otherwise, or were taken after all.
    fn forget_issues(&mut self, walk: &Walk, local: &Local) -> Done<()> {
        if self.issues.is_empty() || !walk.scan.unread.is_empty() {
            return Ok(());
        }
        let places: HashMap<(EntityId, &str), (EntityId, &Place)> =
            local.nodes.iter().map(|(id, place)| ((place.parent, place.at.as_str()), (*id, place))).collect();
        let (base, mut changed) = (&self.base, false);
        self.issues.retain(|parent, at, about, issue| {
            let keep = places.get(&(parent, at)).is_some_and(|(id, place)| {
                let open = match (base.get(*id), about) {
                    (None, About::Make) => true,
                    (None, _) | (Some(_), About::Make) => false,
                    (Some(held), About::Move) => (held.parent, held.at.as_str()) != (parent, at),
                    (Some(held), About::Fill) => held.print != Some(place.print),
                };
                open && issue.print.is_none_or(|print| print == place.print)
            });
            changed |= !keep;
            keep
        });
        if changed {
            let issues = &self.issues;
            self.journal.write(|batch| batch.issues(issues))?;
        }
        Ok(())
    }

    fn forget_unneeded(&mut self, walk: &Walk) -> Done<()> {
        let prints: HashSet<_> = walk.scan.found.iter().map(|found| found.print).collect();
        let before = self.contents.len();
        self.contents.retain(|print, _| prints.contains(print));
        let held: HashSet<_> = self.base.iter().filter_map(|(_, held)| held.print).collect();
        // What is held needs no second note.
        self.contents.retain(|print, _| !held.contains(print));
        if self.contents.len() != before {
            let contents = &self.contents;
            self.journal.write(|batch| batch.keep_contents(|print, _| contents.contains_key(print)))?;
        }
        Ok(())
    }
}

fn is_new(walk: &Walk, at: usize, skipped: &Skipped) -> bool {
    walk.scan.found.get(at).is_some_and(|found| !skipped.contains(&found.print))
}
