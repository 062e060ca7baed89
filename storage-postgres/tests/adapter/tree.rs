//! Trees of files: what commits cost, moves that race, and rows that do not read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use syncline::conformance::author::{Author, entity_subject};
use syncline::conformance::support::{env, log};
use syncline::decide::{Choice, LogWrites, Reads, Scope, TreeWrites, View};
use syncline::oplog::{Draft, LogBounds, LoggedOp, OpKind, Payload};
use syncline::store::{NodeQuery, Store as _, StoreErrorKind, StoreExt as _};
use syncline::tree::{
    Change, Commit, Committed, Content, Dropped, Kind, Label, Loaded, NamePolicy, Node, Room, Stamp, Stuck, Terms, To,
    TreeOp, TreeRead, TreeVerdict, TreeView as _, commit,
};
use syncline::{Digest, EntityId, OpId, Origin, ReplicaId, Seq, Timestamp};
use syncline_storage_postgres::{PostgresOptions, PostgresStore};

use crate::fresh;
use crate::stored::change;

const ROOT: EntityId = EntityId::from_bytes([0xaa; 16]);

fn id(number: u32) -> EntityId {
    let mut bytes = [0; 16];
    bytes[12..].copy_from_slice(&number.to_be_bytes());
    EntityId::from_bytes(bytes)
}

fn seq(number: u64) -> Seq {
    Seq::new(number).unwrap()
}

fn replica(number: u8) -> ReplicaId {
    ReplicaId::from_bytes([number; 16])
}

fn folder(number: u32, parent: EntityId) -> TreeOp {
    let name = format!("folder {number}");
    TreeOp::Create { node: id(number), parent, name, kind: Kind::Folder, content: None }
}

fn file(number: u32, parent: EntityId) -> TreeOp {
    let content = Content {
        blob: Digest::of(&[&number.to_be_bytes()]),
        bytes: number.into(),
        manifest: None,
        modified_at: Timestamp::default(),
        executable: false,
        attributes: None,
    };
    let name = format!("file {number}");
    TreeOp::Create { node: id(number), parent, name, kind: Kind::File, content: Some(content) }
}

/// To another folder than the one it was made in by commit `made`.
fn go(number: u32, to: EntityId, made: u64, seen: u64) -> TreeOp {
    let parent = Some(To { value: to, base: seq(made) });
    TreeOp::Move { node: id(number), parent, name: None, seen: seq(seen) }
}

fn delete(number: u32, seen: u64) -> TreeOp {
    TreeOp::Delete { node: id(number), seen: seq(seen) }
}

/// A store with a log whose first entries are these commits of one replica.
async fn planted(commits: Vec<Vec<TreeOp>>) -> (PostgresStore, String) {
    let (store, url) = fresh().await;
    let rule = |_: &View| {
        let bounds = LogBounds::new(log(1), Origin([3; 16]), env(1).now);
        let root = Node::root(Stamp { seq: seq(1), by: ReplicaId::SERVER });
        let changes = vec![Change::Node { id: ROOT, node: Box::new(root) }];
        let tree = TreeWrites { changes, ..TreeWrites::default() };
        Choice::Done((), Some(LogWrites { tree, ..LogWrites::new(log(1), bounds) }.alone()))
    };
    store.decide(Scope::log(log(1), Reads::default()), rule).await.unwrap();
    for ops in commits {
        push(&store, 1, ops).await;
    }
    (store, url)
}

