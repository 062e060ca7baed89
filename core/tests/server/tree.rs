//! A tree of files through a server over memory: commits with what they refer to, listings, and repeats.

use std::sync::Arc;

use bytes::Bytes;
use syncline::access::Caller;
use syncline::blob::Usage;
use syncline::call::{Call, Commit, Committed, ErrorCode, Refusal, Reply};
use syncline::conformance::support::log;
use syncline::decide::TREE_ROOT;
use syncline::digest::Digest;
use syncline::store::{BytesSource, Interest, MemoryBlobs, NodePage, NodeQuery, PageLimit, Signal};
use syncline::tree::{
    self, Answer, Content, Dropped, Entry, Kind, Label, MemoryTree, Node, Reason, Revision, To, TreeOp, TreeVerdict,
};
use syncline::{EntityId, OpId, ReplicaId, Seq, Timestamp, limits};

use super::common::{poll_to_end, seq};
use super::{LOG, World, operator};

pub(crate) struct Drive {
    pub(crate) world: World,
    commits: u8,
}

pub(crate) const fn id(number: u8) -> EntityId {
    EntityId::from_bytes([number; 16])
}

pub(crate) fn content(text: &str) -> Content {
    Content {
        blob: Digest::of(&[text.as_bytes()]),
        bytes: text.len() as u64,
        manifest: None,
        modified_at: Timestamp::default(),
        executable: false,
        attributes: None,
    }
}

pub(crate) fn file(node: u8, parent: EntityId, name: &str, text: &str) -> TreeOp {
    TreeOp::Create { node: id(node), parent, name: name.into(), kind: Kind::File, content: Some(content(text)) }
}

pub(crate) fn folder(node: u8, parent: EntityId, name: &str) -> TreeOp {
    TreeOp::Create { node: id(node), parent, name: name.into(), kind: Kind::Folder, content: None }
}

pub(crate) fn put(node: u8, text: &str, base: u64, copy: u8) -> TreeOp {
    TreeOp::Put {
        node: id(node),
        content: content(text),
        base: seq(base),
        seen: seq(base),
        copy: id(copy),
        reason: Reason::Put,
    }
}

impl Drive {
    pub(crate) fn new() -> Self {
        let mut world = World::new();
        world.server = world.server.clone().with_blobs(Arc::new(MemoryBlobs::new()));
        world.call(Call::CreateLog { log: LOG.log, sealing: syncline::oplog::Sealing::default() });
        Self { world, commits: 0 }
    }

    fn send(&self, text: &str) {
        let bytes = Bytes::from(text.to_owned());
        let named = (Digest::of(&[&bytes]), bytes.len() as u64);
        let (operator, mut body) = (operator(), BytesSource::new(bytes));
        let put = self.world.server.put_blob(&operator, LOG.log, named, &mut body, self.world.env());
        poll_to_end(put).expect("stored");
    }

    pub(crate) fn send_all(&self, texts: &[&str]) {
        texts.iter().for_each(|text| self.send(text));
    }

    pub(crate) fn commit_of(&mut self, device: u8, ops: Vec<TreeOp>) -> Commit {
        self.commits += 1;
        Commit {
            log: LOG.log,
            id: OpId::from_bytes([self.commits; 16]),
            replica: ReplicaId::from_bytes([device; 16]),
            label: Label::new(&format!("device {device}")).expect("a label"),
            ops: Arc::new(tree::Commit::new(ops).expect("a commit")),
        }
    }

    fn ask(&self, commit: Commit) -> Result<Committed, Refusal> {
        match self.world.ask(&operator(), Call::Commit(commit))? {
            Reply::Committed(committed) => Ok(committed),
            other => panic!("{other:?}"),
        }
    }

