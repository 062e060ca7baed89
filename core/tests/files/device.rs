//! A device: a disk, what it holds, and the passes of a sync, which can be cut off anywhere.

use std::collections::HashMap;

use syncline::files::{
    Abilities, Base, Debounce, Fingerprint, Halt, Issues, Local, Notice, Plan, Remote, Scan, Step, Wanted, Wish, agree,
    batch, plan, recognize, settle,
};
use syncline::tree::{Answer, Content, MemoryTree, TreeOp, TreeVerdict};
use syncline::{EntityId, ReplicaId};

use unicode_normalization::UnicodeNormalization as _;

use crate::disk::{Disk, TOP};
use crate::server::{ROOT, Server, content, id, number_of, replica, seq};

/// More passes than this is a plan that never ends.
const PASSES_MAX: usize = 60;

#[derive(Clone)]
pub(crate) struct Device {
    pub(crate) me: ReplicaId,
    pub(crate) label: &'static str,
    pub(crate) disk: Disk,
    pub(crate) base: Base,
    pub(crate) issues: Issues,
    tree: MemoryTree,
    last: u64,
    next: u32,
    /// What was read, as long as it looks so.
    contents: HashMap<Fingerprint, Content>,
    /// A commit that was sent and whose answers were not taken over.
    sent: Option<Sent>,
    pub(crate) notices: Vec<Notice>,
    pub(crate) verdicts: Vec<TreeVerdict>,
    /// How many ops go into one commit.
    pub(crate) ops_max: usize,
    /// Whether what is not here is brought.
    pub(crate) everything: bool,
    pub(crate) abilities: Abilities,
    /// What is heard of its folder, and what the time is.
    pub(crate) heard: Option<(Debounce, u64)>,
}

/// What was told, and where it stands in the log with what was answered.
type Sent = (Vec<Wish>, Option<(u64, Vec<Answer>)>);

/// Everything, or nothing that is not here already.
struct Want {
    everything: bool,
    abilities: Abilities,
}

impl Wanted for Want {
    fn here(&self, _: EntityId) -> bool {
        self.everything
    }

    fn stays(&self, _: EntityId) -> bool {
        true
    }

    fn waits(&self, _: EntityId) -> bool {
        false
    }

    fn abilities(&self) -> Abilities {
        self.abilities
    }
}

/// When a device dies: never, or before the so-manieth thing that it does.
pub(crate) struct Fuse(pub(crate) usize);

struct Dead;

impl Fuse {
    fn burn(&mut self) -> Result<(), Dead> {
        if self.0 == 0 {
            return Err(Dead);
        }
        self.0 -= 1;
        Ok(())
    }
}

impl Device {
    pub(crate) fn new(number: u8, label: &'static str, server: &Server) -> Self {
        Self {
            me: replica(number),
            label,
            disk: Disk::new(number.is_multiple_of(2)),
            base: Base::new(ROOT),
            issues: Issues::default(),
            tree: server.tree.clone(),
            last: server.last,
            next: u32::from(number) << 24,
            contents: HashMap::new(),
            sent: None,
            notices: Vec::new(),
            verdicts: Vec::new(),
            ops_max: 1_000,
            everything: true,
            abilities: Abilities::default(),
            heard: None,
        }
    }

    pub(crate) fn pull(&mut self, server: &Server) {
        (self.tree, self.last) = (server.tree.clone(), server.last);
    }

    fn local(&mut self, scan: &Scan) -> Local {
        let (contents, next) = (&self.contents, &mut self.next);
        let mut mint = || {
            *next += 1;
            id(*next)
        };
        recognize(scan, &self.base, &self.tree, &|print| contents.get(print).copied(), &mut mint)
    }

    /// What would be done now.
    pub(crate) fn plan(&mut self) -> (Plan, Local, Scan, Vec<u64>) {
        let (plan, local, scan, numbers) = self.try_plan(true);
        (plan.unwrap(), local, scan, numbers)
    }

