//! Several trees on one device: what is held back until it is agreed on elsewhere, and what a shared folder takes along.

use std::collections::HashSet;

use syncline::files::{
    Base, Body, Fingerprint, Found, Held, Identity, Issues, Local, Remote, Scan, Wanted, What, arrivals, carried,
    hold_back, misses_any, plan, recognize,
};
use syncline::id::LogId;
use syncline::seq::Seq;
use syncline::tree::{Change, Kind, MemoryTree, Name, NamePolicy, Node, Stamp, TreeOp};
use syncline::{EntityId, ReplicaId};

const ROOT: EntityId = EntityId::from_bytes([0; 16]);
const SHARED: LogId = LogId::from_bytes([9; 16]);

fn id(number: u8) -> EntityId {
    EntityId::from_bytes([number; 16])
}

fn seq(value: u64) -> Seq {
    Seq::new(value).unwrap()
}

fn print(inode: u64) -> Fingerprint {
    let identity = Identity { device: 1, inode, born_ns: Some(7) };
    Fingerprint { size: 0, modified_ns: 0, changed_ns: 0, identity }
}

fn node(parent: EntityId, name: &str, kind: Kind, at: u64, dead: Option<u64>) -> Node {
    let stamp = Stamp { seq: seq(at), by: ReplicaId::from_bytes([1; 16]) };
    Node {
        parent: Some(parent),
        name: Name::new(name, NamePolicy::Strict).unwrap(),
        kind,
        content: None,
        content_stamp: stamp,
        parent_stamp: stamp,
        name_stamp: stamp,
        created: seq(at),
        dead: dead.map(seq),
        conflict_of: None,
    }
}

/// Folders by their numbers, which are also those on the disk.
fn holds(nodes: &[(u8, EntityId, &str)]) -> Base {
    let mut base = Base::new(ROOT);
    for (number, parent, name) in nodes {
        let node = node(*parent, name, Kind::Folder, 2, None);
        base.hold(id(*number), Held::of(&node, *parent, (*name).to_owned(), Some(print(u64::from(*number)))));
    }
    base
}

fn tree(nodes: Vec<(u8, Node)>) -> MemoryTree {
    let mut tree = MemoryTree::new(ROOT, Stamp { seq: Seq::FIRST, by: ReplicaId::SERVER });
    let change = |(number, node): (u8, Node)| Change::Node { id: id(number), node: Box::new(node) };
    tree.apply(&nodes.into_iter().map(change).collect::<Vec<_>>()).unwrap();
    tree
}

fn scan(entries: &[(Option<usize>, &str, u64)]) -> Scan {
    let found = entries.iter().map(|(parent, name, inode)| Found {
        parent: *parent,
        name: (*name).to_owned(),
        what: What::Folder,
        print: print(*inode),
    });
    Scan { found: found.collect(), unread: Vec::new() }
}

struct All;

impl Wanted for All {
    fn here(&self, _: EntityId) -> bool {
        true
    }

    fn waits(&self, _: EntityId) -> bool {
        false
    }

    fn name_here(&self, _: EntityId, node: &Node) -> String {
        node.name.as_str().to_owned()
    }
}

fn found(scan: &Scan, base: &Base, remote: &MemoryTree) -> Local {
    let mut next = 100;
    recognize(scan, base, remote, &|_| None, &mut || {
        next += 1;
        id(next)
    })
}

fn told(base: &Base, local: &Local, remote: &MemoryTree) -> Vec<TreeOp> {
    let remote = Remote { tree: remote, last: seq(9) };
    let plan = plan(remote, base, local, &Issues::default(), &All, false, &mut || id(200)).unwrap();
    plan.wishes.into_iter().map(|wish| wish.op).collect()
}

/// E50: the delete waits for as long as the copy is not agreed on, and no longer.
#[test]
fn e50_a_delete_waits_for_as_long_as_its_copy_is_not_agreed_on_beyond_the_border() {
    let base = holds(&[(1, ROOT, "a"), (2, id(1), "b"), (3, ROOT, "stays")]);
    let remote = tree(vec![
        (1, node(ROOT, "a", Kind::Folder, 2, None)),
        (2, node(id(1), "b", Kind::Folder, 2, None)),
        (3, node(ROOT, "stays", Kind::Folder, 2, None)),
    ]);
    // Both left together, or the inner one alone; the other folder has them, and something of its own.
    let elsewhere = scan(&[(None, "moved", 1), (Some(0), "b", 2), (None, "own", 50)]);
    for (left, gone) in [(vec![(None, "stays", 3)], vec![1, 2]), (vec![(None, "a", 1), (None, "stays", 3)], vec![2])] {
        let here = scan(&left);
        let mut local = found(&here, &base, &remote);
        assert!(misses_any(&local, &base));
        let arrived = arrivals(&elsewhere, &Base::new(ROOT));
        assert_eq!(hold_back(&mut local, &base, Some(&arrived)), gone.len());
        assert_eq!(told(&base, &local, &remote), [], "nothing is told before");
        let mut local = found(&here, &base, &remote);
        assert_eq!(hold_back(&mut local, &base, None), gone.len(), "nor where nobody knows");
        assert_eq!(told(&base, &local, &remote), []);
        // Agreed on there, under whatever id and name.
        let mut there = Base::new(ROOT);
        for (number, inode) in [(61, 1), (62, 2)] {
            let name = format!("n{number}");
            let node = node(ROOT, &name, Kind::Folder, 5, None);
            there.hold(id(number), Held::of(&node, ROOT, name, Some(print(inode))));
        }
        let mut local = found(&here, &base, &remote);
        assert_eq!(hold_back(&mut local, &base, Some(&arrivals(&elsewhere, &there))), 0);
        let deleted: Vec<EntityId> = told(&base, &local, &remote).iter().map(TreeOp::node).collect();
        assert_eq!(deleted, [id(gone[0])], "once");
    }
    let local = found(&scan(&[(None, "a", 1), (Some(0), "b", 2), (None, "stays", 3)]), &base, &remote);
    assert!(!misses_any(&local, &base));
}

