//! Cases of the specification of files (E42 to E45) through a server over memory.

use std::sync::Arc;

use bytes::Bytes;
use syncline::blob::Need;
use syncline::call::{Call, Commit, Committed, Reply};
use syncline::conformance::support::log;
use syncline::decide::TREE_ROOT;
use syncline::digest::Digest;
use syncline::oplog::Sealing;
use syncline::store::{ByteRange, NodeQuery};
use syncline::tree::{self, Content, Kind, Label, Reason, Revision, TreeOp, TreeVerdict};
use syncline::{BucketId, EntityId, LogKey, OpId, ReplicaId, Seq, Timestamp, limits};

use super::blobs::{Blobs, name};
use super::common::poll_to_end;
use super::{LOG, operator};

const fn id(number: u8) -> EntityId {
    EntityId::from_bytes([number; 16])
}

fn content(text: &'static str) -> Content {
    let (blob, bytes) = name(&Bytes::from_static(text.as_bytes()));
    Content { blob, bytes, manifest: None, modified_at: Timestamp::default(), executable: false, attributes: None }
}

fn file(node: u8, parent: EntityId, name: &str, text: &'static str) -> TreeOp {
    TreeOp::Create { node: id(node), parent, name: name.into(), kind: Kind::File, content: Some(content(text)) }
}

fn put(node: u8, text: &'static str, base: Seq, copy: u8, reason: Reason) -> TreeOp {
    TreeOp::Put { node: id(node), content: content(text), base, seen: base, copy: id(copy), reason }
}

fn commit_of(number: u8, device: u8, ops: Vec<TreeOp>) -> Commit {
    Commit {
        log: LOG.log,
        id: OpId::from_bytes([number; 16]),
        replica: ReplicaId::from_bytes([device; 16]),
        label: Label::new(&format!("device {device}")).expect("a label"),
        ops: Arc::new(tree::Commit::new(ops).expect("a commit")),
    }
}

/// Sends these contents, and commits; where it stands and the verdicts.
fn does(drive: &Blobs, number: u8, device: u8, ops: Vec<TreeOp>) -> (Seq, Vec<TreeVerdict>) {
    match drive.ask(Call::Commit(commit_of(number, device, ops))).expect("an answer") {
        Reply::Committed(Committed::Done { seq, answers, .. }) => {
            (seq.expect("it changed something"), answers.into_iter().map(|answer| answer.verdict).collect())
        }
        other => panic!("{other:?}"),
    }
}

