//! Limits of files and folders.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use syncline::limits;
use syncline::tree::{
    Commit, CommitError, Committed, Content, Kept, Kind, Label, LabelError, MemoryTree, Name, NameFault, NamePolicy,
    Refusal, Retention, Room, Stamp, Terms, To, TreeOp, TreeVerdict, commit, thin,
};
use syncline::{Digest, EntityId, ReplicaId, Seq, Timestamp};

use crate::check;

const ROOT: EntityId = EntityId::from_bytes([0xaa; 16]);

fn id(number: usize) -> EntityId {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&(number as u64).to_be_bytes());
    EntityId::from_bytes(bytes)
}

fn seq(value: u64) -> Seq {
    Seq::new(value).unwrap()
}

fn tree() -> MemoryTree {
    MemoryTree::new(ROOT, Stamp { seq: Seq::FIRST, by: ReplicaId::SERVER })
}

fn apply(tree: &mut MemoryTree, at: u64, by: u8, ops: Vec<TreeOp>) -> Committed {
    let label = Label::new("A").unwrap();
    let terms = Terms {
        seq: seq(at),
        replica: ReplicaId::from_bytes([by; 16]),
        label: &label,
        accepted_at: Timestamp::default(),
        root: ROOT,
        policy: NamePolicy::Strict,
        room: Room::ENDLESS,
    };
    let committed = commit(tree, &terms, &Commit::new(ops).unwrap()).unwrap();
    tree.apply(&committed.changes).unwrap();
    tree.check().unwrap();
    committed
}

fn folder(node: usize, parent: EntityId, name: &str) -> TreeOp {
    TreeOp::Create { node: id(node), parent, name: name.to_owned(), kind: Kind::Folder, content: None }
}

fn last(committed: &Committed) -> Result<(), Refusal> {
    match &committed.outcomes.last().unwrap().verdict {
        TreeVerdict::Rejected(refusal) => Err(refusal.clone()),
        _ => Ok(()),
    }
}

/// A folder in a folder, as many as asked, the first with this number.
fn chain(first: usize, len: usize, name: &str) -> Vec<TreeOp> {
    let parent = |n: usize| if n == first { ROOT } else { id(n - 1) };
    (first..first + len).map(|n| folder(n, parent(n), name)).collect()
}

#[test]
fn a_name_has_a_longest_counted_in_nfc() {
    let limit = limits::NAME_BYTES_MAX;
    let fault = NameFault::TooLong(limit + 1);
    let name = |typed: &str| Name::new(typed, NamePolicy::Strict).map(drop).map_err(|error| error.fault);
    check(limit, &fault, |len| name(&"a".repeat(len)));
    // Typed in three bytes, kept in two.
    check(limit, &fault, |len| name(&("a".repeat(len - 200) + &"e\u{301}".repeat(100))));
}

#[test]
fn a_label_has_a_longest() {
    let limit = limits::LABEL_BYTES_MAX;
    check(limit, &LabelError::TooLong(limit + 1), |len| Label::new(&"x".repeat(len)).map(drop));
}

#[test]
fn a_commit_has_a_most() {
    let refused = CommitError(limits::TREE_OPS_MAX + 1);
    check(limits::TREE_OPS_MAX, &refused, |len| Commit::new(chain(0, len, "d")).map(drop));
    assert_eq!(Commit::new(vec![]), Err(CommitError(0)));
}

#[test]
fn a_tree_has_a_deepest_level() {
    check(limits::TREE_DEPTH_MAX, &Refusal::TooDeep, |levels| last(&apply(&mut tree(), 2, 1, chain(0, levels, "d"))));
}

