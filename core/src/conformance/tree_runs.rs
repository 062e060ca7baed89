//! Random commits of several devices: decided in rounds and written by this store and by the memory store alike.
//!
//! What they ask is often wrong, late or about what is gone. Each run has a log of its own and is made from its number, which
//! a failure names. After every commit all that can be read is compared.

use std::sync::Arc;

use super::tree_world::{ROOT, all, ask, content, decide_commit, list, plant, replica, seq, try_write};
use crate::decide::TreeWrites;
use crate::id::{BucketId, EntityId, LogId, LogKey};
use crate::limits::TREE_UNSEEN_MAX;
use crate::seq::Seq;
use crate::store::{MemoryStore, NodeQuery, Store, StoreExt};
use crate::tree::{Change, Kind, Node, Reason, To, TreeOp, TreeRead, TreeView, is_trash_root};

const RUNS: u64 = 24;
const COMMITS: u64 = 24;
const NAMES: [&str; 6] = ["a", "b", "c", "A", "é", "b (conflict D 2023-11-14 221320)"];

/// Numbers that look random and are the same every time (xorshift64*).
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) % end
    }

    pub(super) fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        let at = usize::try_from(self.below(of.len() as u64)).unwrap_or(0);
        of[at].clone()
    }
}

/// What the ops of a run are about.
struct Run {
    dice: Dice,
    nodes: Vec<(EntityId, Node)>,
    minted: u32,
    last: u64,
}

impl Run {
    fn mint(&mut self) -> EntityId {
        self.minted += 1;
        let mut id = [0; 16];
        // Before and behind the root, and not in the order in which they are made.
        id[0] = u8::try_from(self.minted.wrapping_mul(37) % 251).unwrap_or(0);
        id[12..].copy_from_slice(&self.minted.to_be_bytes());
        EntityId::from_bytes(id)
    }

    /// One that there is, mostly; or one that there was or never was.
    fn any(&mut self) -> (EntityId, Option<Node>) {
        if self.nodes.is_empty() || self.dice.below(16) == 0 {
            let old = self.dice.below(u64::from(self.minted) + 2);
            let minted = std::mem::replace(&mut self.minted, u32::try_from(old).unwrap_or(0));
            let id = self.mint();
            self.minted = minted;
            return (id, None);
        }
        let (id, node) = self.dice.pick(&self.nodes);
        (id, Some(node))
    }

    fn folder(&mut self, made: &[EntityId]) -> EntityId {
        let folders = self.nodes.iter().filter(|(_, node)| node.is_folder()).map(|(id, _)| *id);
        let folders: Vec<EntityId> = folders.chain(made.iter().copied()).chain([ROOT]).collect();
        self.dice.pick(&folders)
    }

    fn name(&mut self) -> String {
        self.dice.pick(&NAMES).to_owned()
    }

    /// What the author had seen: mostly all, sometimes less.
    fn seen(&mut self, newest: u64) -> Seq {
        let behind = if self.dice.below(3) == 0 { self.dice.below(newest + 1) } else { 0 };
        seq(newest - behind)
    }

    fn ops(&mut self) -> Vec<TreeOp> {
        let (mut ops, mut made) = (Vec::new(), Vec::new());
        for _ in 0..=self.dice.below(8) {
            let (node, known) = self.any();
            let of = known.as_ref();
            let seen = self.seen(self.last);
            let op = match self.dice.below(12) {
                0..2 => {
                    made.push(self.mint());
                    let (node, parent) = (made[made.len() - 1], self.folder(&made));
                    TreeOp::Create { node, parent, name: self.name(), kind: Kind::Folder, content: None }
                }
                2..5 => {
                    let (node, parent) = (self.mint(), self.folder(&made));
                    let content = Some(content(self.dice.below(9)));
                    TreeOp::Create { node, parent, name: self.name(), kind: Kind::File, content }
                }
                5..7 => {
                    let base = self.seen(of.map_or(0, |node| node.content_stamp.seq.get()));
                    let (content, copy) = (content(self.dice.below(9)), self.mint());
                    TreeOp::Put { node, content, base, seen, copy, reason: Reason::Put }
                }
                7..10 => {
                    let (go, rename) = (self.dice.below(3) > 0, self.dice.below(2) > 0);
                    let parent = To {
                        value: self.folder(&made),
                        base: self.seen(of.map_or(0, |node| node.parent_stamp.seq.get())),
                    };
                    let name =
                        To { value: self.name(), base: self.seen(of.map_or(0, |node| node.name_stamp.seq.get())) };
                    TreeOp::Move { node, parent: go.then_some(parent), name: rename.then_some(name), seen }
                }
                10 => TreeOp::Delete { node, seen },
                _ => {
                    let (go, rename) = (self.dice.below(3) == 0, self.dice.below(3) == 0);
                    let (parent, name) = (self.folder(&made), self.name());
                    TreeOp::Restore { node, parent: go.then_some(parent), name: rename.then_some(name) }
                }
            };
            ops.push(op);
        }
        ops
    }

    /// Questions that the commits ask seldom.
    fn reads(&mut self) -> Vec<TreeRead> {
        let mut reads = Vec::new();
        for _ in 0..4 {
            let (root, by) = (self.folder(&[]), replica(1 + u8::try_from(self.dice.below(3)).unwrap_or(0)));
            let limit = self.dice.pick(&[1, 3, TREE_UNSEEN_MAX]);
            reads.push(TreeRead::ChangedBelow { root, after: self.seen(self.last), by, limit });
            reads.push(TreeRead::Height { folder: root, limit: self.dice.pick(&[0, 1, 2, 256]) });
            if let (_, Some(node)) = self.any()
                && let Some(parent) = node.parent
            {
                reads.push(TreeRead::Child { parent, key: node.name.key() });
                let group = node.dead.unwrap_or(seq(2));
                reads.push(TreeRead::DeadChild { parent, group, key: node.name.key() });
            }
        }
        reads
    }