/// Decides a commit and writes it as one entry of the log.
async fn push(store: &PostgresStore, by: u8, ops: Vec<TreeOp>) -> Committed {
    let (ops, label) = (Commit::new(ops).unwrap(), Label::new("D").unwrap());
    let rule = move |view: &View| {
        let seen = view.log(log(1));
        let bounds = seen.bounds.clone().unwrap();
        let terms = Terms {
            seq: bounds.last.next().unwrap(),
            replica: replica(by),
            label: &label,
            accepted_at: env(bounds.last.get()).now,
            root: ROOT,
            policy: NamePolicy::Strict,
            room: Room::ENDLESS,
        };
        match commit(&seen.tree, &terms, &ops) {
            Ok(committed) => {
                let writes = entry(bounds, &terms, &committed);
                Choice::Done(committed, Some(writes.alone()))
            }
            Err(stuck) => {
                let tree = stuck.into_iter().map(|stuck| match stuck {
                    Stuck::View(read) => read,
                    other => panic!("{other:?}"),
                });
                Choice::Read(vec![(log(1), Reads { tree: tree.collect(), ..Reads::default() })])
            }
        }
    };
    store.decide(Scope::log(log(1), Reads::default()), rule).await.unwrap()
}

fn entry(bounds: LogBounds, terms: &Terms<'_>, committed: &Committed) -> LogWrites {
    let changes = Payload::Plain(Change::to_bytes(&committed.changes));
    let draft = Author::new(9).draft(OpKind::Update, entity_subject("merge", 1), changes);
    let draft = Draft { id: OpId::from_bytes(u128::from(terms.seq.get()).to_be_bytes()), ..draft };
    let op = draft.seal().unwrap().raw().clone();
    let anchor = bounds.tip.extend(op.digest(), terms.accepted_at);
    let logged = LoggedOp { seq: terms.seq, anchor, accepted_at: terms.accepted_at, batch_rest: 0, op };
    let tree = TreeWrites {
        changes: committed.changes.clone(),
        revisions: committed.revisions.clone(),
        forgotten: Vec::new(),
    };
    let bounds = LogBounds { last: terms.seq, tip: anchor, ..bounds };
    LogWrites { ops: vec![logged], tree, ..LogWrites::new(log(1), bounds) }
}

async fn all(store: &PostgresStore) -> BTreeMap<EntityId, Node> {
    let page = store.nodes(log(1), &NodeQuery::All { after: None }, 100_000).await.unwrap();
    assert!(!page.more);
    page.nodes.into_iter().collect()
}

/// The statements of a commit that takes effect.
async fn counted(store: &PostgresStore, by: u8, ops: Vec<TreeOp>) -> u64 {
    let before = store.statements();
    let committed = push(store, by, ops).await;
    let statements = store.statements() - before;
    for outcome in committed.outcomes {
        let fine = matches!(outcome.verdict, TreeVerdict::Done | TreeVerdict::Partial(_));
        assert!(fine, "{:?}", outcome.verdict);
    }
    statements
}

/// Lock, tip of the log, two rounds of questions, op and revisions, nodes, look, commit; for deletes and restores one for
/// each kind of change, and one for each kind of question.
#[tokio::test]
async fn a_commit_of_a_thousand_ops_takes_as_many_statements_as_one_of_one() {
    const FILES: u32 = 10_000;
    let mut taken = BTreeMap::new();
    for size in [1, 1_000] {
        let many = || 0..size;
        let (store, _) = planted(vec![vec![folder(1, ROOT), folder(2, ROOT), folder(3, id(1))]]).await;
        let mut of = |what: &str, statements: u64| {
            taken.entry(what.to_owned()).or_insert_with(Vec::new).push(statements);
        };
        // Commit 2.
        of("files", counted(&store, 1, many().map(|n| file(FILES + n, id(3))).collect()).await);
        of("folders", counted(&store, 1, many().map(|n| folder(20_000 + n, id(2))).collect()).await);
        // Commit 4 to 7: folders with somebody else's file in each, a folder of folders.
        of("in each", counted(&store, 2, many().map(|n| file(30_000 + n, id(20_000 + n))).collect()).await);
        of("moves", counted(&store, 1, many().map(|n| go(FILES + n, id(1), 2, 4)).collect()).await);
        of("folders moved", counted(&store, 1, many().map(|n| go(20_000 + n, id(3), 3, 5)).collect()).await);
        of("unseen", counted(&store, 1, many().map(|n| delete(20_000 + n, 3)).collect()).await);
        of("deletes", counted(&store, 1, many().map(|n| delete(FILES + n, 7)).collect()).await);
        let restore = |n: u32| TreeOp::Restore { node: id(FILES + n), parent: None, name: None };
        of("restores", counted(&store, 1, many().map(restore).collect()).await);
        // Commit 10 and 11: what comes back and what dies take turns.
        of("every second", counted(&store, 1, many().step_by(2).map(|n| delete(FILES + n, 9)).collect()).await);
        let turns = many().map(|n| if n % 2 == 0 { restore(n) } else { delete(FILES + n, 10) });
        of("turns", counted(&store, 1, turns.collect()).await);
        of("all of it", counted(&store, 1, vec![delete(1, 11)]).await);
        assert!(
            all(&store).await.values().filter(|node| node.dead.is_none()).count() <= 2 + 2,
            "the root and one folder"
        );
    }
    for (what, statements) in taken {
        assert_eq!(statements[0], statements[1], "{what}: {statements:?}");
        assert!(statements[0] <= 10, "{what}: {statements:?}");
    }
}