    /// Commits what is there; the verdicts.
    pub(crate) fn does(&mut self, device: u8, ops: Vec<TreeOp>) -> (Option<u64>, Vec<TreeVerdict>) {
        let commit = self.commit_of(device, ops);
        match self.ask(commit).expect("an answer") {
            Committed::Done { seq, answers, .. } => {
                (seq.map(Seq::get), answers.into_iter().map(|answer| answer.verdict).collect())
            }
            other => panic!("{other:?}"),
        }
    }

    fn nodes(&self, asked: NodeQuery) -> NodePage {
        match self.world.call(Call::Nodes { log: LOG.log, asked, limit: 100 }) {
            Reply::Nodes(page) => page,
            other => panic!("{other:?}"),
        }
    }

    fn names(&self, of: EntityId) -> Vec<String> {
        let page = self.nodes(NodeQuery::Children { of, after: None });
        page.nodes.iter().map(|(_, node)| node.name.as_str().to_owned()).collect()
    }

    fn revisions(&self, node: u8) -> Vec<Revision> {
        match self.world.call(Call::Revisions { log: LOG.log, node: id(node), after: Seq::ZERO, limit: 100 }) {
            Reply::Revisions(revisions) => revisions,
            other => panic!("{other:?}"),
        }
    }

    /// The tree as a reader of the log puts it together.
    fn read(&self) -> MemoryTree {
        let Reply::Pulled(page) =
            self.world.call(Call::Pull { log: LOG.log, cursor: syncline::Cursor::START, limit: PageLimit::default() })
        else {
            panic!("no page");
        };
        let mut tree: Option<MemoryTree> = None;
        for op in &page.ops {
            let op = op.op.read().expect("an op");
            let syncline::oplog::Payload::Plain(bytes) = op.payload() else { panic!("a payload of another kind") };
            let entry = Entry::from_bytes(bytes.clone()).expect("an entry");
            tree = Some(match (tree, entry.changes.as_slice()) {
                (None, [tree::Change::Node { id, node }, rest @ ..]) => {
                    MemoryTree::new(*id, node.name_stamp).applied(rest).expect("a tree")
                }
                (Some(tree), changes) => tree.applied(changes).expect("a tree"),
                (None, _) => panic!("the first entry does not begin with the root"),
            });
        }
        tree.expect("a tree")
    }
}

#[test]
fn a_commit_names_what_is_missing_and_goes_through_once_it_is_there() {
    let mut drive = Drive::new();
    let commit = drive.commit_of(1, vec![folder(1, TREE_ROOT, "docs"), file(2, id(1), "a.txt", "hello")]);
    let missing = content("hello").blob;
    assert_eq!(drive.ask(commit.clone()).expect("an answer"), Committed::Needs(vec![missing]));
    assert!(drive.nodes(NodeQuery::All { after: None }).nodes.is_empty(), "nothing of it was applied");
    drive.send("hello");
    let Committed::Done { seq, answers, end } = drive.ask(commit.clone()).expect("an answer") else { panic!("needs") };
    let done = Answer { verdict: TreeVerdict::Done, long_path: false };
    assert_eq!((seq, end.seq.get(), answers.clone()), (Some(Seq::FIRST), 1, vec![done.clone(), done]));
    assert_eq!(drive.names(TREE_ROOT), ["docs"]);
    assert_eq!(drive.names(id(1)), ["a.txt"]);
    // Sent again, it has the first answer and no second effect.
    assert_eq!(drive.ask(commit.clone()).expect("an answer"), Committed::Done { seq, answers, end });
    let other = Commit { ops: Arc::new(tree::Commit::new(vec![folder(9, TREE_ROOT, "x")]).expect("one")), ..commit };
    assert_eq!(drive.ask(other).expect_err("refused").code, ErrorCode::RequestIdReused);
    let whole = drive.nodes(NodeQuery::All { after: None });
    let read = drive.read();
    assert_eq!(whole.nodes, read.nodes().map(|(id, node)| (id, node.clone())).collect::<Vec<(EntityId, Node)>>());
    assert_eq!(whole.end.map(|end| end.seq), Some(Seq::FIRST));
}

