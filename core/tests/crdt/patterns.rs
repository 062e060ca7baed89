//! Where people insert, over and over at one spot: there is room in every pattern, in a list and among siblings of a tree
//! alike, and what it costs.

use syncline::crdt::position::{Position, SessionName};
use syncline::crdt::{Content, List, ListEdit, Parent, Spot, Tree, TreeEdit};

use crate::world::{moment, session, text};

/// Where the next one goes: how many there are, and where the newest is.
type Next = fn(number: usize, newest: usize) -> usize;

struct Pattern {
    what: &'static str,
    next: Next,
    authors: usize,
    /// Bytes of an op and of an element in the state, on average, at most, of ten thousand.
    most: (usize, usize),
}

fn random(number: usize) -> usize {
    let mut random = (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    random ^= random >> 29;
    usize::try_from(random.wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40).unwrap()
}

fn sides(number: usize, newest: usize) -> usize {
    (newest + random(number) % 2).min(number)
}

const fn pattern(what: &'static str, next: Next, authors: usize, most: (usize, usize)) -> Pattern {
    Pattern { what, next, authors, most }
}

const PATTERNS: [Pattern; 13] = [
    pattern("at the front", |_, _| 0, 1, (24, 40)),
    pattern("at the end", |number, _| number, 1, (24, 40)),
    pattern("behind the first", |number, _| number.min(1), 1, (24, 40)),
    pattern("before the last", |number, _| number.saturating_sub(1), 1, (24, 40)),
    pattern("in the exact middle", |number, _| number / 2, 1, (30, 40)),
    pattern("anywhere", |number, _| random(number) % (number + 1), 1, (40, 40)),
    pattern("on either side of the newest", sides, 1, (2_500, 44)),
    pattern("at the front, in turn", |_, _| 0, 3, (26, 48)),
    pattern("at the end, in turn", |number, _| number, 3, (26, 48)),
    pattern("behind the first, in turn", |number, _| number.min(1), 3, (40, 48)),
    pattern("in the exact middle, in turn", |number, _| number / 2, 3, (12_000, 48)),
    pattern("anywhere, in turn", |number, _| random(number) % (number + 1), 3, (70, 60)),
    pattern("on either side of the newest, in turn", sides, 3, (6_000, 60)),
];

/// Inserts by a pattern; bytes of an op on average.
fn list(many: usize, pattern: &Pattern) -> (List, usize) {
    let (mut list, mut newest, mut bytes) = (List::default(), 0, 0);
    for number in 0..many {
        newest = (pattern.next)(number, newest);
        let author = number % pattern.authors;
        let edit = list.inserting(newest, [text(1)], session(author)).expect("there is room");
        if number % 64 == 0 {
            bytes += List::write_edit(&edit).len() * 64;
        }
        list.apply(&moment(author, number, number as u64), edit);
    }
    (list, bytes / many)
}

fn check_pattern(many: usize, pattern: &Pattern) {
    let (list, op) = list(many, pattern);
    let state = list.encode();
    let element = state.len() / many;
    println!("{}: {op} bytes an op, {element} an element", pattern.what);
    assert!(op <= pattern.most.0 && element <= pattern.most.1, "{}: {op}, {element}", pattern.what);
    assert!(List::decode(state.clone().into()).unwrap().encode() == state, "read back as it was");
}

#[test]
fn there_is_room_in_a_list_whatever_the_pattern_and_its_bytes_stay_few() {
    PATTERNS.iter().for_each(|pattern| check_pattern(10_000, pattern));
}

#[test]
fn a_hundred_thousand_inserts_on_either_side_of_the_newest_have_room() {
    check_pattern(100_000, &pattern("a hundred thousand on either side of the newest", sides, 1, (24_000, 44)));
}

#[test]
fn a_hundred_thousand_inserts_in_the_exact_middle_have_room() {
    check_pattern(100_000, &pattern("a hundred thousand in the exact middle", |number, _| number / 2, 1, (32, 40)));
}

#[test]
fn siblings_in_a_tree_take_the_places_that_elements_of_a_list_do() {
    for pattern in &PATTERNS {
        let (mut list, mut tree, mut newest) = (List::default(), Tree::default(), 0);
        for number in 0..150 {
            newest = (pattern.next)(number, newest);
            let author = number % pattern.authors;
            let at = moment(author, number, number as u64);
            let element = list.inserting(newest, [text(1)], session(author)).expect("there is room");
            let node = tree.inserting(None, newest, text(1), session(author)).expect("there is room");
            let ([ListEdit::Insert(place, _)], [TreeEdit::Insert(spot, _)]) = (&element[..], &node[..]) else {
                panic!("one insert each")
            };
            assert_eq!(*place, spot.place, "{}", pattern.what);
            list.apply(&at, element);
            tree.apply(&at, node);
        }
        assert_eq!(tree.under(None), list.iter().map(|(id, _)| id).collect::<Vec<_>>());
    }
}

/// Siblings in order, by a pattern.
fn siblings(many: usize, pattern: &Pattern) -> Tree {
    let (mut before, mut behind) = (Vec::<Position>::new(), Vec::<Position>::new());
    let (mut tree, mut newest) = (Tree::default(), 0);
    for number in 0..many {
        newest = (pattern.next)(number, newest);
        while before.len() > newest {
            behind.extend(before.pop());
        }
        while before.len() < newest {
            before.extend(behind.pop());
        }
        let author = number % pattern.authors;
        let place = Position::between(before.last(), behind.last(), session(author)).expect("there is room");
        before.push(place.clone());
        let edit = TreeEdit::Insert(Spot { parent: Parent::Root, place }, text(1));
        tree.apply(&moment(author, number, number as u64), vec![edit]);
    }
    tree
}

#[test]
fn there_is_room_among_siblings_whatever_the_pattern_and_their_bytes_stay_few() {
    let near = PATTERNS.iter().filter(|pattern| !pattern.what.contains("anywhere"));
    for pattern in near {
        let many = 10_000;
        let tree = siblings(many, pattern);
        let state = tree.encode();
        println!("{}: {} bytes a node", pattern.what, state.len() / many);
        assert!(state.len() / many <= pattern.most.1 + 10, "{}: {}", pattern.what, state.len() / many);
        assert!(Tree::decode(state.clone().into()).unwrap().encode() == state, "read back as it was");
    }
}

#[test]
fn places_that_everybody_can_read_once_are_shared_again_where_they_are_applied() {
    let (mut list, mut copy, mut newest) = (List::default(), List::default(), 0);
    for number in 0..1_000 {
        newest = sides(number, newest);
        let name = SessionName([u8::try_from(number % 5).unwrap(); 6]);
        let edit = list.inserting(newest, [text(number), text(0)], name).expect("there is room");
        let at = moment(0, number, number as u64);
        let read = List::read_edit(List::write_edit(&edit)).unwrap();
        list.apply(&at, edit);
        copy.apply(&at, read);
    }
    assert!(copy == list && copy.encode() == list.encode());
}