/// Each takes its folder into what is below the other's. Whoever comes first may; the other is told that it cannot.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moves_that_cross_on_two_servers_never_close_a_circle() {
    const RACES: u32 = 1_000;
    let four = |race: u32| {
        let (a, b) = (4 * race, 4 * race + 1);
        [folder(a, ROOT), folder(b, ROOT), folder(a + 2, id(a)), folder(b + 2, id(b))]
    };
    let commits: Vec<Vec<u32>> = (1..=RACES).collect::<Vec<_>>().chunks(250).map(<[u32]>::to_vec).collect();
    let commits: Vec<Vec<TreeOp>> =
        commits.iter().map(|races| races.iter().copied().flat_map(four).collect()).collect();
    let made = |race: u32| u64::from((race - 1) / 250 + 1);
    let (one, url) = planted(commits).await;
    let other = PostgresStore::connect(&PostgresOptions::new(&*url)).await.unwrap();
    let servers = [Arc::new(one), Arc::new(other)];
    let mut won = BTreeSet::new();
    for race in 1..=RACES {
        let go_below = |which: u32| {
            let (store, at) = (Arc::clone(&servers[usize::try_from(which).unwrap()]), made(race));
            let op = go(4 * race + which, id(4 * race + 3 - which), at, at);
            tokio::spawn(async move { push(&store, 1 + u8::try_from(which).unwrap(), vec![op]).await })
        };
        // Who begins changes, so that neither server is always the first.
        let begins = race % 2;
        let (first, second) = (go_below(begins), go_below(1 - begins));
        let (first, second) = (first.await.unwrap(), second.await.unwrap());
        let verdicts = [&first.outcomes[0].verdict, &second.outcomes[0].verdict];
        let circle = TreeVerdict::Partial(vec![Dropped::Circle]);
        match verdicts.map(|verdict| *verdict == TreeVerdict::Done) {
            [true, false] => assert_eq!(*verdicts[1], circle, "race {race}"),
            [false, true] => assert_eq!(*verdicts[0], circle, "race {race}"),
            _ => panic!("race {race}: {verdicts:?}"),
        }
        won.insert(if *verdicts[0] == TreeVerdict::Done { begins } else { 1 - begins });
    }
    assert_eq!(won.len(), 2, "each server was the first once");
    let nodes = all(&servers[0]).await;
    assert_eq!(nodes.len(), 1 + 4 * usize::try_from(RACES).unwrap());
    for id in nodes.keys() {
        let above = std::iter::successors(Some(*id), |id| nodes[id].parent);
        assert_eq!(above.take(6).last(), Some(ROOT), "{id} hangs on the root");
    }
}

