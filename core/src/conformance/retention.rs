//! What trees keep of the past, through a server over the store: commits at random times, passes of retention, purges by
//! hand and sweeps between them.
//!
//! What is held against each other after each step: what lives before and after a pass, the references of each blob and the
//! revisions that are kept, how many nodes there are said to be and are, and that every newest content can be read.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::support::{env, log, schema};
use super::tree_runs::Dice;
use super::tree_world::{all, begin, id, list, plant, revision, seq, try_write};
use crate::access::Caller;
use crate::call::{Call, Commit, Committed, ErrorCode, Purged, Reply};
use crate::decide::{Choice, NewTerms, Reads, Scope, TREE_ROOT, TreeWrites, View, blob_notes, blob_of};
use crate::digest::{BlobId, Digest};
use crate::id::{EntityId, LogKey, OpId, ReplicaId};
use crate::limits::{self, REVISIONS_READ_MAX};
use crate::seq::Seq;
use crate::server::Server;
use crate::store::{ByteRange, BytesSource, MemoryBlobs, MemoryFanout, NodeQuery, Store, StoreExt};
use crate::time::{Env, Timestamp};
use crate::tree::{
    self, Change, Content, Kind, Label, NamePolicy, Node, Reason, Retention, Revision, To, TreeOp, is_trash_root,
};

const RUNS: u64 = 4;
const STEPS: u64 = 40;
const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

/// Of each file that was asked for the oldest, whatever the others have; what is not there has none.
pub async fn a_decision_is_told_of_the_oldest_revisions(store: Arc<dyn Store>) {
    plant(&*store, log(1), Vec::new()).await;
    let many = REVISIONS_READ_MAX as u64;
    let of = |node: u8, count: u64| (1..=count).map(move |at| revision(id(node), at)).collect::<Vec<_>>();
    let revisions = [of(1, many + 1), of(2, 3), of(4, many)].concat();
    assert_eq!(try_write(&*store, log(1), TreeWrites { revisions, ..TreeWrites::default() }).await, None);
    begin(&*store, log(2)).await;
    for (log_of, counts) in [(log(1), [many, 3, 0, many]), (log(2), [0; 4]), (log(3), [0; 4])] {
        let revisions = vec![id(4), id(1), id(2), id(3), id(1)];
        let reads = Reads { revisions, ..Reads::default() };
        let rule = move |view: &View| Choice::Done(view.log(log_of).revisions.clone(), None);
        let found: BTreeMap<EntityId, Vec<Revision>> = store.decide(Scope::log(log_of, reads), rule).await.unwrap();
        let expected = (1..=4).zip(counts).map(|(node, count)| (id(node), of(node, count))).collect();
        assert_eq!(found, expected);
    }
}

/// Dead or alive; itself, when nothing is below it.
pub async fn leaves_are_what_has_nothing_in_it(store: Arc<dyn Store>) {
    use super::tree_world::{ROOT, change, file, folder, put};
    let nodes = vec![
        (id(1), folder(ROOT, "d", 2)),
        (id(2), folder(id(1), "e", 3)),
        (id(3), file(id(2), "x", 4)),
        (id(4), file(id(1), "y", 5)),
        (id(5), folder(id(1), "empty", 6)),
    ];
    plant(&*store, log(1), nodes).await;
    plant(&*store, log(2), vec![(id(6), folder(ROOT, "other", 2))]).await;
    let gone = Change::Tombstone { root: id(2), group: seq(7), kept: Vec::new(), whole: Vec::new() };
    change(&*store, log(1), vec![gone]).await;
    let ids = async |of, limit| {
        let page = store.nodes(log(1), &NodeQuery::Leaves { of }, limit).await.unwrap();
        (page.nodes.iter().map(|(id, _)| *id).collect::<Vec<_>>(), page.more)
    };
    assert_eq!(ids(ROOT, 9).await, (vec![id(3), id(4), id(5)], false));
    assert_eq!(ids(id(2), 9).await, (vec![id(3)], false));
    assert_eq!(ids(id(3), 9).await, (vec![id(3)], false));
    assert_eq!(ids(id(6), 9).await, (Vec::new(), false));
    let (some, more) = ids(ROOT, 2).await;
    assert!(more && some.len() == 2 && some.iter().all(|id| [3, 4, 5].map(super::tree_world::id).contains(id)));
    change(&*store, log(1), vec![put(id(7), folder(id(5), "f", 8))]).await;
    assert_eq!(ids(id(1), 9).await, (vec![id(3), id(4), id(7)], false));
}

/// A server over the store, and a clock that is moved by hand.
struct World {
    server: Server,
    store: Arc<dyn Store>,
    log: LogKey,
    dice: Dice,
    now: u64,
    minted: u32,
    nodes: Vec<(EntityId, Node)>,
}

fn bytes(value: u64) -> Bytes {
    Bytes::from(format!("content {value}"))
}