fn names(drive: &Blobs, of: EntityId) -> Vec<(String, Option<Digest>)> {
    let asked = NodeQuery::Children { of, after: None };
    match drive.ask(Call::Nodes { log: LOG.log, asked, limit: 100 }).expect("an answer") {
        Reply::Nodes(page) => {
            let row = |node: &tree::Node| (node.name.as_str().to_owned(), node.content.map(|content| content.blob));
            page.nodes.iter().map(|(_, node)| row(node)).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn revisions(drive: &Blobs, node: u8) -> Vec<Revision> {
    match drive.ask(Call::Revisions { log: LOG.log, node: id(node), after: Seq::ZERO, limit: 100 }).expect("an answer")
    {
        Reply::Revisions(revisions) => revisions,
        other => panic!("{other:?}"),
    }
}

fn drive() -> Blobs {
    let drive = Blobs::new();
    for text in ["one", "two", "three"] {
        drive.put(&Bytes::from_static(text.as_bytes())).expect("stored");
    }
    drive
}

/// E42.
#[test]
fn what_a_device_was_told_is_here_stays_until_it_commits_whatever_is_swept() {
    let mut drive = drive();
    // Nobody needed it, and it was nearly gone.
    drive.wait(limits::BLOB_LEASE_MS);
    drive.sweep();
    drive.wait(limits::BLOB_GRACE_MS - 2);
    let one = (content("one").blob, content("one").bytes);
    assert_eq!(drive.needs(&[one]).expect("an answer"), [Need::Have]);
    for _ in 0..3 {
        drive.wait(limits::BLOB_LEASE_MS / 4);
        drive.sweep();
    }
    assert_eq!(does(&drive, 1, 1, vec![file(1, TREE_ROOT, "a", "one")]).1, [TreeVerdict::Done]);
    drive.sweep_all();
    assert_eq!(drive.read(LOG, one.0, ByteRange::default()).expect("read"), b"one");
    assert_eq!(drive.usage().blobs, 1, "the others went");
}

/// E43.
#[test]
fn what_only_another_has_is_said_to_be_missing_and_not_referred_to() {
    let drive = drive();
    let other = LogKey { bucket: BucketId::from_bytes([9; 16]), log: LOG.log };
    let stranger = syncline::access::Caller { bucket: other.bucket, ..operator() };
    let ask = |call| poll_to_end(drive.world.server.handle(&stranger, call, drive.env())).expect("an answer");
    ask(Call::CreateLog { log: other.log, sealing: Sealing::default() });
    let one = content("one");
    let reserved = ask(Call::Reserve { log: other.log, blobs: vec![(one.blob, one.bytes)] });
    assert!(matches!(reserved, Reply::Needs(needs) if needs == [Need::Send]));
    let committed = ask(Call::Commit(commit_of(1, 1, vec![file(1, TREE_ROOT, "a", "one")])));
    assert!(matches!(committed, Reply::Committed(Committed::Needs(blobs)) if blobs == [one.blob]));
    // Nor does another log of the same bucket.
    let reserve = Call::Reserve { log: log(2).log, blobs: vec![(one.blob, one.bytes)] };
    assert!(matches!(drive.ask(reserve).expect("an answer"), Reply::Needs(needs) if needs == [Need::Send]));
}

/// E44.
#[test]
fn of_an_edit_and_an_older_revision_taken_back_at_once_the_first_keeps_the_name() {
    for restores_first in [true, false] {
        let drive = drive();
        let (first, _) = does(&drive, 1, 1, vec![file(1, TREE_ROOT, "a.txt", "one")]);
        let (second, _) = does(&drive, 2, 1, vec![put(1, "two", first, 50, Reason::Put)]);
        let back = vec![put(1, "one", second, 51, Reason::Restore)];
        let edit = vec![put(1, "three", second, 52, Reason::Put)];
        let (ops, kept, copied) =
            if restores_first { ([back, edit], "one", "three") } else { ([edit, back], "three", "one") };
        let verdicts: Vec<_> =
            (3..).zip(ops).map(|(number, ops)| does(&drive, number, number - 2, ops).1.remove(0)).collect();
        let copy = if restores_first { 52 } else { 51 };
        assert_eq!(verdicts, [TreeVerdict::Done, TreeVerdict::Copied { copy: id(copy) }]);
        let names = names(&drive, TREE_ROOT);
        assert_eq!((names.len(), &names[1]), (2, &("a.txt".to_owned(), Some(content(kept).blob))), "{names:?}");
        assert!(names[0].0.starts_with("a (conflict device 2 ") && names[0].1 == Some(content(copied).blob));
        let history: Vec<_> = revisions(&drive, 1).iter().map(|revision| revision.content.blob).collect();
        assert_eq!(history, ["one", "two", kept].map(|text| content(text).blob));
        let copies: Vec<_> = revisions(&drive, copy).iter().map(|revision| revision.content.blob).collect();
        assert_eq!(copies, [content(copied).blob], "what came second has a history of its own");
    }
}

/// E45.
#[test]
fn what_comes_back_from_the_trash_brings_its_folders_and_gives_way_to_who_has_the_name() {
    let drive = drive();
    let folder = |node, parent, name: &str| TreeOp::Create {
        node: id(node),
        parent,
        name: name.into(),
        kind: Kind::Folder,
        content: None,
    };
    let made = vec![
        folder(1, TREE_ROOT, "d"),
        folder(2, id(1), "e"),
        file(3, id(2), "x", "one"),
        file(4, id(2), "y", "two"),
        file(5, TREE_ROOT, "z", "three"),
    ];
    let (made, _) = does(&drive, 1, 1, made);
    let delete = |node, seen| TreeOp::Delete { node: id(node), seen };
    let (gone, _) = does(&drive, 2, 1, vec![delete(1, made), delete(5, made)]);
    assert!(gone > made && names(&drive, TREE_ROOT).is_empty());
    // Both names are taken by others meanwhile, the folder's by a file.
    does(&drive, 3, 2, vec![file(6, TREE_ROOT, "D", "two"), file(7, TREE_ROOT, "Z", "two")]);
    let restore = |node| TreeOp::Restore { node: id(node), parent: None, name: None };
    let (_, verdicts) = does(&drive, 4, 2, vec![restore(3), restore(5)]);
    assert_eq!(verdicts, [TreeVerdict::Done, TreeVerdict::Done]);
    let found = names(&drive, TREE_ROOT);
    let taken: Vec<_> =
        found.iter().map(|(name, _)| name.split(" (conflict device 2 ").next().expect("a name")).collect();
    assert_eq!(taken, ["D", "d", "Z", "z"], "{found:?}");
    assert_eq!((&*found[0].0, &*found[2].0), ("D", "Z"), "who had the name keeps it");
    assert_eq!(names(&drive, id(1)).len(), 1, "the chain of folders is back");
    assert_eq!(names(&drive, id(2)), [("x".to_owned(), Some(content("one").blob))], "and nothing else");
}
