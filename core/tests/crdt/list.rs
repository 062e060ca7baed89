//! Lists: against a plain vector, with concurrent runs, and what they cost.

use proptest::collection::vec;
use proptest::prelude::*;
use syncline::crdt::{Content, List, ListError};

use crate::world::{moment, session, text};

fn texts(list: &List) -> Vec<String> {
    list.iter().map(|(_, text)| String::from_utf8(text.to_vec()).unwrap()).collect()
}

proptest! {
    #[test]
    fn one_authors_list_is_what_a_vector_would_be(edits in vec((0..5_u8, any::<u16>(), any::<u16>()), 0..120)) {
        let (mut list, mut plain) = (List::default(), Vec::new());
        for (number, (what, at, other)) in edits.into_iter().enumerate() {
            let (at, other, len) = (usize::from(at), usize::from(other), plain.len());
            let edit = match what {
                0 if len > 0 => {
                    plain.remove(at % len);
                    list.removing(at % len, 1)
                }
                1 if len > 0 => {
                    let moved = plain.remove(at % len);
                    plain.insert(other % len, moved);
                    list.moving(at % len, other % len, session(0))
                }
                2 if len > 0 => {
                    plain[at % len] = number.to_string();
                    list.setting(at % len, text(number))
                }
                _ => {
                    plain.insert(at % (len + 1), number.to_string());
                    list.inserting(at % (len + 1), [text(number)], session(other % 2))
                }
            };
            list.apply(&moment(0, number, number as u64), edit.unwrap());
            prop_assert_eq!(&texts(&list), &plain);
        }
        for (index, (id, text)) in list.iter().enumerate() {
            prop_assert_eq!((list.at(index), list.index_of(id), list.get(id)), (Some(id), Some(index), Some(text)));
        }
        prop_assert_eq!(list.at(plain.len()), None);
    }
}

#[test]
fn there_is_no_place_beyond_the_end() {
    let list = List::default();
    let beyond = |index| Err(ListError::Index { index, len: 0 });
    assert_eq!(list.inserting(1, [text(1)], session(0)), beyond(1));
    assert_eq!(list.setting(0, text(1)), beyond(0));
    assert_eq!(list.moving(0, 0, session(0)), beyond(0));
    assert_eq!(list.removing(0, 1), beyond(1));
    assert_eq!(list.removing(1, usize::MAX), beyond(usize::MAX));
}

#[test]
fn a_list_costs_what_is_in_it_whatever_was() {
    let mut list = List::default();
    let mut number = 0;
    let mut apply = |list: &mut List, edit| {
        number += 1;
        list.apply(&moment(number % 3, number, number as u64), edit);
    };
    for round in 0..200 {
        for index in 0..20 {
            let edit = list.inserting(index / 2, [text(round)], session(index % 3)).unwrap();
            apply(&mut list, edit);
        }
        let edit = list.moving(3, 17, session(1)).unwrap();
        apply(&mut list, edit);
        let edit = list.removing(0, 20).unwrap();
        apply(&mut list, edit);
    }
    assert!(list.is_empty() && list.encode().len() < 100, "{}", list.encode().len());
    let many = list.inserting(0, (0..10_000).map(text), session(0)).unwrap();
    let payload = List::write_edit(&many).len();
    apply(&mut list, many);
    let state = list.encode().len();
    println!("10,000 small elements: {payload} bytes as one op, {state} as a state");
    assert!(payload < 10_000 * 14 && state < 10_000 * 12, "{payload}, {state}");
}

#[test]
fn a_list_that_is_sorted_by_hand_for_ever_stays_short() {
    let mut list = List::default();
    let mut random = 7_u64;
    let mut longest = 0;
    let many = list.inserting(0, (0..7).map(text), session(0)).unwrap();
    list.apply(&moment(0, 0, 0), many);
    for number in 1..20_000 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let (from, to) = (usize::try_from(random >> 40).unwrap() % 7, usize::try_from(random >> 20).unwrap() % 7);
        let mut plain = texts(&list);
        let moved = plain.remove(from);
        plain.insert(to, moved);
        let edit = list.moving(from, to, session(number % 3)).unwrap();
        list.apply(&moment(number % 3, number, number as u64), edit);
        assert_eq!(texts(&list), plain);
        longest = longest.max(list.encode().len());
    }
    println!("seven elements moved 20,000 times: {longest} bytes at most");
    assert!(longest < 1_200, "{longest}");
}

#[test]
fn an_edit_of_an_element_that_has_not_come_waits_for_it() {
    let mut source = List::default();
    let insert = source.inserting(0, [text(1), text(2)], session(0)).unwrap();
    source.apply(&moment(0, 0, 1), insert.clone());
    let edits = [
        (source.setting(0, text(9)).unwrap(), moment(1, 1, 5)),
        (source.moving(0, 1, session(1)).unwrap(), moment(1, 2, 6)),
        (source.removing(1, 1).unwrap(), moment(2, 3, 4)),
    ];
    let mut late = List::default();
    for (edit, moment) in &edits {
        source.apply(moment, edit.clone());
        late.apply(moment, edit.clone());
    }
    assert!(late.is_empty());
    assert_eq!(List::decode(late.encode().into()), Ok(late.clone()));
    late.apply(&moment(0, 0, 1), insert);
    assert_eq!((texts(&late), late.encode()), (vec!["9".to_owned()], source.encode()));
}