#[test]
fn an_edit_on_two_devices_is_both_and_the_copy_is_named_after_who_came_later() {
    let mut drive = Drive::new();
    drive.send_all(&["one", "two", "three"]);
    drive.does(1, vec![file(1, TREE_ROOT, "a.txt", "one")]);
    assert_eq!(drive.does(1, vec![put(1, "two", 1, 50)]), (Some(2), vec![TreeVerdict::Done]));
    let (at, verdicts) = drive.does(2, vec![put(1, "three", 1, 51)]);
    assert_eq!((at, verdicts), (Some(3), vec![TreeVerdict::Copied { copy: id(51) }]));
    let names = drive.names(TREE_ROOT);
    assert_eq!(names.len(), 2);
    assert!(names[0].starts_with("a (conflict device 2 ") && names[0].ends_with(").txt"), "{names:?}");
    let contents: Vec<_> = drive.revisions(1).iter().map(|revision| revision.content.blob).collect();
    assert_eq!(contents, [content("one").blob, content("two").blob], "its history");
    assert_eq!(drive.revisions(51).first().map(|revision| revision.reason), Some(Reason::Conflict));
}

#[test]
fn a_move_that_would_close_a_circle_is_dropped() {
    let mut drive = Drive::new();
    drive.does(1, vec![folder(1, TREE_ROOT, "x"), folder(2, TREE_ROOT, "y")]);
    let go = |node, to| TreeOp::Move {
        node: id(node),
        parent: Some(To { value: id(to), base: seq(1) }),
        name: None,
        seen: seq(1),
    };
    assert_eq!(drive.does(1, vec![go(1, 2)]).1, [TreeVerdict::Done]);
    let second = drive.does(2, vec![go(2, 1)]);
    assert_eq!(second, (None, vec![TreeVerdict::Partial(vec![Dropped::Circle])]), "and leaves no trace");
    assert_eq!(drive.names(id(2)), ["x"]);
}

#[test]
fn what_a_revision_refers_to_stays_and_what_nothing_refers_to_goes() {
    let mut drive = Drive::new();
    drive.send_all(&["one", "two", "nobody's"]);
    drive.does(1, vec![file(1, TREE_ROOT, "a", "one")]);
    drive.does(1, vec![put(1, "two", 1, 50)]);
    drive.does(1, vec![TreeOp::Delete { node: id(1), seen: seq(2) }]);
    assert!(drive.names(TREE_ROOT).is_empty());
    let trash = drive.nodes(NodeQuery::Trash { after: None });
    assert_eq!(trash.nodes.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [id(1)]);
    let mut now = 1_000;
    for _ in 0..4 {
        now += limits::BLOB_LEASE_MS + 1;
        let env = syncline::conformance::support::env(now);
        poll_to_end(drive.world.server.sweep_blobs(LOG, None, 100, env)).expect("swept");
    }
    let usage = drive.world.call(Call::BlobUsage(LOG.log));
    assert!(matches!(usage, Reply::BlobUsage(Usage { bytes: 6, blobs: 2, .. })), "{usage:?}");
    // From the trash it comes back as it was.
    let restored = drive.does(2, vec![TreeOp::Restore { node: id(1), parent: None, name: None }]);
    assert!(matches!(restored.1[..], [TreeVerdict::Done | TreeVerdict::Revived]), "{restored:?}");
    assert_eq!(drive.names(TREE_ROOT), ["a"]);
}