    /// What goes from the trash for good.
    fn purge(&mut self) -> Vec<Change> {
        let parent =
            |node: &Node| self.nodes.iter().find(|(id, _)| Some(*id) == node.parent).map(|(_, parent)| parent.clone());
        let roots = self.nodes.iter().filter(|(_, node)| is_trash_root(node, parent(node).as_ref()));
        let roots: Vec<EntityId> = roots.map(|(id, _)| *id).collect();
        if roots.is_empty() { Vec::new() } else { vec![Change::Purge { root: self.dice.pick(&roots) }] }
    }
}

/// The executable specification decides, in rounds as well.
pub async fn random_commits_agree_with_the_memory_store(store: Arc<dyn Store>) {
    for run in 0..RUNS {
        let mut id = [0x77; 16];
        id[..8].copy_from_slice(&run.to_be_bytes());
        let log = LogKey { bucket: BucketId::from_bytes([5; 16]), log: LogId::from_bytes(id) };
        let model = MemoryStore::new();
        plant(&*store, log, Vec::new()).await;
        plant(&model, log, Vec::new()).await;
        let dice = Dice((run + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mut run_of = Run { dice, nodes: Vec::new(), minted: 0, last: 0 };
        for commit in 0..COMMITS {
            step(&*store, &model, log, &mut run_of, &format!("run {run}, commit {commit}")).await;
        }
    }
}

async fn step(store: &dyn Store, model: &MemoryStore, log: LogKey, run: &mut Run, place: &str) {
    let by = 1 + u8::try_from(run.dice.below(3)).unwrap_or(0);
    let ops = run.ops();
    let ours = decide_commit(store, log, by, ops.clone()).await;
    assert_eq!(ours, decide_commit(model, log, by, ops.clone()).await, "{place}: {ops:#?}");
    assert!(ours.is_ok(), "{place}: {ours:?} for {ops:#?}");
    if run.dice.below(6) == 0 {
        let tree = TreeWrites { changes: run.purge(), ..TreeWrites::default() };
        let outcome = try_write(store, log, tree.clone()).await;
        assert_eq!(outcome, try_write(model, log, tree.clone()).await, "{place}: {tree:#?}");
    }
    run.nodes = all(model, log).await;
    run.last = model.bounds(log).await.expect("bounds").map_or(0, |bounds| bounds.last.get());
    same_tree(store, model, log, run, place).await;
}

async fn same_tree(store: &dyn Store, model: &MemoryStore, log: LogKey, run: &mut Run, place: &str) {
    assert_eq!(all(store, log).await, run.nodes, "{place}");
    let trash = NodeQuery::Trash { after: None };
    assert_eq!(list(store, log, trash.clone(), 2).await, list(model, log, trash, 50).await, "{place}: the trash");
    for folder in run.nodes.iter().filter(|(_, node)| node.is_folder()).map(|(id, _)| *id) {
        let asked = NodeQuery::Children { of: folder, after: None };
        let expected = list(model, log, asked.clone(), 50).await;
        assert_eq!(list(store, log, asked, 3).await, expected, "{place}: the children of {folder}");
    }
    for _ in 0..4 {
        let (id, _) = run.any();
        let asked = NodeQuery::One(id);
        assert_eq!(list(store, log, asked.clone(), 2).await, list(model, log, asked, 2).await, "{place}: {id}");
        let expected = model.revisions(log, id, Seq::ZERO, 50).await.expect("revisions");
        let ours = store.revisions(log, id, Seq::ZERO, 50).await.expect("revisions");
        assert_eq!(ours, expected, "{place}: the revisions of {id}");
    }
    let reads = run.reads();
    let (ours, expected) = (ask(store, log, reads.clone()).await, ask(model, log, reads.clone()).await);
    for read in reads {
        match &read {
            TreeRead::Node(id) => assert_eq!(ours.node(*id), expected.node(*id), "{place}: {read:?}"),
            TreeRead::Child { parent, key } => {
                assert_eq!(ours.child(*parent, key), expected.child(*parent, key), "{place}: {read:?}");
            }
            TreeRead::DeadChild { parent, group, key } => {
                let answer = expected.dead_child(*parent, *group, key);
                assert_eq!(ours.dead_child(*parent, *group, key), answer, "{place}: {read:?}");
            }
            TreeRead::ChangedBelow { root, after, by, limit } => {
                let sorted = |answer: Result<Vec<EntityId>, TreeRead>| {
                    let mut answer = answer.expect("an answer");
                    answer.sort_unstable();
                    answer
                };
                let ours = sorted(ours.changed_below(*root, *after, *by, *limit));
                let expected = sorted(expected.changed_below(*root, *after, *by, *limit));
                // Which of too many are told is nobody's business.
                let same = if expected.len() == *limit { ours.len() == *limit } else { ours == expected };
                assert!(same, "{place}: {read:?} is {ours:?}, not {expected:?}");
            }
            TreeRead::Height { folder, limit } => {
                assert_eq!(ours.height(*folder, *limit), expected.height(*folder, *limit), "{place}: {read:?}");
            }
        }
    }
}
