//! What trees of files cost, and what damaged rows of theirs are.
//!
//! How: statements are counted, which is the same number on every machine; and nodes are damaged behind the store's back,
//! so that whoever loads one meets it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use rusqlite::Connection;
use support::*;
use syncline::Digest;
use syncline::decide::{Choice, LogWrites, Reads, Scope, TreeWrites, View};
use syncline::id::{EntityId, ReplicaId};
use syncline::limits::{TREE_OPS_MAX, TREE_UNSEEN_MAX};
use syncline::oplog::{LogBounds, LoggedOp};
use syncline::seq::{Origin, Seq};
use syncline::store::{NodePage, NodeQuery, Store, StoreError, StoreErrorKind, StoreExt};
use syncline::time::Timestamp;
use syncline::tree::{
    Change, Commit, Committed, Content, Kind, Label, Name, NamePolicy, Node, Room, Stamp, Stuck, Terms, TreeOp,
    TreeRead, TreeVerdict, TreeView as _, commit,
};
use syncline_storage_sqlite::{SqliteOptions, SqliteStore};

fn node(number: u64) -> EntityId {
    EntityId::from_bytes(id16(7, number))
}

fn root() -> EntityId {
    node(0)
}

fn replica(number: u64) -> ReplicaId {
    ReplicaId::from_bytes(id16(8, number))
}

fn content() -> Content {
    Content {
        blob: Digest::of(&[b"content"]),
        bytes: 7,
        manifest: None,
        modified_at: Timestamp::default(),
        executable: false,
        attributes: None,
    }
}

fn create(number: u64, parent: EntityId, kind: Kind) -> TreeOp {
    let content = (kind == Kind::File).then(content);
    TreeOp::Create { node: node(number), parent, name: format!("n{number}"), kind, content }
}

/// A folder as the commit `at` made it.
fn folder(number: u64, parent: EntityId, at: u64) -> Change {
    let made = Stamp { seq: seq(at), by: replica(1) };
    let name = Name::new(&format!("n{number}"), NamePolicy::Strict).unwrap();
    let made = Node { parent: Some(parent), name, ..Node::root(made) };
    Change::Node { id: node(number), node: Box::new(made) }
}

fn fresh() -> (tempfile::TempDir, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(SqliteOptions::new(folder.path().join("a.db"))).unwrap();
    let begin = Node::root(Stamp { seq: Seq::FIRST, by: replica(1) });
    let tree =
        TreeWrites { changes: vec![Change::Node { id: root(), node: Box::new(begin) }], ..TreeWrites::default() };
    let writes = LogWrites { tree, ..LogWrites::new(log(1), LogBounds::new(log(1), Origin([3; 16]), env(1).now)) };
    let rule = move |_: &View| Choice::Done((), Some(writes.clone().alone()));
    block_on(store.decide(Scope::log(log(1), Reads::default()), rule)).unwrap();
    (folder, store)
}

fn change(store: &SqliteStore, changes: Vec<Change>) -> Result<(), StoreError> {
    let rule = move |view: &View| {
        let tree = TreeWrites { changes: changes.clone(), ..TreeWrites::default() };
        let bounds = view.log(log(1)).bounds.clone().unwrap();
        Choice::Done((), Some(LogWrites { tree, ..LogWrites::new(log(1), bounds) }.alone()))
    };
    block_on(store.decide(Scope::log(log(1), Reads::default()), rule))
}

/// Commits as a server does: decided in rounds, one entry of the log.
fn decide(store: &SqliteStore, ops: Vec<TreeOp>) -> Committed {
    let (ops, label) = (Commit::new(ops).unwrap(), Label::new("D").unwrap());
    let rule = move |view: &View| {
        let seen = view.log(log(1));
        let bounds = seen.bounds.clone().unwrap();
        let place = bounds.last.next().unwrap();
        let terms = Terms {
            seq: place,
            replica: replica(1),
            label: &label,
            accepted_at: env(2).now,
            root: root(),
            policy: NamePolicy::Strict,
            room: Room::ENDLESS,
        };
        let committed = match commit(&seen.tree, &terms, &ops) {
            Ok(committed) => committed,
            Err(stuck) => {
                let tree = stuck.into_iter().map(|stuck| match stuck {
                    Stuck::View(read) => read,
                    other => panic!("{other}"),
                });
                return Choice::Read(vec![(log(1), Reads { tree: tree.collect(), ..Reads::default() })]);
            }
        };
        let op = op(place.get()).raw().clone();
        let anchor = bounds.tip.extend(op.digest(), env(2).now);
        let logged = LoggedOp { seq: place, anchor, accepted_at: env(2).now, batch_rest: 0, op };
        let tree = TreeWrites {
            changes: committed.changes.clone(),
            revisions: committed.revisions.clone(),
            forgotten: Vec::new(),
        };
        let bounds = LogBounds { last: place, tip: anchor, ..bounds };
        Choice::Done(committed, Some(LogWrites { ops: vec![logged], tree, ..LogWrites::new(log(1), bounds) }.alone()))
    };
    block_on(store.decide(Scope::log(log(1), Reads::default()), rule)).unwrap()
}

