//! Trees of files: what a decision reads of them, what is listed, and what each change does.

use std::sync::Arc;

use super::support::log;
use super::tree_world::{
    ROOT, all, ask, begin, change, content, file, folder, id, list, live, name, plant, put, replica, revision, seq,
    stamp, try_write,
};
use crate::decide::{Choice, LogWrites, Reads, Scope, TreeWrites};
use crate::id::{EntityId, LogKey};
use crate::seq::Seq;
use crate::store::{NodePage, NodeQuery, Store, StoreErrorKind, StoreExt};
use crate::tree::{Change, Found, Kind, Loaded, Node, TreeRead, TreeView};

/// `d/` (1) with `s/` (2) with `x` (3), `y` (4); `k/` (5).
fn sample() -> Vec<(EntityId, Node)> {
    vec![
        (id(1), folder(ROOT, "d", 2)),
        (id(2), folder(id(1), "s", 3)),
        (id(3), file(id(2), "x", 4)),
        (id(4), file(id(1), "y", 5)),
        (id(5), folder(ROOT, "k", 6)),
    ]
}

fn dies(root: u8, group: u64, kept: &[u8], whole: &[u8]) -> Change {
    let ids = |of: &[u8]| of.iter().copied().map(id).collect();
    Change::Tombstone { root: id(root), group: seq(group), kept: ids(kept), whole: ids(whole) }
}

fn child(parent: EntityId, typed: &str) -> TreeRead {
    TreeRead::Child { parent, key: name(typed).key() }
}

fn dead_child(parent: u8, group: u64, typed: &str) -> TreeRead {
    TreeRead::DeadChild { parent: id(parent), group: seq(group), key: name(typed).key() }
}

fn found(loaded: &Loaded, read: &TreeRead) -> Option<EntityId> {
    match read {
        TreeRead::Child { parent, key } => loaded.child(*parent, key),
        TreeRead::DeadChild { parent, group, key } => loaded.dead_child(*parent, *group, key),
        other => unreachable!("{other:?}"),
    }
    .expect("an answer")
}

async fn one(store: &dyn Store, log: LogKey, read: TreeRead) -> Option<EntityId> {
    found(&ask(store, log, vec![read.clone()]).await, &read)
}

fn ids(nodes: &[(EntityId, Node)]) -> Vec<EntityId> {
    nodes.iter().map(|(id, _)| *id).collect()
}

/// The first change of a log without a tree is the node of its root, as roots are; nothing else is one.
pub async fn a_tree_begins_with_its_root(store: Arc<dyn Store>) {
    begin(&*store, log(1)).await;
    let root = Node::root(stamp(1, 1));
    let moved = Node { created: seq(7), ..root.clone() };
    let none = [put(id(1), folder(ROOT, "d", 2)), dies(1, 2, &[], &[]), put(ROOT, moved)];
    for first in none {
        let tree = TreeWrites { changes: vec![first.clone()], ..TreeWrites::default() };
        assert_eq!(try_write(&*store, log(1), tree).await, Some(StoreErrorKind::Fault), "{first:?}");
        assert_eq!(all(&*store, log(1)).await, []);
    }
    change(&*store, log(1), vec![put(ROOT, root.clone()), put(id(1), folder(ROOT, "d", 1))]).await;
    assert_eq!(all(&*store, log(1)).await, [(id(1), folder(ROOT, "d", 1)), (ROOT, root)]);
}