    /// What would be done now, if nothing looks like an accident.
    pub(crate) fn try_plan(&mut self, confirmed: bool) -> (Result<Plan, Halt>, Local, Scan, Vec<u64>) {
        let (scan, numbers) = self.disk.scan();
        let mut local = self.local(&scan);
        let _ = agree(&mut self.base, &local, &self.tree);
        let still = self.heard.as_ref().map(|(heard, now)| heard.unsettled(&scan, &local, &self.base, *now));
        local.still = still.unwrap_or_default();
        let next = &mut self.next;
        let mut mint = || {
            *next += 1;
            id(*next)
        };
        let remote = Remote { tree: &self.tree, last: seq(self.last) };
        let want = Want { everything: self.everything, abilities: self.abilities };
        let plan = plan(remote, &self.base, &local, &self.issues, &want, confirmed, &mut mint);
        (plan, local, scan, numbers)
    }

    /// Syncs until nothing is left to do, or until the fuse is burnt; says whether it got to the end.
    pub(crate) fn sync(&mut self, server: &mut Server, fuse: &mut Fuse) -> bool {
        for _ in 0..PASSES_MAX {
            match self.pass(server, fuse) {
                Ok(true) => {}
                Ok(false) => return true,
                Err(Dead) => return false,
            }
        }
        let (plan, ..) = self.plan();
        panic!("{} goes on for ever: {plan:#?}\n{:#?}\n{:#?}", self.label, self.base, self.disk);
    }

    fn pass(&mut self, server: &mut Server, fuse: &mut Fuse) -> Result<bool, Dead> {
        if let Some((told, answers)) = self.sent.clone() {
            fuse.burn()?;
            let answers = match answers {
                Some(answers) => answers,
                None => {
                    let answers = self.tell(server, &told);
                    (server.last, answers)
                }
            };
            self.sent = Some((told.clone(), Some(answers.clone())));
            fuse.burn()?;
            self.pull(server);
            let (_, notices) = settle(&mut self.base, &mut self.issues, &self.tree, seq(answers.0), &told, &answers.1);
            self.notices.extend(notices);
            self.sent = None;
            return Ok(true);
        }
        self.pull(server);
        let (plan, local, scan, numbers) = self.plan();
        if plan.is_empty() {
            return Ok(false);
        }
        for (id, held) in plan.hold {
            self.base.hold(id, held);
        }
        for entry in &plan.unread {
            let value = self.disk.files[&numbers[*entry]].value.unwrap();
            self.contents.insert(scan.found[*entry].print, content(value));
        }
        if !plan.wishes.is_empty() {
            let told = batch(plan.wishes, &self.base, &local, self.ops_max);
            self.sent = Some((told, None));
            return Ok(true);
        }
        if !plan.unread.is_empty() {
            return Ok(true);
        }
        for step in &plan.steps {
            fuse.burn()?;
            let done = self.carry_out(step, &numbers);
            if std::env::var_os("SYNCLINE_FILES_TOLD").is_some() {
                eprintln!("{} {}: {step:?}", self.label, if done.is_some() { "does" } else { "leaves" });
            }
            if let Some(looks) = done {
                // Done, but not written down.
                fuse.burn()?;
                let node = step.node().and_then(|node| self.tree.get(node));
                self.base.did(step, node, looks);
                if let (Some(looks), Step::Write { content, .. }) = (looks, step) {
                    self.contents.insert(looks, *content);
                }
            }
        }
        Ok(true)
    }

    /// Commits; what was accepted already is answered as then.
    fn tell(&mut self, server: &mut Server, told: &[Wish]) -> Vec<Answer> {
        let ops: Vec<TreeOp> = told.iter().map(|wish| wish.op.clone()).collect();
        if std::env::var_os("SYNCLINE_FILES_TOLD").is_some() {
            eprintln!("{} commits {ops:?}", self.label);
        }
        let committed = server.commit(self.me, self.label, ops);
        if std::env::var_os("SYNCLINE_FILES_TOLD").is_some() {
            let verdicts: Vec<_> = committed.outcomes.iter().map(|outcome| &outcome.verdict).collect();
            eprintln!("{verdicts:?}");
        }
        let answer = |outcome: &syncline::tree::Outcome| Answer { verdict: outcome.verdict.clone(), long_path: false };
        let answers: Vec<Answer> = committed.outcomes.iter().map(answer).collect();
        self.verdicts.extend(answers.iter().map(|answer| answer.verdict.clone()));
        answers
    }