fn counted<T>(store: &SqliteStore, call: impl FnOnce() -> T) -> u64 {
    let before = store.statements();
    call();
    store.statements() - before
}

fn list(store: &SqliteStore, asked: &NodeQuery) -> Result<NodePage, StoreError> {
    block_on(store.nodes(log(1), asked, 10))
}

/// `n1/` with this many folders `n2/`… and files in turn, a hundred to a folder.
fn fill(store: &SqliteStore, nodes: u64) {
    change(store, vec![folder(1, root(), 1)]).unwrap();
    for from in (0..nodes).step_by(10_000) {
        let made = (from..nodes.min(from + 10_000)).map(|number| {
            let parent = if number % 100 == 0 { node(1) } else { node(1_000 + number - number % 100) };
            folder(1_000 + number, parent, 2)
        });
        change(store, made.collect()).unwrap();
    }
}

#[test]
fn a_commit_takes_as_many_statements_an_op_however_many_ops_and_nodes_there_are() {
    let (_folder, store) = fresh();
    let most = u64::try_from(TREE_OPS_MAX).unwrap();
    let files =
        |from: u64, count: u64| (from..from + count).map(|number| create(number, node(1), Kind::File)).collect();
    decide(&store, vec![create(1, root(), Kind::Folder)]);
    let costs =
        |from: u64| [1, 2, most].map(|count| counted(&store, || decide(&store, files(from + count * 2_000, count))));
    let small = costs(10_000);
    for round in 0..10 {
        decide(&store, files(10_000_000 + round * most, most));
    }
    let large = costs(20_000_000);
    assert_eq!(small, large, "a tree of ten thousand nodes costs as much as one of ten");
    let [one, two, thousand] = large;
    assert_eq!(thousand - one, (most - 1) * (two - one), "every op costs as much as the one before");
    // Its id, its alias and its name are looked up; it is looked at before, written with its revision, and looked at again
    // with its folder and its depth.
    assert_eq!(two - one, 8);
    assert!(one <= 20, "a commit of one op takes {one} statements");
}

#[test]
fn a_folder_dies_comes_back_and_goes_without_its_nodes_being_loaded() {
    let costs = |nodes: u64| {
        let (folder, store) = fresh();
        fill(&store, nodes);
        // Whatever is below the folder no longer reads.
        let behind = Connection::open(folder.path().join("a.db")).unwrap();
        let damaged = behind.execute("UPDATE node SET body = x'00' WHERE changed = 2", []).unwrap();
        assert_eq!(u64::try_from(damaged).unwrap(), nodes);
        drop(behind);
        let delete = vec![TreeOp::Delete { node: node(1), seen: Seq::ZERO }];
        let mut verdicts = Vec::new();
        let dies = counted(&store, || verdicts.extend(decide(&store, delete).outcomes));
        let restore = vec![TreeOp::Restore { node: node(1), parent: None, name: None }];
        let lives = counted(&store, || verdicts.extend(decide(&store, restore).outcomes));
        let trash = list(&store, &NodeQuery::Trash { after: None }).unwrap();
        assert_eq!(trash.nodes, [], "nothing below it is a root of the trash");
        let delete = vec![TreeOp::Delete { node: node(1), seen: seq(2) }];
        verdicts.extend(decide(&store, delete).outcomes);
        assert!(verdicts.iter().all(|outcome| outcome.verdict == TreeVerdict::Done), "{verdicts:?}");
        let trash = list(&store, &NodeQuery::Trash { after: None }).unwrap();
        assert_eq!(trash.nodes.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [node(1)]);
        let goes = counted(&store, || change(&store, vec![Change::Purge { root: node(1) }]).unwrap());
        let left = list(&store, &NodeQuery::All { after: None }).unwrap();
        assert_eq!(left.nodes.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [root()]);
        [dies, lives, goes]
    };
    let (small, large) = (costs(10), costs(100_000));
    assert_eq!(small, large, "dies, comes back, goes");
    assert!(large.iter().all(|statements| *statements <= 20), "{large:?}");
}