/// Neither a log without one nor one that is not there.
pub async fn a_log_without_a_tree_answers_nothing(store: Arc<dyn Store>) {
    begin(&*store, log(1)).await;
    let changed = TreeRead::ChangedBelow { root: ROOT, after: Seq::ZERO, by: replica(1), limit: 9 };
    let height = TreeRead::Height { folder: ROOT, limit: 9 };
    for log in [log(1), log(2)] {
        let reads =
            vec![TreeRead::Node(ROOT), child(ROOT, "d"), dead_child(1, 2, "d"), changed.clone(), height.clone()];
        let loaded = ask(&*store, log, reads).await;
        assert_eq!(loaded.node(ROOT), Ok(Found::Nothing));
        assert_eq!([found(&loaded, &child(ROOT, "d")), found(&loaded, &dead_child(1, 2, "d"))], [None, None]);
        assert_eq!(loaded.changed_below(ROOT, Seq::ZERO, replica(1), 9), Ok(Vec::new()));
        assert_eq!(loaded.height(ROOT, 9), Ok(0));
        let asked = [
            NodeQuery::All { after: None },
            NodeQuery::Children { of: ROOT, after: None },
            NodeQuery::Trash { after: None },
            NodeQuery::One(ROOT),
        ];
        for asked in asked {
            let end = store.bounds(log).await.unwrap().map(|bounds| bounds.end());
            let nothing = NodePage { nodes: Vec::new(), more: false, end };
            assert_eq!(store.nodes(log, &asked, 9).await.unwrap(), nothing, "{asked:?}");
        }
        assert_eq!(store.revisions(log, ROOT, Seq::ZERO, 9).await.unwrap(), []);
    }
}

/// Everything above comes along; every field of every kind comes back.
pub async fn a_node_is_read_with_its_path_to_the_root(store: Arc<dyn Store>) {
    let odd = Node {
        content: Some(content(30)),
        name_stamp: stamp(9, 2),
        parent_stamp: stamp(8, 3),
        conflict_of: Some(id(4)),
        ..file(id(2), "É.txt", 4)
    };
    let link = Node { kind: Kind::Symlink, ..file(id(2), "link", 7) };
    let mount = Node { kind: Kind::Mount(log(7).log), ..folder(id(2), "mount", 7) };
    let mut nodes = sample();
    nodes.extend([(id(6), odd), (id(7), link), (id(8), mount)]);
    plant(&*store, log(1), nodes.clone()).await;
    let loaded = ask(&*store, log(1), vec![TreeRead::Node(id(6)), TreeRead::Node(id(9))]).await;
    for above in [id(6), id(2), id(1)] {
        let node = nodes.iter().find(|(id, _)| *id == above).map(|(_, node)| node.clone()).unwrap();
        assert_eq!(loaded.node(above), Ok(Found::Node(Box::new(node))));
    }
    assert_eq!(loaded.node(ROOT), Ok(Found::Node(Box::new(Node::root(stamp(1, 1))))));
    assert_eq!(loaded.node(id(9)), Ok(Found::Nothing));
    nodes.push((ROOT, Node::root(stamp(1, 1))));
    assert_eq!(all(&*store, log(1)).await, nodes);
}

/// As it is written does not matter; whether it lives does.
pub async fn a_live_child_is_found_by_its_folded_name(store: Arc<dyn Store>) {
    plant(&*store, log(1), sample()).await;
    assert_eq!(one(&*store, log(1), child(ROOT, "D")).await, Some(id(1)));
    assert_eq!(one(&*store, log(1), child(id(1), "x")).await, None, "it is in another folder");
    change(&*store, log(1), vec![dies(1, 7, &[], &[])]).await;
    assert_eq!(one(&*store, log(1), child(ROOT, "d")).await, None);
    change(&*store, log(1), vec![put(id(6), folder(ROOT, "d", 8))]).await;
    assert_eq!(one(&*store, log(1), child(ROOT, "d")).await, Some(id(6)));
}

/// Of several dead ones with one name it is the one of that group.
pub async fn what_died_with_its_folder_is_found_by_name_and_group(store: Arc<dyn Store>) {
    plant(&*store, log(1), sample()).await;
    change(&*store, log(1), vec![dies(4, 7, &[], &[])]).await;
    change(&*store, log(1), vec![put(id(6), file(id(1), "Y", 8))]).await;
    change(&*store, log(1), vec![dies(1, 9, &[], &[])]).await;
    assert_eq!(one(&*store, log(1), dead_child(1, 9, "y")).await, Some(id(6)));
    assert_eq!(one(&*store, log(1), dead_child(1, 7, "y")).await, Some(id(4)));
    assert_eq!(one(&*store, log(1), dead_child(1, 8, "y")).await, None);
    assert_eq!(one(&*store, log(1), dead_child(2, 9, "y")).await, None);
}

