//! What a tree forgets, and when: revisions that are too close, what was deleted long ago, and what is purged by hand.

use std::sync::Arc;

use bytes::Bytes;
use syncline::blob::Usage;
use syncline::call::{Call, Commit, Committed, ErrorCode, Purged, Reply};
use syncline::decide::{NewTerms, TREE_ROOT};
use syncline::digest::Digest;
use syncline::server::RetainedTree;
use syncline::store::{ByteRange, NodeQuery, PageLimit};
use syncline::tree::{
    self, Change, Content, Entry, Kind, Label, NamePolicy, Reason, Retention, Revision, TreeOp, TreeVerdict,
};
use syncline::{EntityId, OpId, ReplicaId, Seq, Timestamp, limits};

use super::blobs::Blobs;
use super::common::poll_to_end;
use super::{LOG, operator};

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

fn id(number: u32) -> EntityId {
    EntityId::from_bytes(u128::from(number).to_be_bytes())
}

fn content(text: &str) -> Content {
    Content {
        blob: Digest::of(&[text.as_bytes()]),
        bytes: text.len() as u64,
        manifest: None,
        modified_at: Timestamp::default(),
        executable: false,
        attributes: None,
    }
}

fn file(node: u32, parent: EntityId, text: &str) -> TreeOp {
    let (kind, content) = (Kind::File, Some(content(text)));
    TreeOp::Create { node: id(node), parent, name: format!("file {node}"), kind, content }
}

fn folder(node: u32, parent: EntityId) -> TreeOp {
    TreeOp::Create { node: id(node), parent, name: format!("folder {node}"), kind: Kind::Folder, content: None }
}

impl Blobs {
    fn send_text(&self, text: &str) {
        self.put(&Bytes::from(text.to_owned())).expect("stored");
    }

    fn commit(&mut self, ops: Vec<TreeOp>) -> (Option<Seq>, Vec<TreeVerdict>) {
        self.now += 1;
        let env = self.env();
        let commit = Commit {
            log: LOG.log,
            id: OpId::from_bytes(env.uuid7("commit")),
            replica: ReplicaId::from_bytes([1; 16]),
            label: Label::new("D").expect("a label"),
            ops: Arc::new(tree::Commit::new(ops).expect("a commit")),
        };
        match self.ask(Call::Commit(commit)).expect("an answer") {
            Reply::Committed(Committed::Done { seq, answers, .. }) => {
                (seq, answers.into_iter().map(|answer| answer.verdict).collect())
            }
            other => panic!("{other:?}"),
        }
    }

    fn delete(&mut self, node: u32, seen: Seq) -> Seq {
        self.commit(vec![TreeOp::Delete { node: id(node), seen }]).0.expect("it was deleted")
    }

    fn retain(&mut self) -> RetainedTree {
        let (mut after, mut all) = (None, RetainedTree::default());
        loop {
            self.now += 1;
            let (done, next) = poll_to_end(self.world.server.retain_tree(LOG, after, 3, self.env())).expect("a pass");
            all.seen += done.seen;
            all.thinned += done.thinned;
            all.purged += done.purged;
            match next {
                Some(_) => after = next,
                None => return all,
            }
        }
    }

    fn purge(&mut self, node: u32) -> Result<Purged, ErrorCode> {
        self.now += 1;
        match self.ask(Call::PurgeTrash { log: LOG.log, node: id(node) }).map_err(|refusal| refusal.code)? {
            Reply::Purged(purged) => Ok(purged),
            other => panic!("{other:?}"),
        }
    }

    fn ids(&self, asked: NodeQuery) -> Vec<EntityId> {
        match self.ask(Call::Nodes { log: LOG.log, asked, limit: 5_000 }).expect("an answer") {
            Reply::Nodes(page) => page.nodes.iter().map(|(id, _)| *id).collect(),
            other => panic!("{other:?}"),
        }
    }

    fn revisions(&self, node: u32) -> Vec<Revision> {
        match self.ask(Call::Revisions { log: LOG.log, node: id(node), after: Seq::ZERO, limit: 1_000 }) {
            Ok(Reply::Revisions(revisions)) => revisions,
            other => panic!("{other:?}"),
        }
    }

