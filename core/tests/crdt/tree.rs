//! Trees: never a circle, whoever moves what; against every order of small races; and what they cost.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;
use syncline::crdt::position::Position;
use syncline::crdt::{Content, ItemId, Moment, Parent, Spot, Tree, TreeEdit, TreeError};
use syncline::limits;

use crate::world::{moment, session, text};

fn made(author: usize, number: usize) -> ItemId {
    ItemId::first(moment(author, number, 1).op)
}

fn apply(tree: &mut Tree, at: &Moment, edits: Vec<TreeEdit>) {
    tree.apply(at, edits);
}

/// Nodes 0..many under the root.
fn flat(many: usize) -> Tree {
    let mut tree = Tree::default();
    for number in 0..many {
        let edit = tree.inserting(None, number, text(number), session(0)).unwrap();
        apply(&mut tree, &moment(0, number, number as u64), edit);
    }
    tree
}

fn under(parent: usize) -> Spot {
    let place = Position::between(None, None, session(0)).unwrap();
    Spot { parent: Parent::Node(made(0, parent)), place }
}

/// Every node once, under what stands before it.
fn is_a_tree(tree: &Tree) {
    let mut seen = BTreeSet::new();
    for node in tree.placed() {
        assert!(node.parent.is_none_or(|parent| seen.contains(&parent)), "a node comes after its parent");
        assert!(seen.insert(node.id), "once");
    }
}

#[test]
fn every_race_of_three_moves_of_three_nodes_ends_in_one_tree() {
    let start = flat(3);
    let all: Vec<(usize, usize)> =
        (0..3).flat_map(|node| (0..3).map(move |to| (node, to))).filter(|(n, t)| n != t).collect();
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    let mut circles = 0;
    for one in &all {
        for two in &all {
            for three in &all {
                let moves = [one, two, three];
                let end = |order: [usize; 3]| {
                    let mut tree = start.clone();
                    for author in order {
                        let (node, to) = *moves[author];
                        let edit = vec![TreeEdit::Move(made(0, node), under(to))];
                        apply(&mut tree, &moment(author, 10 + author, 10 + author as u64), edit);
                    }
                    is_a_tree(&tree);
                    tree
                };
                let ends = orders.map(end);
                assert!(ends.iter().all(|tree| tree.encode() == ends[0].encode()));
                assert_eq!(ends[0].placed().len(), 3, "nothing is lost: {moves:?}");
                let oldest = ends[0].placed().into_iter().find(|node| node.id == made(0, moves[0].0)).unwrap();
                if moves[1].0 != moves[0].0 && moves[2].0 != moves[0].0 {
                    assert_eq!(oldest.parent, Some(made(0, moves[0].1)), "the oldest move counts");
                    circles += 1;
                }
            }
        }
    }
    assert!(circles > 50);
}

proptest! {
    #[test]
    fn any_moves_at_all_leave_a_tree_with_every_node(moves in vec((0..3_usize, 0..12_usize, 0..12_usize), 0..80)) {
        let mut tree = flat(12);
        for (number, (author, node, to)) in moves.into_iter().enumerate() {
            let edit = vec![TreeEdit::Move(made(0, node), under(to))];
            // Nobody looks at what is there, and times come as they like.
            let at = moment(author, 20 + number, 20 + (number as u64 * 7919) % 100);
            apply(&mut tree, &at, edit);
            is_a_tree(&tree);
            prop_assert_eq!(tree.placed().len(), 12);
        }
    }

    #[test]
    fn what_is_moved_by_hand_stands_where_it_was_put(moves in vec((0..12_usize, 0..13_usize, any::<u16>()), 0..80)) {
        let mut tree = flat(12);
        for (number, (node, to, index)) in moves.into_iter().enumerate() {
            let (node, parent) = (made(0, node), (to < 12).then(|| made(0, to)));
            let siblings = tree.under(parent).iter().filter(|id| **id != node).count();
            let index = usize::from(index) % (siblings + 1);
            match tree.moving(node, parent, index, session(number % 3)) {
                Ok(edit) => {
                    apply(&mut tree, &moment(number % 3, 20 + number, 20 + number as u64), edit);
                    prop_assert_eq!(tree.under(parent)[index], node);
                }
                Err(error) => prop_assert_eq!(error, TreeError::IntoItself(node)),
            }
            is_a_tree(&tree);
        }
    }
}