/// One's own changes are no news, nor what is dead, nor the folder itself; of many there are as many as asked for.
pub async fn what_others_changed_below_a_folder_is_found(store: Arc<dyn Store>) {
    let mut nodes = sample();
    nodes[2].1.name_stamp = stamp(8, 2);
    nodes[0].1.name_stamp = stamp(9, 2);
    nodes.push((id(6), file(id(5), "z", 9)));
    nodes.push((id(7), Node { dead: Some(seq(9)), ..file(id(1), "gone", 8) }));
    plant(&*store, log(1), nodes).await;
    let cases = [
        (id(1), 6, 1, 9, vec![id(3)]),
        (id(1), 6, 2, 9, vec![]),
        (id(1), 8, 1, 9, vec![]),
        (id(1), 3, 3, 9, vec![id(3), id(4)]),
        (id(5), 6, 2, 9, vec![id(6)]),
        (ROOT, 5, 3, 9, vec![id(1), id(3), id(5), id(6)]),
        (id(3), 0, 3, 9, vec![]),
    ];
    for (root, after, by, limit, expected) in cases {
        let read = TreeRead::ChangedBelow { root, after: seq(after), by: replica(by), limit };
        let loaded = ask(&*store, log(1), vec![read]).await;
        let mut changed = loaded.changed_below(root, seq(after), replica(by), limit).unwrap();
        changed.sort_unstable();
        assert_eq!(changed, expected, "below {root} after {after} by others than {by}");
        for id in changed {
            assert!(matches!(loaded.node(id), Ok(Found::Node(_))), "what changed comes along");
        }
    }
    let read = TreeRead::ChangedBelow { root: ROOT, after: seq(0), by: replica(3), limit: 2 };
    let loaded = ask(&*store, log(1), vec![read]).await;
    assert_eq!(loaded.changed_below(ROOT, seq(0), replica(3), 2).unwrap().len(), 2);
}

/// Up to the limit, which a store need not count beyond.
pub async fn the_height_of_a_folder_counts_the_dead_too(store: Arc<dyn Store>) {
    plant(&*store, log(1), sample()).await;
    change(&*store, log(1), vec![dies(2, 7, &[], &[])]).await;
    for (of, limit, expected) in
        [(ROOT, 9, 3), (ROOT, 3, 3), (ROOT, 2, 2), (ROOT, 0, 0), (id(1), 9, 2), (id(2), 9, 1), (id(5), 9, 0)]
    {
        let loaded = ask(&*store, log(1), vec![TreeRead::Height { folder: of, limit }]).await;
        assert_eq!(loaded.height(of, limit), Ok(expected), "{of} up to {limit}");
    }
}

/// What was dead keeps its group; what is kept lives alone, what is whole with what is below it.
pub async fn a_deleted_folder_takes_all_along_but_what_is_kept(store: Arc<dyn Store>) {
    let mut nodes = sample();
    nodes.extend([(id(6), file(id(2), "w", 7)), (id(7), folder(id(1), "t", 7)), (id(8), file(id(7), "v", 7))]);
    plant(&*store, log(1), nodes).await;
    change(&*store, log(1), vec![dies(4, 8, &[], &[])]).await;
    change(&*store, log(1), vec![dies(1, 9, &[1, 2, 3], &[7])]).await;
    assert_eq!(live(&*store, log(1)).await, [id(1), id(2), id(3), id(5), id(7), id(8)]);
    change(&*store, log(1), vec![dies(1, 10, &[], &[])]).await;
    let dead: Vec<_> = all(&*store, log(1)).await.into_iter().map(|(_, node)| node.dead.map(Seq::get)).collect();
    assert_eq!(dead, [Some(10), Some(10), Some(10), Some(8), None, Some(9), Some(10), Some(10), None]);
}

/// And not what died before or after.
pub async fn what_died_together_comes_back_together(store: Arc<dyn Store>) {
    plant(&*store, log(1), sample()).await;
    change(&*store, log(1), vec![dies(4, 7, &[], &[])]).await;
    change(&*store, log(1), vec![dies(1, 8, &[], &[])]).await;
    change(&*store, log(1), vec![Change::Revive { root: id(1), group: seq(7) }]).await;
    assert_eq!(live(&*store, log(1)).await, [id(5)], "it died in another group");
    change(&*store, log(1), vec![Change::Revive { root: id(1), group: seq(8) }]).await;
    assert_eq!(live(&*store, log(1)).await, [id(1), id(2), id(3), id(5)]);
    assert_eq!(one(&*store, log(1), child(id(2), "x")).await, Some(id(3)));
    change(&*store, log(1), vec![Change::Revive { root: id(4), group: seq(7) }]).await;
    assert_eq!(live(&*store, log(1)).await, [id(1), id(2), id(3), id(4), id(5)]);
}

