//! What a commit costs: questions to the tree, whatever its size.
//!
//! How: a view counts what it is asked, over trees of two sizes; the counts are the same.

use std::cell::Cell;
use std::convert::Infallible;

use syncline::tree::{
    Commit, Found, Label, MemoryTree, NameKey, NamePolicy, Room, Terms, TreeOp, TreeVerdict, TreeView, commit,
};
use syncline::{EntityId, ReplicaId, Seq, Timestamp};

use crate::rules::{delete, file, folder, go, put, rename};
use crate::server::{ROOT, Server, id, replica, seq};

struct Counting<'a> {
    tree: &'a MemoryTree,
    asked: Cell<usize>,
}

impl Counting<'_> {
    fn count<T>(&self, answer: T) -> T {
        self.asked.set(self.asked.get() + 1);
        answer
    }
}

impl TreeView for Counting<'_> {
    type Error = Infallible;

    fn node(&self, id: EntityId) -> Result<Found, Infallible> {
        self.count(self.tree.node(id))
    }

    fn child(&self, parent: EntityId, key: &NameKey) -> Result<Option<EntityId>, Infallible> {
        self.count(self.tree.child(parent, key))
    }

    fn dead_child(&self, parent: EntityId, group: Seq, key: &NameKey) -> Result<Option<EntityId>, Infallible> {
        self.count(self.tree.dead_child(parent, group, key))
    }

    fn changed_below(
        &self,
        root: EntityId,
        after: Seq,
        by: ReplicaId,
        limit: usize,
    ) -> Result<Vec<EntityId>, Infallible> {
        self.count(self.tree.changed_below(root, after, by, limit))
    }

    fn height(&self, folder: EntityId, limit: usize) -> Result<usize, Infallible> {
        self.count(self.tree.height(folder, limit))
    }
}

/// `d/` with a folder `s/` and this many files in each, and `k/`.
fn tree(files: u32) -> Server {
    let mut server = Server::new();
    server.through_reads = false;
    let folders = vec![folder(1, ROOT, "d"), folder(2, id(1), "s"), folder(3, ROOT, "k")];
    let files = (0..files)
        .flat_map(|n| [file(100 + 2 * n, id(1), &format!("f{n}"), 1), file(101 + 2 * n, id(2), &format!("f{n}"), 1)]);
    let ops: Vec<TreeOp> = folders.into_iter().chain(files).collect();
    server.commit(replica(1), "A", ops);
    server.commit(replica(2), "B", vec![put(100, 7, 2, 2)]);
    server
}

fn questions(server: &Server, ops: Vec<TreeOp>) -> (usize, usize) {
    let label = Label::new("A").unwrap();
    let terms = Terms {
        seq: seq(server.last + 1),
        replica: replica(1),
        label: &label,
        accepted_at: Timestamp::default(),
        root: ROOT,
        policy: NamePolicy::Strict,
        room: Room::ENDLESS,
    };
    let view = Counting { tree: &server.tree, asked: Cell::new(0) };
    let committed = commit(&view, &terms, &Commit::new(ops).unwrap()).unwrap();
    for outcome in &committed.outcomes {
        assert!(!matches!(outcome.verdict, TreeVerdict::Rejected(_)), "{:?}", outcome.verdict);
    }
    (view.asked.get(), committed.changes.len())
}

#[test]
fn a_commit_asks_as_much_of_a_large_tree_as_of_a_small_one() {
    let (small, mut large) = (tree(3), tree(450));
    let cases: [(&str, Vec<TreeOp>); 7] = [
        ("a delete that its author saw all of", vec![delete(1, 3)]),
        ("a delete with a change that they had not seen", vec![delete(1, 2)]),
        ("a move of a folder to a deeper place", vec![go(1, id(3), 2, 3)]),
        ("a rename", vec![rename(1, "e", 2, 3)]),
        ("a new file", vec![file(9_000, id(2), "new", 3)]),
        ("a new file whose name is taken", vec![file(9_000, id(2), "f1", 3)]),
        ("a folder that joins another", vec![folder(9_000, ROOT, "d"), file(9_001, id(9_000), "new", 3)]),
    ];
    for (name, ops) in cases {
        let (one, other) = (questions(&small, ops.clone()), questions(&large, ops));
        assert_eq!(one, other, "{name}");
        assert!(one.0 <= 12, "{name}: {} questions", one.0);
    }
    large.commit(replica(2), "B", vec![delete(1, 3)]);
    let (asked, changes) = questions(&large, vec![go(1, id(3), 2, 3)]);
    assert!(asked <= 6 && changes == 2, "a whole folder comes back: {asked} questions, {changes} changes");
}
