//! Each rule of a commit that the races do not show: restores, refusals, room, what comes of old ids.

use syncline::tree::{
    Change, Committed, Content, Dropped, Kind, NameFault, Reason, Refusal, Room, To, TreeOp, TreeVerdict, purge,
};
use syncline::{EntityId, LogId};

use crate::server::{ROOT, Server, content, id, replica, seq};

const ME: u8 = 1;
const OTHER: u8 = 2;

pub(crate) fn folder(node: u32, parent: EntityId, name: &str) -> TreeOp {
    TreeOp::Create { node: id(node), parent, name: name.to_owned(), kind: Kind::Folder, content: None }
}

pub(crate) fn file(node: u32, parent: EntityId, name: &str, value: u64) -> TreeOp {
    TreeOp::Create { node: id(node), parent, name: name.to_owned(), kind: Kind::File, content: Some(content_of(value)) }
}

pub(crate) fn put(node: u32, value: u64, base: u64, seen: u64) -> TreeOp {
    let (base, seen, copy) = (seq(base), seq(seen), id(node + 1_000));
    TreeOp::Put { node: id(node), content: content_of(value), base, seen, copy, reason: Reason::Put }
}

pub(crate) fn delete(node: u32, seen: u64) -> TreeOp {
    TreeOp::Delete { node: id(node), seen: seq(seen) }
}

pub(crate) fn go(node: u32, parent: EntityId, base: u64, seen: u64) -> TreeOp {
    let parent = Some(To { value: parent, base: seq(base) });
    TreeOp::Move { node: id(node), parent, name: None, seen: seq(seen) }
}

pub(crate) fn rename(node: u32, name: &str, base: u64, seen: u64) -> TreeOp {
    let name = Some(To { value: name.to_owned(), base: seq(base) });
    TreeOp::Move { node: id(node), parent: None, name, seen: seq(seen) }
}

fn restore(node: u32, parent: Option<EntityId>, name: Option<&str>) -> TreeOp {
    TreeOp::Restore { node: id(node), parent, name: name.map(str::to_owned) }
}

fn commit(server: &mut Server, by: u8, ops: Vec<TreeOp>) -> Committed {
    server.commit(replica(by), ["", "A", "B"][usize::from(by)], ops)
}

fn verdict(server: &mut Server, by: u8, op: TreeOp) -> TreeVerdict {
    commit(server, by, vec![op]).outcomes.remove(0).verdict
}

/// `d/x=1`, `d/s/y=2` and `k/`, made by the second commit.
fn server() -> Server {
    let mut server = Server::new();
    let ops = vec![
        folder(1, ROOT, "d"),
        folder(2, id(1), "s"),
        folder(3, ROOT, "k"),
        file(11, id(1), "x", 1),
        file(12, id(2), "y", 2),
    ];
    commit(&mut server, ME, ops);
    server
}

fn shown(server: &Server) -> String {
    server.show().into_iter().collect::<Vec<_>>().join("; ")
}

#[test]
fn a_restore_brings_back_what_died_together_to_where_it_was_or_elsewhere() {
    let mut server = server();
    commit(&mut server, ME, vec![delete(12, 2)]);
    commit(&mut server, ME, vec![delete(1, 3)]);
    assert_eq!(shown(&server), "k/");
    assert_eq!(verdict(&mut server, OTHER, restore(1, None, None)), TreeVerdict::Done);
    assert_eq!(shown(&server), "d/s/; d/x=1; k/", "what was deleted before stays deleted");
    assert_eq!(verdict(&mut server, OTHER, restore(1, None, None)), TreeVerdict::Noop);
    assert_eq!(verdict(&mut server, OTHER, restore(12, Some(id(3)), Some("z"))), TreeVerdict::Done);
    assert_eq!(shown(&server), "d/s/; d/x=1; k/z=2");
}

#[test]
fn a_restore_into_a_dead_folder_brings_that_back_and_gives_way_to_who_has_the_name() {
    let mut server = server();
    commit(&mut server, ME, vec![delete(1, 2)]);
    commit(&mut server, ME, vec![file(20, ROOT, "d", 5)]);
    assert_eq!(verdict(&mut server, OTHER, restore(12, None, None)), TreeVerdict::Done);
    assert_eq!(shown(&server), "d (conflict B 2023-11-14 221320)/s/y=2; d=5; k/");
    commit(&mut server, ME, vec![file(21, id(1), "x", 7)]);
    assert_eq!(verdict(&mut server, OTHER, restore(11, None, None)), TreeVerdict::Done);
    let expected = "d (conflict B 2023-11-14 221320)/s/y=2; d (conflict B 2023-11-14 221320)/x (conflict B 2023-11-14 \
                    221320)=1; d (conflict B 2023-11-14 221320)/x=7; d=5; k/";
    assert_eq!(shown(&server), expected);
}