/// For decisions, with the path of what it leads to, and for who lists one node.
pub async fn an_alias_leads_to_what_stands_for_it(store: Arc<dyn Store>) {
    plant(&*store, log(1), sample()).await;
    change(&*store, log(1), vec![Change::Alias { new: id(9), of: id(3) }]).await;
    let loaded = ask(&*store, log(1), vec![TreeRead::Node(id(9))]).await;
    assert_eq!(loaded.node(id(9)), Ok(Found::Alias(id(3))));
    for above in [id(3), id(2), id(1), ROOT] {
        assert!(matches!(loaded.node(above), Ok(Found::Node(_))), "{above} came along");
    }
    let shown = list(&*store, log(1), NodeQuery::One(id(9)), 5).await;
    assert_eq!(shown, [(id(3), file(id(2), "x", 4))]);
    assert_eq!(ids(&list(&*store, log(1), NodeQuery::One(id(2)), 5).await), [id(2)]);
    assert_eq!(list(&*store, log(1), NodeQuery::One(id(8)), 5).await, []);
}

/// Those below as well, whenever they died; a purge of nothing is no error.
pub async fn purging_forgets_nodes_aliases_and_revisions(store: Arc<dyn Store>) {
    plant(&*store, log(1), sample()).await;
    plant(&*store, log(2), sample()).await;
    let changes =
        vec![Change::Alias { new: id(9), of: id(3) }, Change::Alias { new: id(8), of: id(5) }, dies(4, 7, &[], &[])];
    let revisions = vec![revision(id(3), 4), revision(id(3), 6), revision(id(4), 5), revision(id(6), 5)];
    let tree = TreeWrites { changes, revisions, forgotten: Vec::new() };
    assert_eq!(try_write(&*store, log(1), tree.clone()).await, None);
    assert_eq!(try_write(&*store, log(2), tree).await, None);
    change(&*store, log(1), vec![put(id(6), file(id(5), "w", 7)), dies(1, 8, &[], &[])]).await;
    change(&*store, log(1), vec![Change::Purge { root: id(1) }, Change::Purge { root: id(40) }]).await;
    assert_eq!(ids(&all(&*store, log(1)).await), [id(5), id(6), ROOT]);
    let loaded = ask(&*store, log(1), vec![TreeRead::Node(id(9)), TreeRead::Node(id(8)), TreeRead::Node(id(3))]).await;
    assert_eq!(loaded.node(id(9)), Ok(Found::Nothing));
    assert_eq!(loaded.node(id(8)), Ok(Found::Alias(id(5))));
    for (node, kept) in [(3, 0), (4, 0), (6, 1)] {
        assert_eq!(store.revisions(log(1), id(node), Seq::ZERO, 9).await.unwrap().len(), kept, "of {node}");
    }
    assert_eq!(list(&*store, log(1), NodeQuery::Trash { after: None }, 9).await, []);
    assert_eq!(store.revisions(log(2), id(3), Seq::ZERO, 9).await.unwrap().len(), 2, "another log has its own");
    assert_eq!(all(&*store, log(2)).await.len(), 6, "another log has its own");
}