/// From what changed where little did; else from the folder, once it is more than ten thousand nodes.
#[tokio::test]
async fn what_changed_below_a_folder_is_found_however_much_changed_elsewhere() {
    let (store, _) = planted(vec![vec![folder(1, ROOT), folder(2, ROOT), folder(3, id(1))]]).await;
    push(&store, 2, vec![file(4, id(3)), file(5, id(2))]).await;
    push(&store, 1, vec![file(6, id(3))]).await;
    let below = |root: EntityId, limit| TreeRead::ChangedBelow { root, after: seq(1), by: replica(1), limit };
    let questions = [below(id(1), 9), below(id(3), 9), below(ROOT, 2), below(id(4), 9)];
    for elsewhere in 0..=10 {
        let before = store.statements();
        let loaded = ask(&store, questions.to_vec()).await.unwrap();
        assert!(store.statements() - before <= 6, "with {elsewhere} thousand changes");
        let found = |root, limit| loaded.changed_below(root, seq(1), replica(1), limit).unwrap();
        assert_eq!(found(id(1), 9), [id(4)], "with {elsewhere} thousand changes");
        assert_eq!(found(id(3), 9), [id(4)], "with {elsewhere} thousand changes");
        assert_eq!(found(ROOT, 2).len(), 2, "with {elsewhere} thousand changes");
        assert_eq!(found(id(4), 9), [], "with {elsewhere} thousand changes");
        push(&store, 2, (0..1_000).map(|n| file(10_000 + 1_000 * elsewhere + n, id(2))).collect()).await;
    }
}

#[tokio::test]
async fn nodes_that_do_not_read_are_corrupt() {
    let harms = [
        "UPDATE node SET name = '\\xff' WHERE parent IS NOT NULL",
        "UPDATE node SET name = 'a/b' WHERE parent IS NOT NULL",
        "UPDATE node SET kind = 9 WHERE kind = 0",
        "UPDATE node SET kind = 3 WHERE kind = 0",
        "UPDATE node SET blob = NULL WHERE kind = 0",
        "UPDATE node SET blob = '\\x00' WHERE kind = 0",
        "UPDATE node SET bytes = NULL WHERE kind = 0",
        "UPDATE node SET name_by = '\\x00' WHERE kind = 0",
        "UPDATE node SET created = -1 WHERE kind = 0",
        "UPDATE node SET name = 'root' WHERE parent IS NULL",
    ];
    let asked = || vec![TreeRead::Node(id(2))];
    for harm in harms {
        let (store, url) = planted(vec![vec![folder(1, ROOT), file(2, id(1))]]).await;
        change(&url, harm).await;
        let listed = store.nodes(log(1), &NodeQuery::All { after: None }, 9).await.unwrap_err();
        assert_eq!(listed.kind(), StoreErrorKind::Corrupt, "{harm}");
        assert_eq!(ask(&store, asked()).await.err(), Some(StoreErrorKind::Corrupt), "{harm}");
    }
    let (store, url) = planted(vec![vec![folder(1, ROOT), file(2, id(1))]]).await;
    change(&url, "DELETE FROM node WHERE kind = 1 AND parent IS NOT NULL").await;
    assert_eq!(ask(&store, asked()).await.err(), Some(StoreErrorKind::Corrupt), "a folder that is lost");
    change(&url, "UPDATE revision SET reason = 9").await;
    let listed = store.revisions(log(1), id(2), Seq::ZERO, 9).await.unwrap_err();
    assert_eq!(listed.kind(), StoreErrorKind::Corrupt);
}

async fn ask(store: &PostgresStore, tree: Vec<TreeRead>) -> Result<Loaded, StoreErrorKind> {
    let reads = Reads { tree, ..Reads::default() };
    let rule = |view: &View| Choice::Done(view.log(log(1)).tree.clone(), None);
    store.decide(Scope::log(log(1), reads), rule).await.map_err(|error| error.kind())
}