    fn folder(&self, parent: EntityId) -> Option<u64> {
        if parent == ROOT { Some(TOP) } else { self.number(parent) }
    }

    fn number(&self, node: EntityId) -> Option<u64> {
        self.disk.at(&self.base.path(node)?)
    }

    /// A held file as it is held, by its number.
    fn as_held(&self, node: EntityId) -> Option<u64> {
        let number = self.number(node)?;
        (self.base.get(node)?.print == Some(self.disk.print(number))).then_some(number)
    }

    /// Does what a step says, if the folder is as it says; `None` when not. Gives how the node looks then.
    fn carry_out(&mut self, step: &Step, numbers: &[u64]) -> Option<Option<Fingerprint>> {
        match step {
            Step::Move { node, parent, at } => {
                let (number, folder) = (self.number(*node)?, self.folder(*parent)?);
                if self.disk.child(folder, at) == Some(number) {
                    return Some(Some(self.disk.print(number)));
                }
                if self.disk.child(folder, at).is_some() || self.disk.below(number).contains(&folder) {
                    return None;
                }
                self.disk.shift(number, folder, at);
                Some(Some(self.disk.print(number)))
            }
            Step::MakeFolder { parent, at, .. } => {
                let folder = self.folder(*parent)?;
                if self.disk.child(folder, at).is_some() {
                    return None;
                }
                let number = self.disk.make(folder, at, None);
                Some(Some(self.disk.print(number)))
            }
            Step::Write { node, parent, at, content, replaces } => {
                let folder = self.folder(*parent)?;
                let there = self.disk.child(folder, at);
                if *replaces && (there.is_none() || there != self.as_held(*node)) || !replaces && there.is_some() {
                    return None;
                }
                there.into_iter().for_each(|there| self.disk.drop_all(there));
                let number = self.disk.make(folder, at, Some(number_of(content)));
                Some(Some(self.disk.print(number)))
            }
            Step::Remove { node } | Step::Evict { node } => {
                let number = self.as_held(*node)?;
                self.disk.drop_all(number);
                Some(None)
            }
            Step::RemoveFolder { node } => {
                let number = self.number(*node)?;
                if !self.disk.inside(number).is_empty() {
                    return None;
                }
                self.disk.drop_all(number);
                Some(None)
            }
            Step::Merge { entry, into } => {
                let (from, to) = (numbers[*entry], self.number(*into)?);
                self.merge(from, to);
                Some(None)
            }
            Step::RemoveDouble { entry, of } => {
                self.as_held(*of)?;
                self.disk.drop_all(numbers[*entry]);
                Some(None)
            }
        }
    }

    fn merge(&mut self, from: u64, to: u64) {
        for child in self.disk.inside(from) {
            let file = self.disk.files[&child].clone();
            match self.disk.child(to, &file.name) {
                None => self.disk.shift(child, to, &file.name),
                Some(there) if file.value.is_none() && self.disk.files[&there].value.is_none() => {
                    self.merge(child, there);
                }
                Some(_) => {
                    let mut names = (2..).map(|n| format!("{} {n}", file.name));
                    let free = names.find(|name| self.disk.child(to, name).is_none()).unwrap();
                    self.disk.shift(child, to, &free);
                }
            }
        }
        self.disk.drop_all(from);
    }

    /// Files with their contents and empty folders, by path, composed: a disk keeps names as they were typed.
    pub(crate) fn show(&self) -> std::collections::BTreeSet<String> {
        let shown = self.disk.files.iter().filter_map(|(number, file)| match file.value {
            Some(value) => Some(format!("{}={value}", self.disk.path(*number))),
            None => self.disk.inside(*number).is_empty().then(|| format!("{}/", self.disk.path(*number))),
        });
        shown.map(|path| path.nfc().collect()).collect()
    }
}