/// Two and three swap; one takes the name of one that dies, one comes back where another has gone from.
pub async fn names_change_hands_in_one_write(store: Arc<dyn Store>) {
    let names = ["a", "b", "c"];
    let nodes = (1..=3).map(|n| (id(n), file(ROOT, names[usize::from(n) - 1], 2))).collect();
    plant(&*store, log(1), nodes).await;
    let named = |n: u8, typed: &str, at| put(id(n), file(ROOT, typed, at));
    let holders = async || {
        let children = list(&*store, log(1), NodeQuery::Children { of: ROOT, after: None }, 9).await;
        children.into_iter().map(|(id, node)| (id, node.name.as_str().to_owned())).collect::<Vec<_>>()
    };
    let held = |of: &[(u8, &str)]| of.iter().map(|(n, typed)| (id(*n), (*typed).to_owned())).collect::<Vec<_>>();
    change(&*store, log(1), vec![named(1, "b", 3), named(2, "a", 3)]).await;
    assert_eq!(holders().await, held(&[(2, "a"), (1, "b"), (3, "c")]));
    change(&*store, log(1), vec![named(1, "c", 4), named(2, "B", 4), named(3, "a", 4)]).await;
    assert_eq!(holders().await, held(&[(3, "a"), (2, "B"), (1, "c")]));
    change(&*store, log(1), vec![dies(3, 5, &[], &[]), named(1, "A", 5), named(4, "c", 5)]).await;
    assert_eq!(holders().await, held(&[(1, "A"), (2, "B"), (4, "c")]));
    change(&*store, log(1), vec![Change::Revive { root: id(3), group: seq(5) }, dies(1, 6, &[], &[])]).await;
    assert_eq!(holders().await, held(&[(3, "a"), (2, "B"), (4, "c")]));
    assert_eq!(one(&*store, log(1), child(ROOT, "A")).await, Some(id(3)));
}

/// Live and dead, after any id, page by page.
pub async fn nodes_are_listed_by_id(store: Arc<dyn Store>) {
    plant(&*store, log(1), sample()).await;
    plant(&*store, log(2), sample()).await;
    change(&*store, log(1), vec![dies(2, 7, &[], &[])]).await;
    let expected = [id(1), id(2), id(3), id(4), id(5), ROOT];
    for limit in [1, 2, 3, 6, 7] {
        assert_eq!(ids(&list(&*store, log(1), NodeQuery::All { after: None }, limit).await), expected);
    }
    let behind = NodeQuery::All { after: Some(EntityId::from_bytes([3; 16].map(|byte: u8| byte + 1))) };
    assert_eq!(ids(&list(&*store, log(1), behind, 9).await), [id(5), ROOT]);
    let none = store.nodes(log(1), &NodeQuery::All { after: None }, 0).await.unwrap();
    assert_eq!((none.nodes.len(), none.more), (0, true));
}

/// Whatever language a database sorts by.
pub async fn children_are_listed_by_folded_name_as_bytes(store: Arc<dyn Store>) {
    let names = ["b", "A", "Z", "é", "a b", "a-b", "aß", "日本", "_", "10", "9", "a"];
    let nodes: Vec<_> = (1..).zip(names).map(|(n, typed)| (id(n), file(ROOT, typed, 2))).collect();
    // One name as it is written first and another, later, that folds to the same is no child of the same folder.
    let mut nodes: Vec<_> = nodes.into_iter().filter(|(_, node)| node.name.as_str() != "a").collect();
    nodes.push((id(30), folder(ROOT, "sub", 2)));
    nodes.push((id(31), file(id(30), "below", 2)));
    nodes.push((id(32), Node { dead: Some(seq(3)), ..file(ROOT, "dead", 2) }));
    let mut expected: Vec<_> =
        nodes.iter().filter(|(_, node)| node.parent == Some(ROOT) && node.dead.is_none()).collect();
    expected.sort_by(|one, other| one.1.name.key().as_str().as_bytes().cmp(other.1.name.key().as_str().as_bytes()));
    let expected: Vec<_> = expected.into_iter().cloned().collect();
    plant(&*store, log(1), nodes).await;
    for limit in [1, 2, 5, 50] {
        let children = list(&*store, log(1), NodeQuery::Children { of: ROOT, after: None }, limit).await;
        assert_eq!(children, expected);
    }
    let behind = NodeQuery::Children { of: ROOT, after: Some(name("a-c").key()) };
    assert_eq!(list(&*store, log(1), behind, 50).await[0].1.name, name("aß"));
    assert_eq!(list(&*store, log(1), NodeQuery::Children { of: id(31), after: None }, 9).await, []);
}

