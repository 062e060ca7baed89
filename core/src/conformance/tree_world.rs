//! What the cases of trees share: a log with a tree, commits into it, and what is read of it.

use super::author::{Author, entity_subject};
use super::support::env;
use crate::decide::{Choice, LogWrites, Reads, Scope, TreeWrites, View};
use crate::digest::Digest;
use crate::id::{EntityId, LogKey, OpId, ReplicaId};
use crate::oplog::{Draft, LogBounds, LoggedOp, OpKind, Payload};
use crate::seq::{Origin, Seq};
use crate::store::{NodePage, NodeQuery, Store, StoreErrorKind, StoreExt};
use crate::time::Timestamp;
use crate::tree::{
    Change, Commit, Committed, Content, Kind, Label, Loaded, Name, NamePolicy, Node, Reason, Revision, Room, Stamp,
    Stuck, Terms, TreeOp, TreeRead, commit,
};

/// The root of every tree here: an id between those of other nodes.
pub(super) const ROOT: EntityId = EntityId::from_bytes([0x60; 16]);

pub(super) fn id(number: u8) -> EntityId {
    EntityId::from_bytes([number; 16])
}

pub(super) fn seq(number: u64) -> Seq {
    Seq::new(number).expect("in range")
}

pub(super) fn replica(number: u8) -> ReplicaId {
    ReplicaId::from_bytes([number; 16])
}

pub(super) fn stamp(at: u64, by: u8) -> Stamp {
    Stamp { seq: seq(at), by: replica(by) }
}

pub(super) fn content(value: u64) -> Content {
    let digest = |what: &[u8]| Digest::of(&[what, &value.to_be_bytes()]);
    Content {
        blob: digest(b"blob"),
        bytes: value,
        manifest: value.is_multiple_of(3).then(|| digest(b"manifest")),
        modified_at: Timestamp::from_ms(value).expect("in range"),
        executable: value.is_multiple_of(2),
        attributes: value.is_multiple_of(5).then(|| digest(b"attributes")),
    }
}

pub(super) fn name(typed: &str) -> Name {
    Name::new(typed, NamePolicy::Lenient).expect("a good name")
}

/// A folder as commit `at` made it.
pub(super) fn folder(parent: EntityId, typed: &str, at: u64) -> Node {
    Node { parent: Some(parent), name: name(typed), ..Node::root(stamp(at, 1)) }
}

/// A file as commit `at` made it.
pub(super) fn file(parent: EntityId, typed: &str, at: u64) -> Node {
    Node { kind: Kind::File, content: Some(content(at)), ..folder(parent, typed, at) }
}

pub(super) fn put(id: EntityId, node: Node) -> Change {
    Change::Node { id, node: Box::new(node) }
}

pub(super) fn revision(node: EntityId, at: u64) -> Revision {
    let base = seq(at - 1);
    Revision {
        node,
        seq: seq(at),
        content: content(at),
        by: replica(2),
        accepted_at: env(at).now,
        base: (base != Seq::ZERO).then_some(base),
        reason: if at.is_multiple_of(2) { Reason::Put } else { Reason::Restore },
    }
}

/// Makes a log, without a tree.
pub(super) async fn begin(store: &dyn Store, log: LogKey) {
    let rule = move |_: &View| {
        let bounds = LogBounds::new(log, Origin([3; 16]), env(1).now);
        Choice::Done((), Some(LogWrites::new(log, bounds).alone()))
    };
    store.decide(Scope::log(log, Reads::default()), rule).await.expect("a log");
}

/// Makes a log with a tree of its root and these nodes.
pub(super) async fn plant(store: &dyn Store, log: LogKey, nodes: Vec<(EntityId, Node)>) {
    begin(store, log).await;
    let root = put(ROOT, Node::root(stamp(1, 1)));
    let changes = std::iter::once(root).chain(nodes.into_iter().map(|(id, node)| put(id, node))).collect();
    change(store, log, changes).await;
}

/// The same changes to a tree; what kind of error they end with.
pub(super) async fn try_write(store: &dyn Store, log: LogKey, tree: TreeWrites) -> Option<StoreErrorKind> {
    let rule = move |view: &View| {
        let bounds = view.log(log).bounds.clone().expect("the log exists");
        Choice::Done((), Some(LogWrites { tree: tree.clone(), ..LogWrites::new(log, bounds) }.alone()))
    };
    store.decide(Scope::log(log, Reads::default()), rule).await.err().map(|error| error.kind())
}

/// Writes changes that make a tree.
pub(super) async fn change(store: &dyn Store, log: LogKey, changes: Vec<Change>) {
    let tree = TreeWrites { changes, ..TreeWrites::default() };
    assert_eq!(try_write(store, log, tree).await, None);
}