#[test]
fn a_file_written_twice_in_one_commit_refers_to_what_it_keeps_and_to_no_more() {
    let mut drive = Drive::new();
    drive.send_all(&["one", "two", "three"]);
    drive.does(1, vec![file(1, TREE_ROOT, "a", "one")]);
    let twice = drive.does(1, vec![put(1, "two", 1, 50), put(1, "three", 1, 51)]);
    let kept: Vec<_> = drive.nodes(NodeQuery::All { after: None }).nodes;
    let contents: Vec<_> = kept.iter().filter_map(|(_, node)| node.content.map(|content| content.blob)).collect();
    let history = kept.iter().filter(|(_, node)| node.content.is_some()).map(|(node, _)| *node);
    let mut referred: std::collections::BTreeSet<Digest> = contents.into_iter().collect();
    for node in history {
        let asked = Call::Revisions { log: LOG.log, node, after: Seq::ZERO, limit: 100 };
        let Reply::Revisions(revisions) = drive.world.call(asked) else { panic!("no revisions") };
        referred.extend(revisions.iter().map(|revision| revision.content.blob));
    }
    let mut now = 1_000;
    for _ in 0..4 {
        now += limits::BLOB_LEASE_MS + 1;
        let env = syncline::conformance::support::env(now);
        poll_to_end(drive.world.server.sweep_blobs(LOG, None, 100, env)).expect("swept");
    }
    let usage = drive.world.call(Call::BlobUsage(LOG.log));
    let Reply::BlobUsage(usage) = usage else { panic!("{usage:?}") };
    assert_eq!(usage.blobs, referred.len() as u64, "{twice:?}");
}

#[test]
fn readers_are_woken_by_a_commit_and_not_by_one_that_changes_nothing() {
    let mut drive = Drive::new();
    let mut wakes = poll_to_end(drive.world.server.fanout().subscribe(Interest::Logs(vec![LOG]))).expect("a source");
    drive.does(1, vec![folder(1, TREE_ROOT, "x")]);
    let woken = poll_to_end(wakes.next());
    assert!(matches!(woken, Some(Signal::Wake { log, seq }) if log == LOG && seq == Seq::FIRST), "{woken:?}");
    assert_eq!(drive.does(1, vec![folder(1, TREE_ROOT, "x")]), (None, vec![TreeVerdict::Noop]));
    assert_eq!(drive.read().nodes().count(), 2);
}

#[test]
fn who_asks_for_what_is_not_theirs_is_told_so() {
    let mut drive = Drive::new();
    let commit = drive.commit_of(1, vec![folder(1, TREE_ROOT, "x")]);
    let bound = Caller { replica: Some(ReplicaId::from_bytes([9; 16])), ..operator() };
    let refused = drive.world.ask(&bound, Call::Commit(commit.clone())).expect_err("refused");
    assert_eq!(refused.code, ErrorCode::ForbiddenReplica);
    let server = Commit { replica: ReplicaId::SERVER, ..commit.clone() };
    assert_eq!(drive.ask(server).expect_err("refused").code, ErrorCode::ForbiddenReplica);
    let elsewhere = Commit { log: log(7).log, ..commit };
    assert_eq!(drive.ask(elsewhere).expect_err("refused").code, ErrorCode::LogNotFound);
    let nodes = |limit| Call::Nodes { log: LOG.log, asked: NodeQuery::All { after: None }, limit };
    let revisions = |limit| Call::Revisions { log: LOG.log, node: id(1), after: Seq::ZERO, limit };
    for (max, call) in [
        (limits::TREE_PAGE_NODES_MAX, &nodes as &dyn Fn(usize) -> Call),
        (limits::LIST_ITEMS_MAX, &revisions as &dyn Fn(usize) -> Call),
    ] {
        for (limit, good) in [(0, false), (1, true), (max - 1, true), (max, true), (max + 1, false)] {
            let asked = drive.world.ask(&operator(), call(limit));
            assert_eq!(asked.map_err(|refusal| refusal.code).err(), (!good).then_some(ErrorCode::LimitOutOfRange));
        }
    }
    let absent = Call::Nodes { log: log(7).log, asked: NodeQuery::All { after: None }, limit: 1 };
    assert_eq!(drive.world.code(absent), ErrorCode::LogNotFound);
}