#[test]
fn a_folder_moves_as_deep_as_what_is_below_it_allows_dead_or_just_moved_there() {
    let to = |parent| Some(To { value: parent, base: seq(2) });
    let go =
        |node: usize, parent, seen| TreeOp::Move { node: id(node), parent: to(parent), name: None, seen: seq(seen) };
    check(limits::TREE_DEPTH_MAX, &Refusal::TooDeep, |levels| {
        let mut tree = tree();
        apply(&mut tree, 2, 1, [chain(0, 200, "d"), chain(1_000, levels - 200, "e")].concat());
        last(&apply(&mut tree, 3, 1, vec![go(1_000, id(199), 2)]))
    });
    check(limits::TREE_DEPTH_MAX, &Refusal::TooDeep, |levels| {
        let mut tree = tree();
        apply(&mut tree, 2, 1, [chain(0, 200, "d"), chain(1_000, levels - 200, "e")].concat());
        apply(&mut tree, 3, 1, vec![TreeOp::Delete { node: id(1_001), seen: seq(2) }]);
        last(&apply(&mut tree, 4, 1, vec![go(1_000, id(199), 3)]))
    });
    check(limits::TREE_DEPTH_MAX, &Refusal::TooDeep, |levels| {
        let mut tree = tree();
        let half = (levels - 200) / 2;
        let rest = levels - 200 - half;
        apply(&mut tree, 2, 1, [chain(0, 200, "d"), chain(1_000, half, "e"), chain(2_000, rest, "f")].concat());
        last(&apply(&mut tree, 3, 1, vec![go(2_000, id(1_000 + half - 1), 2), go(1_000, id(199), 2)]))
    });
}

#[test]
fn a_path_has_a_longest_and_is_warned_of_before() {
    // Twenty folders of 199 bytes and a slash are 4,000.
    let name = "n".repeat(199);
    let limit = limits::PATH_BYTES_MAX;
    check(limit, &Refusal::PathTooLong(limit + 1), |bytes| {
        let deepest = folder(20, id(19), &"m".repeat(bytes - 4_001));
        last(&apply(&mut tree(), 2, 1, [chain(0, 20, &name), vec![deepest]].concat()))
    });
    let warned = |chars: usize| {
        let ops = vec![
            folder(0, ROOT, &"n".repeat(199)),
            folder(1, id(0), &"é".repeat(100)),
            folder(2, id(1), &"m".repeat(chars - 302)),
        ];
        apply(&mut tree(), 2, 1, ops).outcomes.last().unwrap().long_path
    };
    let limit = limits::PATH_CHARS_WARNED;
    assert_eq!([warned(limit - 1), warned(limit), warned(limit + 1)], [false, false, true]);
}

#[test]
fn a_folder_in_which_too_much_changed_unseen_stays_whole() {
    let limit = limits::TREE_UNSEEN_MAX;
    let content = Content {
        blob: Digest::of(&[]),
        bytes: 0,
        manifest: None,
        modified_at: Timestamp::default(),
        executable: false,
        attributes: None,
    };
    let file = |node: usize| TreeOp::Create {
        node: id(node),
        parent: id(0),
        name: node.to_string(),
        kind: Kind::File,
        content: Some(content),
    };
    let mut tree = tree();
    let mut at = 3;
    apply(&mut tree, 2, 1, vec![folder(0, ROOT, "d"), file(50_000)]);
    let all: Vec<usize> = (1..limit).collect();
    for some in all.chunks(limits::TREE_OPS_MAX) {
        apply(&mut tree, at, 2, some.iter().map(|node| file(*node)).collect());
        at += 1;
    }
    for (number, superseded) in [(limit - 1, false), (limit, false), (limit + 1, true)] {
        if number >= limit {
            apply(&mut tree, at, 2, vec![file(number)]);
            at += 1;
        }
        let mut copy = tree.clone();
        let committed = apply(&mut copy, at, 1, vec![TreeOp::Delete { node: id(0), seen: seq(2) }]);
        assert_eq!(committed.outcomes[0].verdict == TreeVerdict::Superseded, superseded, "{number} unseen");
        let seen = copy.get(id(50_000)).unwrap();
        assert_eq!(seen.dead.is_none(), superseded, "{number} unseen");
        assert!(copy.get(id(1)).unwrap().dead.is_none());
    }
}

#[test]
fn a_file_has_a_most_of_revisions() {
    let limit = limits::REVISIONS_KEPT_MAX;
    for count in [limit - 1, limit, limit + 1] {
        let ages = (0..count as u64).rev().map(|minutes| minutes * 31_000);
        let now = Timestamp::from_ms(1 << 40).unwrap();
        let kept = |(at, age): (u64, u64)| Kept { seq: seq(at), accepted_at: now.minus_ms(age), held: false };
        let revisions: Vec<Kept> = (1..).zip(ages).map(kept).collect();
        assert_eq!(thin(&revisions, Retention::default(), now).len(), count.saturating_sub(limit));
    }
}