#[test]
fn a_restore_below_itself_goes_to_where_it_was() {
    let mut server = server();
    commit(&mut server, ME, vec![delete(1, 2)]);
    let dropped = TreeVerdict::Partial(vec![Dropped::Circle]);
    assert_eq!(verdict(&mut server, OTHER, restore(1, Some(id(2)), None)), dropped);
    assert_eq!(shown(&server), "d/s/y=2; d/x=1; k/");
}

#[test]
fn a_restored_revision_is_a_put_of_the_old_content_that_says_so() {
    let mut server = server();
    commit(&mut server, ME, vec![put(11, 5, 2, 2)]);
    let (content, base, seen, copy) = (content(1), seq(3), seq(3), id(99));
    let op = TreeOp::Put { node: id(11), content, base, seen, copy, reason: Reason::Restore };
    let committed = commit(&mut server, OTHER, vec![op]);
    let revision = committed.revisions[0];
    assert_eq!((revision.reason, revision.base, revision.seq), (Reason::Restore, Some(seq(3)), seq(4)));
    // Racing an edit, it becomes a copy like any other content (E44).
    let op = TreeOp::Put {
        node: id(11),
        content: content_of(5),
        base: seq(3),
        seen: seq(3),
        copy: id(98),
        reason: Reason::Restore,
    };
    let committed = commit(&mut server, ME, vec![op]);
    assert_eq!(committed.outcomes[0].verdict, TreeVerdict::Copied { copy: id(98) });
    assert_eq!(committed.revisions[0].reason, Reason::Conflict);
}

/// A file of as many bytes as its number says: here nobody looks into it.
fn content_of(value: u64) -> Content {
    Content { bytes: value, ..content(value) }
}

#[test]
fn what_is_wrong_is_refused_and_the_rest_of_the_commit_takes_effect() {
    let mut server = server();
    let link = TreeOp::Create { node: id(30), parent: ROOT, name: "l".into(), kind: Kind::Symlink, content: None };
    let heavy =
        TreeOp::Create { node: id(31), parent: ROOT, name: "h".into(), kind: Kind::Folder, content: Some(content(1)) };
    let rows = [
        (file(20, id(77), "f", 1), Refusal::Gone),
        (file(20, id(11), "f", 1), Refusal::ParentNotFolder),
        (link, Refusal::KindMismatch),
        (heavy, Refusal::KindMismatch),
        (put(1, 1, 2, 2), Refusal::KindMismatch),
        (put(77, 1, 2, 2), Refusal::Gone),
        (go(77, ROOT, 2, 2), Refusal::Gone),
        (go(11, id(77), 2, 2), Refusal::Gone),
        (go(11, id(12), 2, 2), Refusal::ParentNotFolder),
        (restore(77, None, None), Refusal::Gone),
        (put(11, 9, 2, 3), Refusal::Ahead),
        (put(11, 9, 3, 2), Refusal::Ahead),
        (delete(11, 3), Refusal::Ahead),
        (go(11, ROOT, 3, 2), Refusal::Ahead),
        (TreeOp::Delete { node: ROOT, seen: seq(2) }, Refusal::Root),
        (TreeOp::Move { node: ROOT, parent: None, name: None, seen: seq(2) }, Refusal::Root),
        (TreeOp::Restore { node: ROOT, parent: None, name: None }, Refusal::Root),
    ];
    for (op, refusal) in rows {
        server.last = 2;
        let committed = server.decide(replica(ME), "A", vec![op.clone(), file(50, ROOT, "ok", 3)]);
        assert_eq!(committed.outcomes[0].verdict, TreeVerdict::Rejected(refusal), "{op:?}");
        assert_eq!(committed.outcomes[1].verdict, TreeVerdict::Done);
        assert_eq!(committed.changes.len(), 1, "{op:?}: {:?}", committed.changes);
    }
    for op in [file(20, ROOT, "a:b", 1), rename(11, "a:b", 2, 2), folder(20, ROOT, "a:b")] {
        let committed = server.decide(replica(ME), "A", vec![op]);
        let TreeVerdict::Rejected(Refusal::Name(error)) = &committed.outcomes[0].verdict else {
            panic!("{committed:?}")
        };
        assert_eq!((error.fault, error.suggested.as_str()), (NameFault::Character(':'), "a_b"));
        assert_eq!(committed.changes, []);
    }
}