fn content(value: u64) -> Content {
    let bytes = bytes(value);
    let attributes = (value == 3).then(|| Digest::of(&[&self::bytes(0)]));
    let (blob, modified_at) = (Digest::of(&[&bytes]), Timestamp::default());
    Content { blob, bytes: bytes.len() as u64, manifest: None, modified_at, executable: false, attributes }
}

impl World {
    async fn new(store: Arc<dyn Store>, run: u64) -> Self {
        let server = Server::new(Arc::clone(&store), Arc::new(MemoryFanout::new()), schema());
        let server = server.with_blobs(Arc::new(MemoryBlobs::new()));
        let log = log(u8::try_from(run + 1).unwrap());
        begin(&*store, log).await;
        let dice = Dice((run + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mut world = Self { server, store, log, dice, now: 0, minted: 0, nodes: Vec::new() };
        let retention = Retention { version_days: 30, max_versions: 5, tombstone_days: 3 };
        let terms = NewTerms { names: NamePolicy::Strict, file_bytes_max: 1_000, nodes_max: 1_000, retention };
        let env = world.env();
        let set = world.server.handle(&world.caller(), Call::SetTreeTerms { log: log.log, terms }, env).await;
        assert!(matches!(set, Ok(Reply::TreeTerms(_))), "{set:?}");
        world
    }

    fn env(&mut self) -> Env {
        self.now += 1;
        env(self.now)
    }

    fn mint(&mut self) -> EntityId {
        self.minted += 1;
        let mut id = [0; 16];
        // Folders come before and behind what is in them.
        id[0] = u8::try_from(self.minted.wrapping_mul(37) % 251).unwrap();
        id[12..].copy_from_slice(&self.minted.to_be_bytes());
        EntityId::from_bytes(id)
    }

    fn caller(&self) -> Caller {
        Caller::operator(self.log.bucket)
    }

    async fn look(&mut self) {
        self.nodes = all(&*self.store, self.log).await;
    }

    fn live(&self) -> Vec<(EntityId, Node)> {
        self.nodes.iter().filter(|(_, node)| node.dead.is_none()).cloned().collect()
    }

    fn some(&mut self, is: impl Fn(&Node) -> bool) -> Option<(EntityId, Node)> {
        let found: Vec<_> = self.nodes.iter().filter(|(id, node)| *id != TREE_ROOT && is(node)).cloned().collect();
        if found.is_empty() { None } else { Some(self.dice.pick(&found)) }
    }

    fn folder(&mut self) -> EntityId {
        let found = self.some(|node| node.is_folder() && node.dead.is_none());
        found.filter(|_| self.dice.below(4) > 0).map_or(TREE_ROOT, |(id, _)| id)
    }

    fn op(&mut self) -> Option<TreeOp> {
        let last = self.nodes.iter().map(|(_, node)| node.name_stamp.seq.max(node.content_stamp.seq)).max();
        let seen = last.unwrap_or(Seq::ZERO);
        let name = format!("n{}", self.dice.below(30));
        Some(match self.dice.below(10) {
            0 | 1 => {
                let (node, parent) = (self.mint(), self.folder());
                TreeOp::Create { node, parent, name, kind: Kind::Folder, content: None }
            }
            2 | 3 => {
                let (node, parent, content) = (self.mint(), self.folder(), Some(content(self.dice.below(5))));
                TreeOp::Create { node, parent, name, kind: Kind::File, content }
            }
            4..=6 => {
                let (node, found) = self.some(|node| node.kind == Kind::File)?;
                let (content, copy) = (content(self.dice.below(5)), self.mint());
                TreeOp::Put { node, content, base: found.content_stamp.seq, seen, copy, reason: Reason::Put }
            }
            7 => {
                let (node, found) = self.some(|node| node.dead.is_none())?;
                let parent = Some(To { value: self.folder(), base: found.parent_stamp.seq });
                TreeOp::Move { node, parent, name: None, seen }
            }
            8 => TreeOp::Delete { node: self.some(|node| node.dead.is_none())?.0, seen },
            _ => TreeOp::Restore { node: self.some(|node| node.dead.is_some())?.0, parent: None, name: None },
        })
    }

    async fn commit(&mut self) {
        let Some(op) = self.op() else { return };
        for value in 0..5 {
            let (caller, env, mut body) = (self.caller(), self.env(), BytesSource::new(bytes(value)));
            let named = (content(value).blob, content(value).bytes);
            self.server.put_blob(&caller, self.log.log, named, &mut body, env).await.expect("stored");
        }
        let env = self.env();
        let commit = Commit {
            log: self.log.log,
            id: OpId::from_bytes(env.uuid7("commit")),
            replica: ReplicaId::from_bytes([1 + u8::try_from(self.dice.below(2)).unwrap(); 16]),
            label: Label::new("D").unwrap(),
            ops: Arc::new(tree::Commit::new(vec![op]).unwrap()),
        };
        let reply = self.server.handle(&self.caller(), Call::Commit(commit), env).await.expect("an answer");
        assert!(matches!(reply, Reply::Committed(Committed::Done { .. })), "{reply:?}");
        self.look().await;
    }

    /// Passes until nothing is left to do.
    async fn retain(&mut self) -> usize {
        let (mut after, mut purged) = (None, 0);
        loop {
            let (limit, env) = (usize::try_from(1 + self.dice.below(9)).unwrap(), self.env());
            let (done, next) = self.server.retain_tree(self.log, after, limit, env).await.expect("a pass");
            purged += done.purged;
            match next {
                Some(_) => after = next,
                None => return purged,
            }
        }
    }

    async fn purge(&mut self) {
        let parents: BTreeMap<EntityId, Node> = self.nodes.iter().cloned().collect();
        let parent = |node: &Node| node.parent.and_then(|parent| parents.get(&parent));
        let Some((root, node)) = self.some(|node| is_trash_root(node, parent(node)) || chance(node)) else {
            return;
        };
        let env = self.env();
        let outcome = self.server.handle(&self.caller(), Call::PurgeTrash { log: self.log.log, node: root }, env).await;
        match outcome {
            Ok(Reply::Purged(Purged { nodes, more: false })) => assert!(node.dead.is_some() && nodes > 0),
            Err(refusal) => assert!(node.dead.is_none() && refusal.code == ErrorCode::NotInTrash, "{refusal}"),
            other => panic!("{other:?}"),
        }
    }

    async fn sweep(&mut self) {
        let mut after = None;
        loop {
            let env = self.env();
            let (_, next) = self.server.sweep_blobs(self.log, after, 3, env).await.expect("swept");
            match next {
                Some(_) => after = next,
                None => return,
            }
        }
    }

    /// What is referred to is what is kept, and what is newest can be read.
    async fn check(&mut self, place: &str) {
        self.look().await;
        let mut referred: BTreeMap<BlobId, u64> = BTreeMap::new();
        for (id, node) in self.nodes.clone() {
            let kept = self.store.revisions(self.log, id, Seq::ZERO, 1_000).await.expect("revisions");
            assert_eq!(kept.last().map(|revision| revision.content), node.content, "{place}: the newest of {id}");
            for revision in &kept {
                for blob in [Some(revision.content.blob), revision.content.attributes].into_iter().flatten() {
                    *referred.entry(blob).or_default() += 1;
                }
            }
            if let Some(content) = node.content {
                let (caller, range) = (self.caller(), ByteRange::default());
                let read = self.server.open_blob(&caller, self.log.log, content.blob, range).await;
                assert!(read.is_ok(), "{place}: the content of {id}");
            }
        }
        let notes = self.store.heads(self.log, &blob_notes(), None, 1_000).await.expect("notes");
        let records = notes.heads.iter().filter_map(|(_, head)| blob_of(Some(head)).expect("reads"));
        let counted = records.filter(|record| record.references > 0).map(|record| (record.blob, record.references));
        assert_eq!(counted.collect::<BTreeMap<_, _>>(), referred, "{place}: references");
        let env = self.env();
        let terms = self.server.handle(&self.caller(), Call::TreeTerms(self.log.log), env).await.expect("terms");
        let Reply::TreeTerms(terms) = terms else { panic!("{terms:?}") };
        assert_eq!(terms.nodes, self.nodes.len() as u64, "{place}: nodes");
    }
}

/// Live nodes now and then.
fn chance(node: &Node) -> bool {
    node.dead.is_none() && node.created.get().is_multiple_of(7)
}

/// Nor anything that is referred to; and in the end everything that was deleted is gone, and its bytes.
pub async fn no_retention_takes_what_lives(store: Arc<dyn Store>) {
    for run in 0..RUNS {
        let mut world = World::new(Arc::clone(&store), run).await;
        for step in 0..STEPS {
            let place = format!("run {run}, step {step}");
            for _ in 0..=world.dice.below(4) {
                world.commit().await;
                world.now += world.dice.pick(&[1, 40_000, HOUR, DAY, 9 * DAY]);
            }
            world.look().await;
            let live = world.live();
            match world.dice.below(5) {
                0 => world.purge().await,
                1 => world.sweep().await,
                _ => drop(world.retain().await),
            }
            world.check(&place).await;
            assert_eq!(world.live(), live, "{place}: what lives");
        }
        world.now += 91 * DAY;
        while world.retain().await > 0 {}
        let trash = list(&*store, world.log, NodeQuery::Trash { after: None }, 9).await;
        assert_eq!(trash, [], "run {run}: what was deleted is gone");
        for _ in 0..4 {
            world.now += limits::BLOB_LEASE_MS.max(limits::BLOB_GRACE_MS) + 1;
            world.sweep().await;
        }
        world.check(&format!("run {run}, in the end")).await;
        let notes = store.heads(world.log, &blob_notes(), None, 100).await.expect("notes");
        let referred = |(_, head)| blob_of(Some(head)).expect("reads").is_none_or(|record| record.references > 0);
        assert!(notes.heads.iter().map(|(key, head)| (key, head)).all(referred), "run {run}: bytes are left");
    }
}
