//! Doing in the folder what the server shows: steps in their order, files several at a time.

use futures_util::{StreamExt as _, stream};
use syncline::files::{Scan, Step};
use syncline::tree::{Content, Kind, Node};

use super::{Done, Engine, Synced, on_disk};
use crate::steps::{Failed, On, Outcome, Sink, carry_out};
use crate::transfer::{Near, Progress, Transfer, TransferError};
use crate::walk::Walk;

/// Steps that are written down together.
const NOTED: usize = 256;
/// Files that are brought before they are written down.
const WRITES: usize = 256;
/// Bytes that are.
const WRITE_BYTES: u64 = 256 << 20;
/// Files that are brought at once.
const AT_ONCE: usize = 12;
/// Files that are put to the disk at once: a disk brings many there in one go.
const TO_DISK: usize = 8;

impl Engine {
    /// Carries out steps; says whether any was done.
    pub(super) async fn bring(&mut self, walk: &Walk, steps: &[Step], synced: &mut Synced) -> Done<bool> {
        let before = synced.done;
        let mut rest = steps;
        while let Some(first) = rest.first() {
            let is_write = |step: &&Step| matches!(step, Step::Write { .. });
            let same = rest.iter().take_while(|step| is_write(step) == is_write(&first)).count();
            let (now, later) = rest.split_at(if is_write(&first) { some(rest, same) } else { same.min(NOTED) });
            rest = later;
            if is_write(&first) {
                self.write_files(&walk.scan, now, synced).await?;
            } else {
                self.do_steps(&walk.scan, now, synced)?;
            }
        }
        Ok(synced.done > before)
    }

    fn do_steps(&mut self, scan: &Scan, steps: &[Step], synced: &mut Synced) -> Done<()> {
        let mut changed = Vec::new();
        for step in steps {
            self.will_leave(step);
            let on = On { folder: &self.folder, base: &self.base, scan, rules: &self.rules };
            let outcome = match (&self.window, step) {
                (Some(window), Step::MakeFolder { node, .. }) => {
                    on_disk(|| window.makes_folder(*node, || carry_out(on, step, None)))
                }
                _ => on_disk(|| carry_out(on, step, None)),
            };
            changed.extend(self.done(step, outcome, synced));
        }
        self.note(&changed)
    }

    /// Takes over what came of a step; gives the nodes that are held otherwise now.
    fn done(&mut self, step: &Step, outcome: Outcome, synced: &mut Synced) -> Vec<syncline::EntityId> {
        match outcome {
            Outcome::Done(looks) => {
                let node = step.node().and_then(|node| self.server.tree().get(node));
                let changed = self.base.did(step, node, looks);
                step.node().into_iter().for_each(|node| self.put_off.done(node));
                synced.done += 1;
                changed
            }
            Outcome::Later(_) => Vec::new(),
            Outcome::Failed(why) => {
                self.trouble(step, &why, synced);
                Vec::new()
            }
        }
    }

    /// A file that could not be brought: it is asked for again later.
    fn put_off(&mut self, step: &Step, why: &dyn std::fmt::Display, synced: &mut Synced) {
        if let Some((node, content)) = step.node().zip(content(step)) {
            self.put_off.failed(node, content, self.env.env().now);
            synced.put_off += 1;
        }
        self.trouble(step, why, synced);
    }

    fn trouble(&self, step: &Step, why: &dyn std::fmt::Display, synced: &mut Synced) {
        let path = match step {
            Step::Move { parent, at, .. } | Step::MakeFolder { parent, at, .. } | Step::Write { parent, at, .. } => {
                let mut path = self.base.path(*parent).unwrap_or_default();
                path.push(at);
                path.join("/")
            }
            _ => step.node().and_then(|node| self.base.path(node)).unwrap_or_default().join("/"),
        };
        let trouble = (path, why.to_string());
        if !synced.troubles.contains(&trouble) {
            synced.troubles.push(trouble);
        }
    }

    async fn write_files(&mut self, scan: &Scan, steps: &[Step], synced: &mut Synced) -> Done<()> {
        let bytes = steps.iter().filter_map(content).map(|content| content.bytes).sum();
        let progress = Progress::start("bringing", bytes);
        let this = &*self;
        let groups = stream::iter(this.groups(steps)).map(|group| this.bring_group(scan, group, &progress));
        let brought: Vec<_> = groups.buffered(AT_ONCE).collect().await;
        let mut ready = Vec::with_capacity(steps.len());
        for (step, brought) in steps.iter().zip(brought.into_iter().flatten()) {
            match brought {
                Ok(sink) => ready.push((step, sink)),
                Err(NotBrought::Outcome(outcome)) => drop(self.done(step, *outcome, synced)),
                Err(NotBrought::Transfer(TransferError::Call(error))) => match error {
                    // One file that the server does not give stops no other.
                    syncline::client::CallError::Refused(refusal) => self.put_off(step, &refusal, synced),
                    error => return Err(error.into()),
                },
                Err(NotBrought::Transfer(TransferError::Disk(error))) => {
                    self.put_off(step, &Failed::Io(error), synced);
                }
                Err(NotBrought::Transfer(error)) => self.put_off(step, &error, synced),
            }
        }
        let on = On { folder: &self.folder, base: &self.base, scan, rules: &self.rules };
        let outcomes = on_disk(|| put_all(on, ready));
        let mut changed = Vec::new();
        for (step, outcome) in outcomes {
            changed.extend(self.done(step, outcome, synced));
        }
        self.note(&changed)
    }

