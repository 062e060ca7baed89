//! The bytes of commits and changes: each value has one form, and no bytes make a reader panic or accept another.

use bytes::Bytes;
use syncline::tree::{Change, Commit, Content, Kind, Name, NamePolicy, Node, Reason, Revision, Stamp, To, TreeOp};
use syncline::{Digest, LogId, Timestamp};

use crate::fuzz::Dice;
use crate::rules::{delete, file, folder, put};
use crate::server::{ROOT, content, id, replica, seq};

fn full() -> Content {
    let (manifest, attributes) = (Some(Digest::of(&[b"m"])), Some(Digest::of(&[b"a"])));
    Content { manifest, attributes, executable: true, modified_at: Timestamp::MAX, ..content(u64::MAX) }
}

fn ops() -> Vec<TreeOp> {
    let mount = Kind::Mount(LogId::from_bytes([7; 16]));
    vec![
        folder(1, ROOT, "d"),
        file(2, id(1), "é.txt", 300),
        TreeOp::Create { node: id(3), parent: ROOT, name: String::new(), kind: Kind::Symlink, content: Some(full()) },
        TreeOp::Create { node: id(4), parent: ROOT, name: "m".into(), kind: mount, content: None },
        put(2, 5, 200, 300),
        TreeOp::Put { node: id(2), content: full(), base: seq(1), seen: seq(2), copy: id(9), reason: Reason::Restore },
        TreeOp::Move { node: id(2), parent: Some(To { value: ROOT, base: seq(1) }), name: None, seen: seq(2) },
        TreeOp::Move { node: id(2), parent: None, name: Some(To { value: "x".into(), base: seq(1) }), seen: seq(2) },
        delete(2, 1 << 40),
        TreeOp::Restore { node: id(2), parent: Some(id(1)), name: Some("y".into()) },
        TreeOp::Restore { node: id(2), parent: None, name: None },
    ]
}

fn changes() -> Vec<Change> {
    let made = Stamp { seq: seq(2), by: replica(1) };
    let name = Name::new("a:b", NamePolicy::Lenient).unwrap();
    let file = Node { parent: Some(ROOT), name, kind: Kind::File, content: Some(full()), ..Node::root(made) };
    let dead = Node { dead: Some(seq(3)), conflict_of: Some(id(8)), ..file.clone() };
    vec![
        Change::Tombstone { root: id(1), group: seq(3), kept: vec![id(1), id(2)], whole: vec![id(2), id(5)] },
        Change::Tombstone { root: id(1), group: seq(3), kept: vec![], whole: vec![] },
        Change::Revive { root: id(1), group: seq(200) },
        Change::Alias { new: id(4), of: id(5) },
        Change::Node { id: ROOT, node: Box::new(Node::root(made)) },
        Change::Node { id: id(6), node: Box::new(file) },
        Change::Node { id: id(7), node: Box::new(dead) },
        Change::Purge { root: id(7) },
    ]
}

fn nodes() -> Vec<Node> {
    let nodes = changes().into_iter().filter_map(|change| match change {
        Change::Node { node, .. } => Some(*node),
        _ => None,
    });
    nodes.collect()
}

fn revisions() -> [Revision; 2] {
    let (node, accepted_at) = (id(3), Timestamp::from_ms(300).unwrap());
    let first = Revision {
        node,
        seq: seq(300),
        content: full(),
        by: replica(1),
        accepted_at,
        base: None,
        reason: Reason::Conflict,
    };
    [first, Revision { base: Some(seq(300)), seq: seq(301), content: content(4), reason: Reason::Put, ..first }]
}

#[test]
fn commits_and_changes_come_back_from_their_bytes() {
    let commit = Commit::new(ops()).unwrap();
    assert_eq!(Commit::from_bytes(commit.to_bytes()), Ok(commit));
    assert_eq!(Change::from_bytes(Change::to_bytes(&changes())), Ok(changes()));
    assert_eq!(Change::from_bytes(Change::to_bytes(&[])), Ok(vec![]));
    for node in nodes() {
        assert_eq!(Node::from_bytes(node.to_bytes()), Ok(node));
    }
    for revision in revisions() {
        assert_eq!(Revision::from_bytes(revision.to_bytes()), Ok(revision));
    }
}

/// The form that is documented, written out by hand.
#[test]
fn the_bytes_are_those_that_are_documented() {
    let node = [[0; 15].as_slice(), &[2]].concat();
    let to = [[0; 16].as_slice(), &[5]].concat();
    let op = TreeOp::Move { node: id(2), parent: Some(To { value: ROOT, base: seq(5) }), name: None, seen: seq(300) };
    let expected = [&[1, 1, 2], &node[..], &[1], &to, &[0, 0xac, 0x02]].concat();
    assert_eq!(Commit::new(vec![op]).unwrap().to_bytes(), expected);
    let change = Change::Tombstone { root: id(2), group: seq(3), kept: vec![id(2)], whole: vec![] };
    let expected = [&[1, 1, 0], &node[..], &[3, 1], &node, &[0]].concat();
    assert_eq!(Change::to_bytes(&[change]), expected);
}

fn try_all(good: &Bytes, read: impl Fn(Bytes) -> Option<Bytes>) {
    assert_eq!(read(good.clone()).as_ref(), Some(good));
    for len in 0..good.len() {
        assert_eq!(read(good.slice(..len)), None, "cut off at {len}");
    }
    assert_eq!(read([good, &[0][..]].concat().into()), None, "with something behind it");
    let mut dice = Dice::new(5);
    for _ in 0..60_000 {
        let mut bad = good.to_vec();
        for _ in 0..=dice.below(3) {
            let (at, byte) = (dice.below(bad.len()), dice.below(256));
            bad[at] = u8::try_from(byte).unwrap();
        }
        let bad = Bytes::from(bad);
        if let Some(again) = read(bad.clone()) {
            assert_eq!(again, bad, "one value has two forms");
        }
    }
}

#[test]
fn whatever_the_bytes_they_are_refused_or_the_only_form_of_a_value() {
    let commit = Commit::new(ops()).unwrap().to_bytes();
    try_all(&commit, |bytes| Commit::from_bytes(bytes).ok().map(|commit| commit.to_bytes()));
    let changes = Change::to_bytes(&changes());
    try_all(&changes, |bytes| Change::from_bytes(bytes).ok().map(|changes| Change::to_bytes(&changes)));
    for node in nodes() {
        try_all(&node.to_bytes(), |bytes| Node::from_bytes(bytes).ok().map(|node| node.to_bytes()));
    }
    for revision in revisions() {
        try_all(&revision.to_bytes(), |bytes| Revision::from_bytes(bytes).ok().map(|revision| revision.to_bytes()));
    }
}
