//! A server with one tree, which checks all that must hold at every commit.

use std::collections::{BTreeMap, BTreeSet};

use syncline::tree::{
    Change, Commit, Committed, Content, Label, Loaded, MemoryTree, NamePolicy, Room, Stamp, Stuck, Terms, TreeOp,
    commit,
};
use syncline::{Digest, EntityId, ReplicaId, Seq, Timestamp};

pub(crate) const ROOT: EntityId = syncline::decide::TREE_ROOT;
/// The time of every commit: 2023-11-14 22:13:20 UTC.
pub(crate) const NOW_MS: u64 = 1_700_000_000_000;
/// A store answers all questions of a round at once; more rounds than that is a runaway.
const ROUNDS_MAX: usize = 8;

pub(crate) fn seq(value: u64) -> Seq {
    Seq::new(value).unwrap()
}

pub(crate) fn replica(number: u8) -> ReplicaId {
    ReplicaId::from_bytes([number; 16])
}

pub(crate) fn id(number: u32) -> EntityId {
    let mut bytes = [0; 16];
    bytes[12..].copy_from_slice(&number.to_be_bytes());
    EntityId::from_bytes(bytes)
}

/// A file of eight bytes, which say its number; so does the time when it was changed.
pub(crate) fn content(value: u64) -> Content {
    Content {
        blob: blob(value),
        bytes: 8,
        manifest: None,
        modified_at: Timestamp::from_ms(value).unwrap_or_default(),
        executable: false,
        attributes: None,
    }
}

/// Its number.
pub(crate) fn number_of(content: &Content) -> u64 {
    content.modified_at.ms()
}

pub(crate) fn blob(value: u64) -> Digest {
    Digest::of(&[&value.to_be_bytes()])
}

/// Who does the same commit elsewhere, and what must come of it: an answer, a place in the log, a tree.
pub(crate) type Mirror = Box<dyn FnMut(ReplicaId, &str, Vec<TreeOp>, &Committed, Option<Seq>, &MemoryTree)>;

pub(crate) struct Server {
    pub(crate) tree: MemoryTree,
    /// The same tree, from nothing but the log.
    reader: MemoryTree,
    pub(crate) last: u64,
    pub(crate) policy: NamePolicy,
    pub(crate) room: Room,
    /// Whether each commit is also decided on what a store would hand out.
    pub(crate) through_reads: bool,
    /// A real server that each commit goes to as well.
    mirror: Option<Mirror>,
}

impl Server {
    pub(crate) fn new() -> Self {
        let tree = MemoryTree::new(ROOT, Stamp { seq: seq(1), by: ReplicaId::SERVER });
        let reader = tree.clone();
        let (policy, room) = (NamePolicy::Strict, Room::ENDLESS);
        Self { tree, reader, last: 1, policy, room, through_reads: true, mirror: None }
    }

    /// One whose commits a real server gets as well, and must answer alike. Its first commit makes the root.
    pub(crate) fn over(mirror: Mirror) -> Self {
        Self { last: 0, mirror: Some(mirror), ..Self::new() }
    }

    /// What a commit would do now.
    pub(crate) fn decide(&self, by: ReplicaId, label: &str, ops: Vec<TreeOp>) -> Committed {
        let (label, commit_of) = (Label::new(label).unwrap(), Commit::new(ops).unwrap());
        let terms = Terms {
            seq: seq(self.last + 1),
            replica: by,
            label: &label,
            accepted_at: Timestamp::from_ms(NOW_MS).unwrap(),
            root: ROOT,
            policy: self.policy,
            room: self.room,
        };
        assert_eq!(Commit::from_bytes(commit_of.to_bytes()).as_ref(), Ok(&commit_of));
        let committed = commit(&self.tree, &terms, &commit_of).unwrap();
        if self.through_reads {
            assert_eq!(self.in_rounds(&terms, &commit_of), committed, "a store's rounds lead elsewhere");
        }
        committed
    }

    fn in_rounds(&self, terms: &Terms<'_>, ops: &Commit) -> Committed {
        let mut loaded = Loaded::new();
        for _ in 0..ROUNDS_MAX {
            match commit(&loaded, terms, ops) {
                Ok(committed) => return committed,
                Err(stuck) => {
                    for stuck in stuck {
                        let Stuck::View(read) = stuck else { panic!("{stuck}") };
                        loaded.answer(read, &self.tree).unwrap();
                    }
                }
            }
        }
        panic!("more than {ROUNDS_MAX} rounds of questions");
    }

    pub(crate) fn commit(&mut self, by: ReplicaId, label: &str, ops: Vec<TreeOp>) -> Committed {
        let committed = self.decide(by, label, ops.clone());
        let Some(mut mirror) = self.mirror.take() else {
            self.last += 1;
            self.write(&committed.changes);
            return committed;
        };
        // What changes nothing leaves no trace in a log.
        self.last += u64::from(!committed.changes.is_empty());
        self.write(&committed.changes);
        let at = (!committed.changes.is_empty()).then(|| seq(self.last));
        mirror(by, label, ops, &committed, at, &self.tree);
        self.mirror = Some(mirror);
        committed
    }

    pub(crate) fn write(&mut self, changes: &[Change]) {
        let before = self.tree.clone();
        self.tree.apply(changes).unwrap_or_else(|damage| panic!("{damage}: {changes:#?}"));
        self.tree.check().unwrap_or_else(|damage| panic!("{damage}: {changes:#?}\nbefore: {before:#?}"));
        assert_eq!(self.tree.get(ROOT), before.get(ROOT), "the root moved");
        let read = Change::from_bytes(Change::to_bytes(changes)).unwrap();
        assert_eq!(read, changes, "the log has other changes");
        self.reader.follow(&read).unwrap();
        assert_eq!(self.reader, self.tree, "a reader of the log has another tree");
        self.reader.follow(changes).unwrap();
        assert_eq!(self.reader, self.tree, "an entry that is applied twice does more than once");
    }

    /// Live files with their contents and empty folders, by path.
    pub(crate) fn show(&self) -> BTreeSet<String> {
        let mut shown = BTreeSet::new();
        let by_blob: BTreeMap<Digest, u64> = (0..100_u64).map(|value| (blob(value), value)).collect();
        let mut open = vec![(ROOT, String::new())];
        while let Some((folder, path)) = open.pop() {
            for (id, node) in self.tree.children(folder, None, usize::MAX) {
                let path = format!("{path}{}", node.name);
                match node.content {
                    Some(content) => drop(shown.insert(format!("{path}={}", by_blob[&content.blob]))),
                    None if self.tree.children(id, None, 1).next().is_none() => drop(shown.insert(format!("{path}/"))),
                    None => open.push((id, format!("{path}/"))),
                }
            }
        }
        shown
    }

    /// The contents of live files.
    pub(crate) fn contents(&self) -> BTreeSet<Digest> {
        let live = self.tree.nodes().filter(|(_, node)| node.dead.is_none());
        live.filter_map(|(_, node)| node.content.map(|content| content.blob)).collect()
    }
}