#[test]
fn who_saw_a_node_die_does_not_bring_it_back() {
    let mut server = server();
    commit(&mut server, OTHER, vec![delete(1, 2)]);
    for op in [put(11, 9, 2, 3), go(11, ROOT, 2, 3), rename(1, "e", 2, 3)] {
        assert_eq!(verdict(&mut server, ME, op), TreeVerdict::Rejected(Refusal::Gone));
    }
    assert_eq!(verdict(&mut server, ME, delete(1, 2)), TreeVerdict::Noop);
    assert_eq!(verdict(&mut server, ME, delete(77, 2)), TreeVerdict::Noop);
    assert_eq!(shown(&server), "k/");
    // But who makes something in it, knowing or not, needs it.
    assert_eq!(verdict(&mut server, ME, file(20, id(2), "new", 4)), TreeVerdict::Done);
    assert_eq!(shown(&server), "d/s/new=4; k/");
}

#[test]
fn coming_back_is_no_change_so_who_did_not_know_still_moves_and_deletes() {
    let mut server = server();
    let stamps = |server: &Server| {
        let node = server.tree.get(id(1)).unwrap();
        (node.parent_stamp, node.name_stamp)
    };
    let before = stamps(&server);
    commit(&mut server, ME, vec![delete(1, 2)]);
    assert_eq!(verdict(&mut server, OTHER, put(11, 9, 2, 2)), TreeVerdict::Revived);
    assert_eq!(stamps(&server), before);
    assert_eq!(verdict(&mut server, OTHER, rename(1, "e", 2, 2)), TreeVerdict::Done);
    assert_eq!(shown(&server), "e/x=9; k/");
    let last = server.last;
    commit(&mut server, ME, vec![delete(1, last)]);
    commit(&mut server, OTHER, vec![restore(1, None, None)]);
    assert_eq!(verdict(&mut server, ME, delete(1, last)), TreeVerdict::Done, "what came back is what was seen before");
}

#[test]
fn what_one_made_oneself_is_no_news_before_one_reads_it() {
    let mut server = server();
    commit(&mut server, ME, vec![file(20, id(1), "new", 5), rename(11, "z", 2, 2), put(12, 6, 2, 2)]);
    assert_eq!(verdict(&mut server, ME, delete(20, 2)), TreeVerdict::Done);
    assert_eq!(verdict(&mut server, ME, delete(1, 2)), TreeVerdict::Done);
    assert_eq!(shown(&server), "k/");
}

#[test]
fn a_change_of_ones_own_does_not_hide_one_of_somebody_elses() {
    let mut server = server();
    commit(&mut server, OTHER, vec![rename(11, "z", 2, 2), rename(1, "e", 2, 2)]);
    // Below a folder, and of the deleted node itself.
    let ops = vec![put(11, 7, 2, 2), delete(11, 2), go(1, id(3), 2, 2), delete(1, 2)];
    let committed = commit(&mut server, ME, ops);
    let verdicts: Vec<_> = committed.outcomes.into_iter().map(|outcome| outcome.verdict).collect();
    assert_eq!(verdicts, [TreeVerdict::Done, TreeVerdict::Superseded, TreeVerdict::Done, TreeVerdict::Superseded]);
    assert_eq!(shown(&server), "k/e/s/y=2; k/e/z=7");
    // Nor one of the same field, of which its author knows only what it was told in an answer.
    let committed = commit(&mut server, ME, vec![rename(11, "w", 3, 2), delete(11, 2)]);
    assert_eq!(committed.outcomes[1].verdict, TreeVerdict::Superseded);
}

#[test]
fn what_a_commit_makes_or_writes_survives_its_own_deletes_even_when_it_arrives_twice() {
    let mut server = server();
    let ops = vec![folder(20, id(1), "new"), file(21, id(20), "f", 5), delete(1, 2), put(12, 6, 2, 2)];
    let committed = commit(&mut server, ME, ops.clone());
    assert_eq!(committed.outcomes[2].verdict, TreeVerdict::Partial(vec![Dropped::Unseen]));
    assert_eq!(shown(&server), "d/new/f=5; d/s/y=6; k/");
    let tree = server.tree.clone();
    commit(&mut server, ME, ops);
    assert_eq!(server.tree, tree);
}