#[test]
fn what_changed_below_is_found_from_whichever_end_is_nearer() {
    let (_folder, store) = fresh();
    fill(&store, 3_000);
    let below = |parent: u64, at: u64| (0..3).map(move |n| folder(100_000 + parent * 10 + n, node(parent), at));
    let apart = [folder(2, root(), 3), folder(3, root(), 3), folder(4, node(1_000), 3)];
    change(&store, apart.into_iter().chain(below(2, 2)).chain(below(3, 4)).chain(below(4, 5)).collect()).unwrap();
    let ask = |root: u64, after: u64, limit: usize| {
        let read = TreeRead::ChangedBelow { root: node(root), after: seq(after), by: replica(2), limit };
        let mut found = Vec::new();
        let statements = counted(&store, || {
            let reads = Reads { tree: vec![read.clone()], ..Reads::default() };
            let rule = |view: &View| Choice::Done(view.log(log(1)).tree.clone(), None);
            let loaded = block_on(store.decide(Scope::log(log(1), reads), rule)).unwrap();
            found = loaded.changed_below(node(root), seq(after), replica(2), limit).unwrap();
        });
        (found.len(), statements)
    };
    let far = TREE_UNSEEN_MAX + 1;
    for (root, after, limit, found) in [
        (2, 1, far, 3),
        (3, 3, far, 3),
        (1, 1, far, 3_004),
        (1, 1, 2, 2),
        (1, 2, far, 4),
        (1, 4, far, 3),
        (0, 1, far, 3_012),
        (4, 5, far, 0),
    ] {
        let (len, statements) = ask(root, after, limit);
        assert_eq!(len, found, "below {root} after {after}, {limit} of them");
        let paths = u64::try_from(found).unwrap() * 2 + 4;
        assert!(statements <= paths + 13, "below {root} after {after}: {statements} statements for {found}");
    }
}

#[test]
fn rows_of_a_tree_that_do_not_read_are_corrupt() {
    let damages = [
        "UPDATE node SET body = x'0100'",
        "UPDATE node SET body = (SELECT body FROM node WHERE id <> parent ORDER BY id LIMIT 1) WHERE parent <> x''",
        "UPDATE node SET parent = x'0102' WHERE parent <> x''",
        "UPDATE node SET dead = -1 WHERE parent <> x''",
        "UPDATE revision SET body = x'01'",
        "UPDATE revision SET seq = seq + 1",
    ];
    for damage in damages {
        let (folder, store) = fresh();
        decide(&store, vec![create(1, root(), Kind::File)]);
        let behind = Connection::open(folder.path().join("a.db")).unwrap();
        assert!(behind.execute(damage, []).unwrap() > 0, "{damage}");
        drop(behind);
        let error = if damage.contains("revision") {
            block_on(store.revisions(log(1), node(1), Seq::ZERO, 9)).map(drop)
        } else {
            list(&store, &NodeQuery::All { after: None }).map(drop)
        };
        assert_eq!(error.unwrap_err().kind(), StoreErrorKind::Corrupt, "{damage}");
    }
}

#[test]
fn a_tree_is_there_after_the_file_was_closed() {
    let (folder, store) = fresh();
    decide(&store, vec![create(1, root(), Kind::Folder), create(2, node(1), Kind::File)]);
    let before = list(&store, &NodeQuery::All { after: None }).unwrap();
    drop(store);
    let store = SqliteStore::open(SqliteOptions::new(folder.path().join("a.db"))).unwrap();
    assert_eq!(list(&store, &NodeQuery::All { after: None }).unwrap(), before);
    assert_eq!(before.nodes.len(), 3);
    assert_eq!(block_on(store.revisions(log(1), node(2), Seq::ZERO, 9)).unwrap().len(), 1);
}