#[test]
fn a_mount_is_a_folder_whose_inside_is_nobodys_here() {
    let kind = Kind::Mount(SHARED);
    let remote = tree(vec![(1, node(ROOT, "d", kind, 2, None))]);
    let mut base = Base::new(ROOT);
    base.hold(id(1), Held::of(&node(ROOT, "d", kind, 2, None), ROOT, "d".to_owned(), Some(print(1))));
    assert_eq!(base.get(id(1)).map(|held| held.body), Some(Body::Here));
    // Renamed: told as a move, and nothing of what is in it.
    let moved = scan(&[(None, "e", 1), (Some(0), "x", 2), (Some(1), "y", 3)]);
    let local = found(&moved, &base, &remote);
    assert_eq!(local.nodes.len(), 1);
    assert!(matches!(&told(&base, &local, &remote)[..], [TreeOp::Move { node, .. }] if *node == id(1)));
    // Another folder of its name is another one, and not put into it.
    let beside = scan(&[(None, "e", 1), (None, "d", 4)]);
    let local = found(&beside, &base, &remote);
    assert!(local.doubles.is_empty() && local.nodes.len() == 2);
    // Deleted: the mount is, and nothing else. Where nobody knows what lies beyond, it is all the same.
    let mut local = found(&scan(&[(None, "z", 4)]), &base, &remote);
    assert_eq!(hold_back(&mut local, &base, None), 0);
    assert!(told(&base, &local, &remote).iter().any(|op| matches!(op, TreeOp::Delete { node, .. } if *node == id(1))));
    // A device that remembers nothing takes the folder for the mount.
    let local = found(&scan(&[(None, "d", 1), (Some(0), "x", 2)]), &Base::new(ROOT), &remote);
    assert_eq!(local.nodes.keys().collect::<Vec<_>>(), [&id(1)]);
}

/// What is held of the folder, and what the server has of it; whether it is carried, and as what is known.
#[test]
fn what_is_held_of_a_folder_that_was_shared_is_held_of_what_it_became() {
    let base = holds(&[(1, ROOT, "d"), (2, id(1), "s"), (3, id(2), "t"), (4, ROOT, "z")]);
    let mount = (8, node(ROOT, "d", Kind::Mount(SHARED), 5, None));
    let dead = |number: u8, parent, name: &str, at| (number, node(parent, name, Kind::Folder, at, Some(5)));
    let rest = (4, node(ROOT, "z", Kind::Folder, 2, None));
    // What was changed by another before the share was not seen here.
    let all = vec![dead(1, ROOT, "d", 2), dead(2, id(1), "s", 2), dead(3, id(2), "t", 4), rest.clone(), mount.clone()];
    let [carry] = &carried(&base, &tree(all.clone()))[..] else { panic!("nothing is carried") };
    assert_eq!((carry.folder, carry.mount.0, carry.log), (id(1), id(8), SHARED));
    let held: Vec<_> = carry.held.iter().map(|(id, held)| (*id, held.parent, held.name_seq, held.print)).collect();
    let expected = [(id(2), ROOT, Seq::FIRST, Some(print(2))), (id(3), id(2), Seq::ZERO, Some(print(3)))];
    assert_eq!(held, expected);
    let mut after = base.clone();
    let changed: HashSet<EntityId> = after.carry(carry).into_iter().collect();
    assert_eq!(changed, [1, 2, 3, 8].map(id).into());
    assert_eq!(
        (after.len(), after.at(ROOT, "d"), after.get(id(8)).and_then(|held| held.print)),
        (2, Some(id(8)), Some(print(1)))
    );
    assert_eq!(carried(&after, &tree(all)), [], "once");
    // Something in it lives elsewhere by now; two folders died with it; it lives again; the mount was made at another time.
    let elsewhere = vec![
        dead(1, ROOT, "d", 2),
        (2, node(ROOT, "s", Kind::Folder, 4, None)),
        (3, node(id(2), "t", Kind::Folder, 2, None)),
        rest.clone(),
        mount.clone(),
    ];
    let two = vec![dead(1, ROOT, "d", 2), dead(4, ROOT, "z", 2), mount.clone()];
    let alive = vec![(1, node(ROOT, "other", Kind::Folder, 2, None)), rest.clone(), mount];
    let later = vec![dead(1, ROOT, "d", 2), rest, (8, node(ROOT, "d", Kind::Mount(SHARED), 6, None))];
    for (why, nodes) in [("elsewhere", elsewhere), ("two", two), ("alive", alive), ("later", later)] {
        assert_eq!(carried(&base, &tree(nodes)), [], "{why}");
    }
}