    fn nodes_counted(&self) -> u64 {
        match self.ask(Call::TreeTerms(LOG.log)).expect("an answer") {
            Reply::TreeTerms(terms) => terms.nodes,
            other => panic!("{other:?}"),
        }
    }
}

/// E46. A device that was away reads the end of what was deleted in the log, as it read the deletion.
#[test]
fn on_day_91_what_was_deleted_is_purged_and_its_bytes_go_and_what_lives_stays() {
    let mut drive = Blobs::new();
    ["lives", "dies", "both"].iter().for_each(|text| drive.send_text(text));
    let made = vec![
        folder(1, TREE_ROOT),
        folder(2, id(1)),
        file(3, id(2), "dies"),
        file(4, id(1), "both"),
        file(5, TREE_ROOT, "both"),
        file(6, TREE_ROOT, "lives"),
    ];
    let (made, _) = drive.commit(made);
    let died = drive.delete(1, made.expect("made"));
    drive.wait(90 * DAY - HOUR);
    assert_eq!(drive.retain().purged, 0, "not a day too early");
    assert_eq!(drive.ids(NodeQuery::Trash { after: None }), [id(1)]);
    drive.wait(2 * HOUR);
    // A folder goes after what is in it.
    let passes: Vec<_> = std::iter::repeat_with(|| drive.retain().purged).take_while(|purged| *purged > 0).collect();
    assert_eq!((passes.iter().sum::<usize>(), passes.len() <= 3), (4, true), "{passes:?}");
    assert_eq!(drive.ids(NodeQuery::All { after: None }), [TREE_ROOT, id(5), id(6)]);
    assert_eq!(drive.nodes_counted(), 3);
    let read = |drive: &Blobs, text| drive.read(LOG, content(text).blob, ByteRange::default());
    assert!(read(&drive, "dies").is_ok(), "whoever was just told of it can still read it");
    drive.sweep_all();
    assert_eq!(read(&drive, "dies"), Err(ErrorCode::BlobNotFound));
    assert!(read(&drive, "both").is_ok() && read(&drive, "lives").is_ok());
    assert_eq!(drive.usage(), Usage { bytes: 9, blobs: 2, quota: None });
    let page = poll_to_end(drive.world.store.ops_after(LOG, died, PageLimit::default())).expect("a page");
    let purged = page.ops.iter().flat_map(|logged| {
        let op = logged.op.read().expect("an op");
        let syncline::oplog::Payload::Plain(bytes) = op.payload() else { panic!("an entry is plain") };
        Entry::from_bytes(bytes.clone()).expect("an entry").changes
    });
    let mut purged: Vec<_> = purged.collect();
    purged.sort_by_key(|change| match change {
        Change::Purge { root } => *root,
        other => panic!("{other:?}"),
    });
    assert_eq!(purged, (1..=4).map(|node| Change::Purge { root: id(node) }).collect::<Vec<_>>());
    assert_eq!(drive.retain(), RetainedTree { seen: 3, ..RetainedTree::default() }, "and then nothing more");
}