/// What died below them does not show, unless it died apart; what is kept in a dead folder makes roots of what is below.
pub async fn the_trash_lists_the_roots_of_what_was_deleted(store: Arc<dyn Store>) {
    plant(&*store, log(1), sample()).await;
    let trash = async |limit| ids(&list(&*store, log(1), NodeQuery::Trash { after: None }, limit).await);
    change(&*store, log(1), vec![dies(4, 7, &[], &[])]).await;
    assert_eq!(trash(9).await, [id(4)]);
    change(&*store, log(1), vec![dies(1, 8, &[1, 2], &[])]).await;
    assert_eq!(trash(1).await, [id(3), id(4)], "its folder lives");
    change(&*store, log(1), vec![dies(2, 9, &[], &[]), dies(1, 9, &[], &[])]).await;
    assert_eq!(trash(2).await, [id(1), id(3), id(4)], "one is below another of the same group");
    change(&*store, log(1), vec![Change::Revive { root: id(1), group: seq(9) }]).await;
    assert_eq!(trash(1).await, [id(3), id(4)]);
    change(&*store, log(1), vec![dies(1, 10, &[], &[])]).await;
    let bare = folder(ROOT, "d", 11);
    change(&*store, log(1), vec![put(id(1), bare.clone())]).await;
    assert_eq!(trash(9).await, [id(2), id(3), id(4)], "it came back alone");
    let again = Node { dead: Some(seq(10)), ..bare };
    change(&*store, log(1), vec![put(id(1), again)]).await;
    assert_eq!(trash(9).await, [id(1), id(3), id(4)]);
    let moved = Node { dead: Some(seq(10)), ..folder(id(5), "s", 12) };
    change(&*store, log(1), vec![put(id(2), moved)]).await;
    assert_eq!(trash(9).await, [id(1), id(2), id(3), id(4)]);
    assert_eq!(ids(&list(&*store, log(1), NodeQuery::Trash { after: Some(id(2)) }, 9).await), [id(3), id(4)]);
}

/// Page by page; what is not there is forgotten without an error.
pub async fn revisions_come_oldest_first_and_may_be_forgotten(store: Arc<dyn Store>) {
    plant(&*store, log(1), sample()).await;
    let of = |node: u8, at: &[u64]| at.iter().map(|at| revision(id(node), *at)).collect::<Vec<_>>();
    let revisions = [of(3, &[9, 4, 6, 1]), of(4, &[5])].concat();
    let tree = TreeWrites { revisions, ..TreeWrites::default() };
    assert_eq!(try_write(&*store, log(1), tree).await, None);
    assert_eq!(store.revisions(log(1), id(3), Seq::ZERO, 9).await.unwrap(), of(3, &[1, 4, 6, 9]));
    assert_eq!(store.revisions(log(1), id(3), seq(1), 2).await.unwrap(), of(3, &[4, 6]));
    assert_eq!(store.revisions(log(1), id(3), seq(9), 2).await.unwrap(), []);
    let forgotten = vec![(id(3), seq(4)), (id(3), seq(5)), (id(40), seq(4))];
    let tree = TreeWrites { forgotten, ..TreeWrites::default() };
    assert_eq!(try_write(&*store, log(1), tree).await, None);
    assert_eq!(store.revisions(log(1), id(3), Seq::ZERO, 9).await.unwrap(), of(3, &[1, 6, 9]));
    assert_eq!(store.revisions(log(1), id(4), Seq::ZERO, 9).await.unwrap(), of(4, &[5]));
    assert_eq!(store.revisions(log(2), id(4), Seq::ZERO, 9).await.unwrap(), []);
}