#[test]
fn a_move_that_was_passed_over_is_settled_by_the_next_edit() {
    let mut tree = flat(3);
    apply(&mut tree, &moment(1, 10, 10), vec![TreeEdit::Move(made(0, 0), under(1))]);
    apply(&mut tree, &moment(2, 11, 11), vec![TreeEdit::Move(made(0, 1), under(0))]);
    let before = tree.placed();
    let edit = tree.removing(made(0, 0)).unwrap();
    assert_eq!(edit.len(), 2, "a remove, and where the other one stands");
    apply(&mut tree, &moment(0, 12, 12), edit);
    let left: Vec<ItemId> = tree.placed().iter().map(|node| node.id).collect();
    let kept: Vec<ItemId> = before.iter().map(|node| node.id).filter(|id| *id != made(0, 0)).collect();
    assert_eq!(left, kept, "only what was removed goes");
}

#[test]
fn a_removed_node_comes_back_with_a_newer_move_and_is_forgotten_when_told() {
    let mut tree = flat(4);
    let edit = tree.moving(made(0, 1), Some(made(0, 0)), 0, session(0)).unwrap();
    apply(&mut tree, &moment(0, 10, 10), edit);
    let away = tree.moving(made(0, 0), Some(made(0, 3)), 0, session(1)).unwrap();
    let remove = tree.removing(made(0, 0)).unwrap();
    apply(&mut tree, &moment(0, 11, 11), remove);
    assert_eq!(tree.placed().len(), 2);
    let mut back = tree.clone();
    apply(&mut back, &moment(1, 12, 12), away);
    assert_eq!(back.placed().len(), 4, "with what is under it");

    assert!(tree.has_hidden());
    let (size, newest) = (tree.encode().len(), tree.newest().unwrap());
    apply(&mut tree, &moment(0, 13, 13), vec![TreeEdit::Forget(newest)]);
    assert!(!tree.has_hidden() && tree.encode().len() < size);
    let without = tree.clone();
    apply(&mut tree, &moment(1, 14, 9), vec![TreeEdit::Set(made(0, 1), text(7)), TreeEdit::Remove(made(0, 0))]);
    assert_eq!(tree.placed(), without.placed(), "what is older says nothing of it any more");
    assert!(!tree.has_hidden());
}

#[test]
fn a_node_remembers_its_newest_moves_and_no_more() {
    let sizes = [limits::TREE_MOVES_KEPT - 1, limits::TREE_MOVES_KEPT, limits::TREE_MOVES_KEPT + 1].map(|moves| {
        let mut tree = flat(10);
        // The first one is the insert.
        for parent in 1..moves {
            let edit = vec![TreeEdit::Move(made(0, 0), under(parent))];
            apply(&mut tree, &moment(0, 20 + parent, 20 + parent as u64), edit);
        }
        tree.encode().len()
    });
    assert!(sizes[0] < sizes[1] && sizes[2] < sizes[1] + 20, "{sizes:?}");
}

/// Folders in folders a hundred thousand deep: no stack is used up, and looking takes time linear in the nodes.
#[test]
fn a_very_deep_tree_is_read_and_edited() {
    let mut tree = Tree::default();
    let mut parent = Parent::Root;
    for number in 0..100_000 {
        let spot = Spot { parent, place: Position::between(None, None, session(0)).unwrap() };
        apply(&mut tree, &moment(0, number, number as u64), vec![TreeEdit::Insert(spot, text(number))]);
        parent = Parent::Node(made(0, number));
    }
    let placed = tree.placed();
    assert_eq!((placed.len(), placed.last().map(|node| node.depth)), (100_000, Some(99_999)));
    assert_eq!(tree.moving(made(0, 0), Some(made(0, 99_999)), 0, session(1)), Err(TreeError::IntoItself(made(0, 0))));
    assert_eq!(Tree::decode(tree.encode().into()), Ok(tree));
}

/// Moves made to take long: the bound on looking holds, and every reader sees the same.
#[test]
fn a_tree_made_to_be_slow_is_read_in_bounded_time() {
    let many = 20_000;
    let mut tree = Tree::default();
    let mut parent = Parent::Root;
    for number in 0..many {
        let spot = Spot { parent, place: Position::between(None, None, session(0)).unwrap() };
        apply(&mut tree, &moment(0, number, number as u64), vec![TreeEdit::Insert(spot, text(1))]);
        parent = Parent::Node(made(0, number));
    }
    for number in 0..many - 1 {
        // Each node goes to the bottom, which is under it: a walk of the whole depth each.
        let edit = vec![TreeEdit::Move(made(0, number), under(many - 1))];
        apply(&mut tree, &moment(1, many + number, (many + number) as u64), edit);
    }
    let placed = tree.placed();
    assert_eq!(placed.len(), many);
    is_a_tree(&tree);
    let again = Tree::decode(tree.encode().into()).unwrap();
    assert_eq!(again.placed(), placed);
}