#[test]
fn the_newest_revision_stays_and_older_ones_go_with_their_bytes() {
    let mut drive = Blobs::new();
    let text = |number: u64| format!("version {number}");
    drive.send_text(&text(0));
    let (mut base, _) = drive.commit(vec![file(1, TREE_ROOT, &text(0))]);
    for number in 1..=60 {
        drive.wait(20 * MINUTE);
        drive.send_text(&text(number));
        let (seen, content) = (base.expect("it changed"), content(&text(number)));
        let (base_of, copy) = (seen, id(1_000));
        let put = TreeOp::Put { node: id(1), content, base: base_of, seen, copy, reason: Reason::Put };
        base = drive.commit(vec![put]).0;
    }
    assert_eq!(drive.revisions(1).len(), 61);
    let done = drive.retain();
    let kept = drive.revisions(1);
    assert_eq!((kept.len() + done.thinned, done.purged), (61, 0));
    assert!((19..30).contains(&kept.len()), "hourly, but for the last hour: {}", kept.len());
    assert_eq!(kept.last().expect("the newest").content, content(&text(60)));
    assert_eq!(drive.retain().thinned, 0);
    drive.sweep_all();
    assert_eq!(drive.usage().blobs, kept.len() as u64, "what is kept is what is referred to");
    // Fewer, once the operator says so.
    let retention = Retention { version_days: 90, max_versions: 2, tombstone_days: 90 };
    let terms = NewTerms { names: NamePolicy::Strict, file_bytes_max: 1 << 20, nodes_max: 100, retention };
    drive.ask(Call::SetTreeTerms { log: LOG.log, terms }).expect("set");
    drive.retain();
    assert_eq!(drive.revisions(1).len(), 2);
    drive.wait(100 * DAY);
    drive.retain();
    assert_eq!(drive.revisions(1).iter().map(|revision| revision.content).collect::<Vec<_>>(), [content(&text(60))]);
}

#[test]
fn a_purge_takes_a_folder_with_all_that_is_in_it_and_nothing_that_lives() {
    let mut drive = Blobs::new();
    drive.send_text("kept");
    let mut made = vec![folder(1, TREE_ROOT), folder(2, id(1)), file(9_999, TREE_ROOT, "kept")];
    made.extend((10..700).map(|node| file(node, id(1 + node % 2), "kept")));
    let (made, _) = drive.commit(made);
    assert_eq!(drive.purge(1), Err(ErrorCode::NotInTrash));
    // Some died earlier, in another group.
    let died = drive.delete(2, made.expect("made"));
    drive.delete(1, died);
    assert_eq!(drive.purge(77_777), Ok(Purged { nodes: 0, more: false }));
    assert_eq!(drive.purge(1), Ok(Purged { nodes: 692, more: false }));
    assert_eq!(drive.purge(1), Ok(Purged { nodes: 0, more: false }));
    assert_eq!(drive.ids(NodeQuery::All { after: None }), [TREE_ROOT, id(9_999)]);
    assert_eq!((drive.nodes_counted(), drive.purge(0)), (2, Err(ErrorCode::NotInTrash)));
    drive.sweep_all();
    assert_eq!(drive.usage().blobs, 1);
    let writer = syncline::access::Caller { access: syncline::access::Access::Write, ..operator() };
    let purge = Call::PurgeTrash { log: LOG.log, node: id(1) };
    let refused = poll_to_end(drive.world.server.handle(&writer, purge, drive.env()));
    assert_eq!(refused.expect_err("refused").code, ErrorCode::Forbidden);
}

#[test]
fn a_history_that_is_longer_than_a_step_reads_goes_in_steps() {
    let mut drive = Blobs::new();
    drive.send_text("one");
    drive.send_text("two");
    let (made, _) = drive.commit(vec![file(1, TREE_ROOT, "one")]);
    let mut base = made.expect("made");
    let count = limits::REVISIONS_READ_MAX as u64 + 500;
    for number in 0..count {
        let content = content(if number % 2 == 0 { "two" } else { "one" });
        let put = TreeOp::Put { node: id(1), content, base, seen: base, copy: id(1_000), reason: Reason::Put };
        drive.now += 31_000;
        base = drive.commit(vec![put]).0.expect("it changed");
    }
    drive.delete(1, base);
    assert_eq!(drive.purge(1), Ok(Purged { nodes: 1, more: false }));
    assert!(drive.revisions(1).is_empty());
    drive.sweep_all();
    assert_eq!(drive.usage(), Usage::default(), "each revision gave its reference back");
}

#[test]
fn a_pass_is_of_bounded_size() {
    let drive = Blobs::new();
    let max = limits::TREE_PAGE_NODES_MAX;
    for (limit, good) in [(0, false), (1, true), (max - 1, true), (max, true), (max + 1, false)] {
        let pass = poll_to_end(drive.world.server.retain_tree(LOG, None, limit, drive.env()));
        assert_eq!(pass.is_ok(), good, "{limit}");
    }
}