/// Erased with it, and begun anew with it in one write; nothing of the old one shows through.
pub async fn a_tree_is_of_its_log_and_goes_with_it(store: Arc<dyn Store>) {
    for number in 1..=3 {
        plant(&*store, log(number), sample()).await;
        let changes = vec![Change::Alias { new: id(9), of: id(3) }, dies(1, 7, &[], &[])];
        let tree = TreeWrites { changes, revisions: vec![revision(id(3), 4)], forgotten: Vec::new() };
        assert_eq!(try_write(&*store, log(number), tree).await, None);
    }
    let bounds = store.bounds(log(2)).await.unwrap().unwrap();
    let root = vec![put(id(9), Node::root(stamp(1, 1)))];
    let tree = TreeWrites { changes: root, ..TreeWrites::default() };
    for writes in [LogWrites::forget(log(1)), LogWrites { tree, ..LogWrites::anew(log(2), bounds) }] {
        let scope = Scope::log(writes.log, Reads::default());
        store.decide(scope, move |_| Choice::Done((), Some(writes.clone().alone()))).await.unwrap();
    }
    begin(&*store, log(1)).await;
    assert_eq!(all(&*store, log(1)).await, []);
    assert_eq!(all(&*store, log(2)).await, [(id(9), Node::root(stamp(1, 1)))]);
    for number in [1, 2] {
        assert_eq!(store.revisions(log(number), id(3), Seq::ZERO, 9).await.unwrap(), []);
        assert_eq!(list(&*store, log(number), NodeQuery::Trash { after: None }, 9).await, []);
    }
    assert_eq!(ask(&*store, log(1), vec![TreeRead::Node(id(9))]).await.node(id(9)), Ok(Found::Nothing));
    assert_eq!(all(&*store, log(3)).await.len(), 6);
    assert_eq!(store.revisions(log(3), id(3), Seq::ZERO, 9).await.unwrap().len(), 1);
}

/// Everything that was written before the fault was met is undone, in the whole write set.
pub async fn writes_that_would_make_the_tree_none_are_refused_whole(store: Arc<dyn Store>) {
    plant(&*store, log(1), sample()).await;
    change(&*store, log(1), vec![dies(5, 7, &[], &[])]).await;
    let before = all(&*store, log(1)).await;
    let x = file(id(2), "x", 4);
    let faults: Vec<(&str, Vec<Change>)> = vec![
        ("two live siblings have one name", vec![put(id(6), file(ROOT, "D", 8))]),
        ("a parent that is not there", vec![put(id(6), file(id(20), "a", 8))]),
        ("a parent that is no folder", vec![put(id(6), file(id(4), "a", 8))]),
        ("a parent that is dead", vec![put(id(6), file(id(5), "a", 8))]),
        ("a folder below itself", vec![put(id(1), folder(id(2), "d", 8))]),
        ("a folder in itself", vec![put(id(2), folder(id(2), "d", 8))]),
        ("a second root", vec![put(id(6), Node::root(stamp(8, 1)))]),
        ("a root that moves", vec![put(ROOT, folder(id(1), "root", 8))]),
        ("a root that dies", vec![Change::Tombstone { root: ROOT, group: seq(8), kept: vec![], whole: vec![] }]),
        ("a node of another kind than before", vec![put(id(3), Node { kind: Kind::Symlink, ..x.clone() })]),
        ("a file without content", vec![put(id(3), Node { content: None, ..x.clone() })]),
        ("a folder with content", vec![put(id(1), Node { content: Some(content(1)), ..folder(ROOT, "d", 2) })]),
        ("what lives is purged", vec![Change::Purge { root: id(2) }]),
        ("what is kept has no live folder", vec![dies(1, 8, &[3], &[])]),
        ("what is whole has no live folder", vec![dies(1, 8, &[], &[2])]),
        (
            "it comes back into a dead folder",
            vec![dies(3, 8, &[], &[]), dies(1, 9, &[], &[]), Change::Revive { root: id(3), group: seq(8) }],
        ),
        (
            "it comes back beside one of its name",
            vec![put(id(6), folder(ROOT, "K", 8)), Change::Revive { root: id(5), group: seq(7) }],
        ),
        (
            "a folder dies and what is in it does not",
            vec![put(id(1), Node { dead: Some(seq(8)), ..folder(ROOT, "d", 2) })],
        ),
        ("it died after its folder", vec![put(id(6), Node { dead: Some(seq(9)), ..file(id(5), "z", 6) })]),
    ];
    for (what, mut changes) in faults {
        changes.insert(0, put(id(7), file(ROOT, "first", 8)));
        let tree = TreeWrites { changes, revisions: vec![revision(id(3), 4)], forgotten: Vec::new() };
        assert_eq!(try_write(&*store, log(1), tree).await, Some(StoreErrorKind::Fault), "{what}");
        assert_eq!(all(&*store, log(1)).await, before, "{what}");
        assert_eq!(store.revisions(log(1), id(3), Seq::ZERO, 9).await.unwrap(), [], "{what}");
    }
    change(&*store, log(1), vec![put(id(7), file(ROOT, "first", 8))]).await;
}