    /// Writes whose bytes come in one request each. Those whose bytes are in the folder come alone: they are not fetched.
    fn groups<'a>(&self, steps: &'a [Step]) -> Vec<&'a [Step]> {
        let held = |step: &Step| step.node().and_then(|id| self.base.get(id)?.content);
        let away = |step: &'a Step| content(step).filter(|new| held(step).is_none_or(|held| held.blob != new.blob));
        let (mut groups, mut rest) = (Vec::new(), steps);
        while !rest.is_empty() {
            let count = Transfer::together(rest.iter().map_while(away));
            let (group, later) = rest.split_at(count.min(rest.len()));
            groups.push(group);
            rest = later;
        }
        groups
    }

    /// Brings the bytes of files to where they will be: of several, if they are small, in one request.
    async fn bring_group(&self, scan: &Scan, group: &[Step], progress: &Progress) -> Vec<Result<Sink, NotBrought>> {
        let blobs: Vec<_> = group.iter().filter_map(content).map(|content| content.blob).collect();
        let together = group.len() > 1 && blobs.len() == group.len();
        if let Some(Ok(brought)) = if together { Some(self.transfer.bring_many(&blobs).await) } else { None } {
            return group
                .iter()
                .zip(brought)
                .map(|(step, bytes)| self.put_aside(scan, step, &bytes, progress))
                .collect();
        }
        // Whose fault it is shows when each is asked for alone.
        let mut brought = Vec::with_capacity(group.len());
        for step in group {
            brought.push(self.bring_file(scan, step, progress).await);
        }
        brought
    }

    fn put_aside(&self, scan: &Scan, step: &Step, bytes: &[u8], progress: &Progress) -> Result<Sink, NotBrought> {
        let mut sink = self.sink(scan, step)?;
        sink.write(bytes).map_err(|error| NotBrought::Transfer(error.into()))?;
        progress.more(bytes.len() as u64);
        Ok(sink)
    }

    fn sink(&self, scan: &Scan, step: &Step) -> Result<Sink, NotBrought> {
        let on = On { folder: &self.folder, base: &self.base, scan, rules: &self.rules };
        let node = step.node().and_then(|id| self.server.tree().get(id));
        let kind = node.map_or(Kind::File, |node: &Node| node.kind);
        Sink::begin(on, step, kind).map_err(|outcome| NotBrought::Outcome(Box::new(outcome)))
    }

    /// Brings the bytes of a file to where it will be.
    async fn bring_file(&self, scan: &Scan, step: &Step, progress: &Progress) -> Result<Sink, NotBrought> {
        let mut sink = self.sink(scan, step)?;
        let Some(content) = content(step) else { return Ok(sink) };
        let known = content.manifest.and_then(|manifest| self.journal.manifest(manifest).ok().flatten());
        let near: Vec<Near> = step.node().and_then(|id| self.near(id)).into_iter().collect();
        self.transfer.download(content, known, &near, &mut sink, progress).await.map_err(NotBrought::Transfer)?;
        Ok(sink)
    }

    /// What the folder has of a node's older content.
    fn near(&self, id: syncline::EntityId) -> Option<Near> {
        let held = self.base.get(id).filter(|held| held.print.is_some())?;
        let content = held.content?;
        let path = self.base.path(id)?.into_iter().map(str::to_owned).collect();
        let manifest = content.manifest.and_then(|manifest| self.journal.manifest(manifest).ok().flatten());
        Some(Near { path, content, manifest })
    }
}

/// Why a file's bytes are not there.
enum NotBrought {
    Outcome(Box<Outcome>),
    Transfer(TransferError),
}

const fn content(step: &Step) -> Option<&Content> {
    match step {
        Step::Write { content, .. } => Some(content),
        _ => None,
    }
}

/// How many of the first writes are brought before they are put in place.
fn some(steps: &[Step], most: usize) -> usize {
    let mut bytes = 0_u64;
    let fits = |step: &&Step| {
        let before = bytes;
        bytes = bytes.saturating_add(content(step).map_or(0, |content| content.bytes));
        before < WRITE_BYTES
    };
    steps.iter().take(most.min(WRITES)).take_while(fits).count().max(1)
}

/// Puts files where they belong, several at a time: each waits for the disk.
fn put_all<'a>(on: On<'_>, ready: Vec<(&'a Step, Sink)>) -> Vec<(&'a Step, Outcome)> {
    let mut hands: Vec<Vec<(usize, &Step, Sink)>> = (0..TO_DISK).map(|_| Vec::new()).collect();
    for (number, (step, sink)) in ready.into_iter().enumerate() {
        if let Some(hand) = hands.get_mut(number % TO_DISK) {
            hand.push((number, step, sink));
        }
    }
    let put = |hand: Vec<(usize, &'a Step, Sink)>| {
        let put = |(number, step, sink)| (number, step, carry_out(on, step, Some(sink)));
        hand.into_iter().map(put).collect::<Vec<_>>()
    };
    let mut done: Vec<(usize, &Step, Outcome)> = std::thread::scope(|scope| {
        let threads: Vec<_> = hands.into_iter().map(|hand| scope.spawn(move || put(hand))).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).flatten().collect()
    });
    done.sort_unstable_by_key(|(number, ..)| *number);
    done.into_iter().map(|(_, step, outcome)| (step, outcome)).collect()
}
