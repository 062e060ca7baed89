//! What is kept of the past: the trash, and revisions as they grow old.

use syncline::limits::REVISIONS_KEPT_MAX;
use syncline::tree::{Change, Damage, Kept, Kind, NameKey, Node, Retention, thin};
use syncline::{Seq, Timestamp};

use crate::fuzz::Dice;
use crate::rules::{delete, file, folder};
use crate::server::{NOW_MS, ROOT, Server, id, replica, seq};

const SECOND: u64 = 1_000;
const HOUR: u64 = 3_600 * SECOND;
const DAY: u64 = 24 * HOUR;

fn now() -> Timestamp {
    Timestamp::from_ms(NOW_MS).unwrap()
}

/// Revisions of these ages, numbered from 1.
fn aged(ages: &[u64]) -> Vec<Kept> {
    let kept =
        |(at, age): (usize, &u64)| Kept { seq: seq(at as u64 + 1), accepted_at: now().minus_ms(*age), held: false };
    ages.iter().enumerate().map(kept).collect()
}

fn gone(ages: &[u64]) -> Vec<u64> {
    thin(&aged(ages), Retention::default(), now()).into_iter().map(Seq::get).collect()
}

#[test]
fn older_revisions_are_further_apart_and_the_oldest_of_those_too_close_stays() {
    // Within an hour half a minute, within a day an hour, within a month a day, then a week.
    assert_eq!(gone(&[90 * SECOND, 61 * SECOND, 60 * SECOND, 31 * SECOND, 30 * SECOND, 0]), [2, 4]);
    assert_eq!(gone(&[5 * HOUR, 4 * HOUR + 1, 4 * HOUR, 3 * HOUR + 1, 0]), [2, 4]);
    assert_eq!(gone(&[20 * DAY, 19 * DAY + 1, 19 * DAY, 18 * DAY + 1, 0]), [2, 4]);
    assert_eq!(gone(&[60 * DAY, 53 * DAY + 1, 53 * DAY, 46 * DAY + 1, 0]), [2, 4]);
    assert_eq!(gone(&[90 * DAY + 1, 90 * DAY, 0]), [1]);
    // On the borders the closer rule holds.
    assert_eq!(gone(&[HOUR + 30 * SECOND, HOUR, 0]), [0; 0]);
    assert_eq!(gone(&[HOUR + 30 * SECOND, HOUR + 1, 0]), [2]);
    assert_eq!(gone(&[DAY + 1, DAY - HOUR + 1, 0]), [0; 0]);
}

#[test]
fn the_newest_revision_and_held_ones_stay_whatever_their_age() {
    assert_eq!(gone(&[]), [0; 0]);
    assert_eq!(gone(&[1_000 * DAY]), [0; 0]);
    assert_eq!(gone(&[1_001 * DAY, 1_000 * DAY]), [1]);
    let mut revisions = aged(&[1_000 * DAY, 30 * SECOND, 20 * SECOND, 10 * SECOND, 0]);
    (revisions[0].held, revisions[2].held) = (true, true);
    assert_eq!(thin(&revisions, Retention::default(), now()), [seq(4)]);
}

#[test]
fn there_are_never_more_revisions_than_the_limit_and_the_oldest_go_first() {
    let many = |count: usize| aged(&(0..count as u64).rev().map(|nth| nth * 31 * SECOND).collect::<Vec<_>>());
    for (count, left) in [(99, 99), (100, 100), (101, 100)] {
        let gone = thin(&many(count), Retention::default(), now());
        assert_eq!(count - gone.len(), left);
        assert!(gone.len() < 2 && gone.iter().all(|gone| *gone == Seq::FIRST));
    }
    let asked = |max_versions| thin(&many(90), Retention { max_versions, ..Retention::default() }, now()).len();
    assert_eq!((asked(1), asked(0), asked(2), asked(REVISIONS_KEPT_MAX + 1)), (89, 89, 88, 0));
}

#[test]
fn thinning_twice_is_thinning_once() {
    let mut dice = Dice::new(4);
    for _ in 0..2_000 {
        let count = dice.below(60);
        let mut ages: Vec<u64> = (0..count)
            .map(|_| {
                let span = [HOUR, DAY, 40 * DAY, 120 * DAY][dice.below(4)];
                dice.below(usize::try_from(span).unwrap()) as u64
            })
            .collect();
        ages.sort_unstable_by(|a, b| b.cmp(a));
        let mut revisions = aged(&ages);
        for revision in &mut revisions {
            revision.held = dice.below(10) == 0;
        }
        let gone = thin(&revisions, Retention::default(), now());
        assert!(gone.is_sorted());
        let left: Vec<Kept> = revisions.iter().filter(|revision| !gone.contains(&revision.seq)).copied().collect();
        assert!(revisions.iter().filter(|revision| revision.held).all(|held| left.contains(held)));
        assert_eq!(left.last(), revisions.last());
        assert_eq!(thin(&left, Retention::default(), now()), [], "{ages:?}");
    }
}