/// What a decision reads of a tree.
pub(super) async fn ask(store: &dyn Store, log: LogKey, tree: Vec<TreeRead>) -> Loaded {
    let reads = Reads { tree, ..Reads::default() };
    let rule = move |view: &View| Choice::Done(view.log(log).tree.clone(), None);
    store.decide(Scope::log(log, reads), rule).await.expect("answers")
}

/// A listing, read in pages of `limit`, whose end is that of the log.
pub(super) async fn list(store: &dyn Store, log: LogKey, asked: NodeQuery, limit: usize) -> Vec<(EntityId, Node)> {
    let end = store.bounds(log).await.expect("bounds").map(|bounds| bounds.end());
    let (mut asked, mut found) = (asked, Vec::new());
    loop {
        let NodePage { nodes, more, end: read_at } = store.nodes(log, &asked, limit).await.expect("a page");
        assert_eq!(read_at, end, "a listing says where the log ended");
        assert!(nodes.len() == limit || !more && nodes.len() < limit, "a page is full while there are more");
        if let Some((id, node)) = nodes.last() {
            asked = match asked {
                NodeQuery::All { .. } => NodeQuery::All { after: Some(*id) },
                NodeQuery::Trash { .. } => NodeQuery::Trash { after: Some(*id) },
                NodeQuery::Children { of, .. } => NodeQuery::Children { of, after: Some(node.name.key()) },
                NodeQuery::One(id) => NodeQuery::One(id),
                NodeQuery::Leaves { .. } => unreachable!("which leaves come is the store's choice"),
            };
        }
        found.extend(nodes);
        if !more {
            return found;
        }
    }
}

/// All nodes, live and dead.
pub(super) async fn all(store: &dyn Store, log: LogKey) -> Vec<(EntityId, Node)> {
    list(store, log, NodeQuery::All { after: None }, 100).await
}

/// The ids of those that live, the root aside.
pub(super) async fn live(store: &dyn Store, log: LogKey) -> Vec<EntityId> {
    let all = all(store, log).await.into_iter();
    all.filter(|(id, node)| *id != ROOT && node.dead.is_none()).map(|(id, _)| id).collect()
}

/// Decides a commit in a store's rounds and writes it as one op of the log.
pub(super) async fn decide_commit(
    store: &dyn Store,
    log: LogKey,
    by: u8,
    ops: Vec<TreeOp>,
) -> Result<Committed, StoreErrorKind> {
    let ops = Commit::new(ops).expect("a few ops");
    let label = Label::new("D").expect("a good label");
    let rule = move |view: &View| {
        let seen = view.log(log);
        let bounds = seen.bounds.clone().expect("the log exists");
        let terms = Terms {
            seq: bounds.last.next().expect("a short log"),
            replica: replica(by),
            label: &label,
            accepted_at: env(bounds.last.get()).now,
            root: ROOT,
            policy: NamePolicy::Strict,
            room: Room::ENDLESS,
        };
        match commit(&seen.tree, &terms, &ops) {
            Ok(committed) => {
                let writes = entry(log, bounds, &committed, terms.accepted_at);
                Choice::Done(committed, Some(writes.alone()))
            }
            Err(stuck) => {
                let tree = stuck.into_iter().map(|stuck| match stuck {
                    Stuck::View(read) => read,
                    Stuck::Damaged(id) => unreachable!("the path of {id} is damaged"),
                });
                Choice::Read(vec![(log, Reads { tree: tree.collect(), ..Reads::default() })])
            }
        }
    };
    store.decide(Scope::log(log, Reads::default()), rule).await.map_err(|error| error.kind())
}

/// An entry of the log with what comes of a commit.
fn entry(log: LogKey, bounds: LogBounds, committed: &Committed, at: Timestamp) -> LogWrites {
    let seq = bounds.last.next().expect("a short log");
    let changes = Payload::Plain(Change::to_bytes(&committed.changes));
    let draft = Author::new(9).draft(OpKind::Update, entity_subject("merge", 1), changes);
    let draft = Draft { id: OpId::from_bytes(u128::from(seq.get()).to_be_bytes()), ..draft };
    let op = draft.seal().expect("a good draft").raw().clone();
    let anchor = bounds.tip.extend(op.digest(), at);
    let logged = LoggedOp { seq, anchor, accepted_at: at, batch_rest: 0, op };
    let tree = TreeWrites {
        changes: committed.changes.clone(),
        revisions: committed.revisions.clone(),
        forgotten: Vec::new(),
    };
    LogWrites { ops: vec![logged], tree, ..LogWrites::new(log, LogBounds { last: seq, tip: anchor, ..bounds }) }
}