#[test]
fn a_full_tree_takes_deletes_and_what_makes_nothing_larger() {
    let mut server = server();
    server.room = Room { file_bytes_max: 50, bytes_free: 60, nodes_free: 1 };
    let full = TreeVerdict::Rejected(Refusal::QuotaExceeded);
    assert_eq!(verdict(&mut server, ME, file(20, ROOT, "f", 51)), TreeVerdict::Rejected(Refusal::TooLarge));
    assert_eq!(verdict(&mut server, ME, put(11, 51, 2, 2)), TreeVerdict::Rejected(Refusal::TooLarge));
    let two = commit(
        &mut server,
        ME,
        vec![folder(20, ROOT, "f"), folder(21, ROOT, "g"), put(11, 31, 2, 2), put(12, 30, 2, 2)],
    );
    let verdicts: Vec<_> = two.outcomes.into_iter().map(|outcome| outcome.verdict).collect();
    assert_eq!(verdicts, [TreeVerdict::Done, full.clone(), TreeVerdict::Done, full.clone()]);
    assert_eq!((two.nodes_added, two.bytes_added), (1, 31));
    server.room = Room { file_bytes_max: 50, bytes_free: 0, nodes_free: 0 };
    let last = server.last;
    assert_eq!(verdict(&mut server, ME, put(11, 32, last, last)), full);
    assert_eq!(verdict(&mut server, ME, rename(11, "z", 2, last)), TreeVerdict::Done);
    assert_eq!(verdict(&mut server, ME, delete(1, last)), TreeVerdict::Done);
}

#[test]
fn a_copy_of_the_same_bytes_that_may_be_run_is_another_content() {
    let mut server = server();
    let runs = Content { executable: true, ..content(1) };
    let op =
        |content| TreeOp::Put { node: id(11), content, base: seq(2), seen: seq(2), copy: id(99), reason: Reason::Put };
    assert_eq!(
        verdict(&mut server, ME, op(Content { bytes: 9, ..content(1) })),
        TreeVerdict::Noop,
        "times and packing aside"
    );
    assert_eq!(verdict(&mut server, ME, op(runs)), TreeVerdict::Done);
    assert_eq!(server.tree.get(id(11)).unwrap().content, Some(runs));
}

#[test]
fn an_id_that_became_another_is_answered_as_that_one() {
    let mut server = server();
    let ops = vec![folder(40, ROOT, "K"), file(41, id(40), "new", 5)];
    let committed = commit(&mut server, OTHER, ops);
    assert_eq!(committed.outcomes[0].verdict, TreeVerdict::Alias { of: id(3) });
    assert_eq!(committed.outcomes[0].node.as_ref().unwrap().1.name.as_str(), "k");
    assert_eq!(committed.nodes_added, 1);
    assert_eq!(verdict(&mut server, OTHER, folder(40, ROOT, "K")), TreeVerdict::Alias { of: id(3) });
    assert_eq!(verdict(&mut server, OTHER, file(42, id(40), "more", 6)), TreeVerdict::Done);
    assert_eq!(shown(&server), "d/s/y=2; d/x=1; k/more=6; k/new=5");
    let last = server.last;
    assert_eq!(verdict(&mut server, OTHER, delete(40, last)), TreeVerdict::Done);
    assert_eq!(shown(&server), "d/s/y=2; d/x=1");
}

#[test]
fn a_mount_is_a_node_of_its_own_kind() {
    let mut server = server();
    let kind = Kind::Mount(LogId::from_bytes([7; 16]));
    let op = TreeOp::Create { node: id(20), parent: ROOT, name: "shared".into(), kind, content: None };
    assert_eq!(verdict(&mut server, ME, op), TreeVerdict::Done);
    assert_eq!(verdict(&mut server, ME, file(21, id(20), "f", 1)), TreeVerdict::Rejected(Refusal::ParentNotFolder));
    assert_eq!(verdict(&mut server, ME, rename(20, "ours", 3, 3)), TreeVerdict::Done);
}

#[test]
fn a_name_that_many_want_in_one_commit_is_numbered() {
    let mut server = server();
    let ops: Vec<TreeOp> = (0..300).map(|n| file(100 + n, ROOT, "n.txt", u64::from(n) % 90)).collect();
    let committed = commit(&mut server, ME, ops);
    let aliases = committed.outcomes.iter().filter(|outcome| matches!(outcome.verdict, TreeVerdict::Alias { .. }));
    assert_eq!(aliases.count(), 3, "only who has the name and the same content stands for another");
    let last = server.tree.get(id(100 + 299)).unwrap();
    assert_eq!(last.name.as_str(), "n (conflict A 2023-11-14 221320) 296.txt");
}

#[test]
fn purging_forgets_the_dead_only() {
    let mut server = server();
    assert!(purge(&server.tree, id(1)).is_err());
    assert_eq!(purge(&server.tree, id(77)), Ok(vec![]));
    commit(&mut server, ME, vec![delete(1, 2)]);
    let changes = purge(&server.tree, id(1)).unwrap();
    assert_eq!(changes, [Change::Purge { root: id(1) }]);
    server.write(&changes);
    assert_eq!(server.tree.nodes().count(), 2);
    assert_eq!(verdict(&mut server, OTHER, put(11, 9, 2, 2)), TreeVerdict::Rejected(Refusal::Gone));
    assert_eq!(verdict(&mut server, OTHER, file(60, id(1), "f", 9)), TreeVerdict::Rejected(Refusal::Gone));
}