#[test]
fn the_trash_lists_what_was_deleted_and_not_what_was_below_it() {
    let mut server = Server::new();
    let ops = vec![folder(1, ROOT, "d"), folder(2, id(1), "s"), file(3, id(2), "x", 1), file(4, ROOT, "y", 2)];
    server.commit(replica(1), "A", ops);
    server.commit(replica(1), "A", vec![delete(3, 2)]);
    server.commit(replica(1), "A", vec![delete(1, 3), delete(4, 3)]);
    let ids = |after, limit| server.tree.trash(after, limit).map(|(id, _)| id).collect::<Vec<_>>();
    assert_eq!(ids(None, 10), [id(1), id(3), id(4)], "a folder, what was deleted in it before, a file");
    assert_eq!(ids(None, 2), [id(1), id(3)]);
    assert_eq!(ids(Some(id(3)), 2), [id(4)]);
    assert_eq!(ids(Some(id(4)), 2), []);
}

#[test]
fn children_are_read_by_name_in_pages_and_paths_by_folded_names() {
    let mut server = Server::new();
    let names = ["b", "A", "c", "B2", "d"];
    let ops = (1..).zip(names).map(|(number, name)| folder(number, ROOT, name)).collect();
    server.commit(replica(1), "A", ops);
    server.commit(replica(1), "A", vec![file(10, id(2), "Straße", 1), delete(5, 2)]);
    let page = |after: Option<&NameKey>, limit| {
        let page = server.tree.children(ROOT, after, limit);
        page.map(|(_, node)| node.name.as_str().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(page(None, 2), ["A", "b"]);
    let after = server.tree.get(id(1)).unwrap().name.key();
    assert_eq!(page(Some(&after), 2), ["B2", "c"]);
    assert_eq!(page(None, 10).len(), 4);
    let key = |name: &str| syncline::tree::Name::new(name, syncline::tree::NamePolicy::Strict).unwrap().key();
    assert_eq!(server.tree.at(&[key("a"), key("STRASSE")]), Some(id(10)));
    assert_eq!(server.tree.at(&[key("a"), key("nothing")]), None);
    assert_eq!(server.tree.at(&[]), Some(ROOT));
}

/// Why: changes come over the network. How: each breaks one thing that must hold; the tree refuses it and stays as it was.
#[test]
fn changes_that_would_damage_a_tree_are_refused_and_leave_it_as_it_was() {
    let mut server = Server::new();
    let ops = vec![folder(1, ROOT, "d"), folder(2, id(1), "s"), file(3, id(2), "x", 1), file(4, ROOT, "y", 2)];
    server.commit(replica(1), "A", ops);
    let node = |number: u32, change: &dyn Fn(&mut Node)| {
        let mut node = server.tree.get(id(number)).unwrap().clone();
        change(&mut node);
        Change::Node { id: id(number), node: Box::new(node) }
    };
    let circle = || node(1, &|node| node.parent = Some(id(2)));
    let kept = vec![id(1), id(2)];
    let rows = [
        (vec![node(3, &|node| node.parent = Some(id(77)))], Damage::Parent(id(3))),
        (vec![node(3, &|node| node.parent = Some(id(4)))], Damage::Parent(id(3))),
        (vec![node(3, &|node| node.parent = None)], Damage::Root),
        (vec![node(2, &|node| node.dead = Some(seq(2)))], Damage::Dead(id(3))),
        (
            vec![node(2, &|node| node.dead = Some(seq(2))), node(3, &|node| node.dead = Some(seq(3)))],
            Damage::Group(id(3)),
        ),
        (vec![circle()], Damage::Circle(id(1))),
        (vec![circle(), Change::Tombstone { root: id(1), group: seq(3), kept, whole: vec![] }], Damage::Circle(id(1))),
        (vec![node(4, &|node| node.name = server.tree.get(id(1)).unwrap().name.clone())], Damage::Name(id(4))),
        (vec![node(4, &|node| node.kind = Kind::Symlink)], Damage::Kind(id(4))),
        (vec![node(4, &|node| node.content = None)], Damage::Kind(id(4))),
        (vec![Change::Purge { root: id(1) }], Damage::Alive(id(1))),
        (vec![Change::Tombstone { root: ROOT, group: seq(3), kept: vec![], whole: vec![] }], Damage::Root),
    ];
    for (changes, damage) in rows {
        let mut tree = server.tree.clone();
        assert_eq!(tree.apply(&changes), Err(damage), "{changes:?}");
        assert_eq!(tree, server.tree);
    }
}
