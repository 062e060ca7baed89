//! What replicas see of a list while others edit it: nothing changes sides that nobody moved, and runs are not mixed.
//!
//! Runs are tried with a new session for each: one that goes on next to what it inserted before is one run with that, also where
//! it left a place, or comes back to it, and what somebody else put there in the meantime is then within the run.

use std::collections::{HashMap, HashSet};

use proptest::collection::vec;
use proptest::prelude::*;
use syncline::crdt::position::SessionName;
use syncline::crdt::{Content, ItemId, List, ListEdit, Moment};

use crate::world::{AUTHORS, moment, session, text};

#[derive(Debug, Clone, Copy)]
enum Does {
    /// Types some, each in an op of its own, forwards or backwards.
    Types {
        at: u16,
        many: usize,
        backwards: bool,
    },
    /// Inserts some in one op.
    Pastes {
        at: u16,
        many: usize,
    },
    Moves {
        from: u16,
        to: u16,
    },
    Removes {
        at: u16,
    },
    /// Hears some of what somebody said.
    Hears {
        of: usize,
        many: usize,
    },
}

/// Near each other, most of the time.
fn does() -> impl Strategy<Value = Does> {
    let at = || prop_oneof![2 => 0..6_u16, 1 => any::<u16>()];
    prop_oneof![
        4 => (at(), 1..5_usize, any::<bool>()).prop_map(|(at, many, backwards)| Does::Types { at, many, backwards }),
        1 => (at(), 1..5_usize).prop_map(|(at, many)| Does::Pastes { at, many }),
        4 => (0..AUTHORS, 1..8_usize).prop_map(|(of, many)| Does::Hears { of, many }),
        1 => (at(), at()).prop_map(|(from, to)| Does::Moves { from, to }),
        1 => at().prop_map(|at| Does::Removes { at }),
    ]
}

/// What its author knew of then is its last part.
type Op = (Moment, Vec<ListEdit>, [usize; AUTHORS]);

#[derive(Default)]
struct World {
    lists: [List; AUTHORS],
    said: [Vec<Op>; AUTHORS],
    heard: [[usize; AUTHORS]; AUTHORS],
    /// What each knows of, also through what others said who knew of it.
    knows: [[usize; AUTHORS]; AUTHORS],
    /// By whom, which of theirs, and what the author knew of then.
    born: HashMap<ItemId, (usize, usize, [usize; AUTHORS])>,
    /// Typed one after the other.
    pairs: Vec<(ItemId, ItemId)>,
    moved: HashSet<ItemId>,
    /// Whether each run has a session of its own.
    anew: bool,
    number: usize,
}

fn ids(list: &List) -> Vec<ItemId> {
    list.iter().map(|(id, _)| id).collect()
}

impl World {
    /// Applies to what a replica has, where all that nobody touches stays in the order it was seen in.
    fn hears(&mut self, replica: usize, at: &Moment, edit: Vec<ListEdit>) -> Result<(), TestCaseError> {
        let moves = |edit: &ListEdit| if let ListEdit::Move(named, _) = edit { Some(named.id) } else { None };
        let moved: HashSet<ItemId> = edit.iter().filter_map(moves).collect();
        let before = ids(&self.lists[replica]);
        self.lists[replica].apply(at, edit);
        let after = ids(&self.lists[replica]);
        let both = |one: &[ItemId], other: &[ItemId]| -> Vec<ItemId> {
            let other: HashSet<&ItemId> = other.iter().collect();
            one.iter().filter(|id| other.contains(id) && !moved.contains(id)).copied().collect()
        };
        prop_assert_eq!(both(&before, &after), both(&after, &before), "nothing that nobody moved changed sides");
        Ok(())
    }

    fn says(&mut self, author: usize, edit: Vec<ListEdit>) -> Result<Moment, TestCaseError> {
        let at = moment(author, self.number, 1 + self.number as u64);
        self.number += 1;
        let makes = edit.iter().filter(|edit| matches!(edit, ListEdit::Insert(..))).count();
        for nth in 0..makes {
            let id = ItemId { op: at.op, nth: u32::try_from(nth).unwrap() };
            self.born.insert(id, (author, self.said[author].len(), self.knows[author]));
        }
        self.moved.extend(edit.iter().filter_map(|edit| match edit {
            ListEdit::Move(named, _) => Some(named.id),
            _ => None,
        }));
        self.hears(author, &at, edit.clone())?;
        self.knows[author][author] += 1;
        self.said[author].push((at, edit, self.knows[author]));
        self.heard[author][author] += 1;
        Ok(at)
    }

    fn session(&self, author: usize) -> SessionName {
        if !self.anew {
            return session(author);
        }
        // In no order.
        let [.., one, two] = self.number.wrapping_mul(40_503).to_be_bytes();
        SessionName([one, two, u8::try_from(author).unwrap(), 0, 0, 0])
    }

    fn types(&mut self, author: usize, at: usize, many: usize, backwards: bool) -> Result<(), TestCaseError> {
        let (mut last, session) = (None, self.session(author));
        for nth in 0..many {
            let index = if backwards { at } else { at + nth };
            let edit = self.lists[author].inserting(index, [text(self.number)], session).unwrap();
            let made = ItemId::first(self.says(author, edit)?.op);
            if let Some(last) = last.replace(made) {
                self.pairs.push(if backwards { (made, last) } else { (last, made) });
            }
        }
        Ok(())
    }

    fn does(&mut self, author: usize, does: Does) -> Result<(), TestCaseError> {
        let len = self.lists[author].len();
        match does {
            Does::Types { at, many, backwards } => self.types(author, usize::from(at) % (len + 1), many, backwards)?,
            Does::Pastes { at, many } => {
                let texts = (0..many).map(text);
                let edit =
                    self.lists[author].inserting(usize::from(at) % (len + 1), texts, self.session(author)).unwrap();
                let op = self.says(author, edit)?.op;
                let made = |nth: usize| ItemId { op, nth: u32::try_from(nth).unwrap() };
                self.pairs.extend((1..many).map(|nth| (made(nth - 1), made(nth))));
            }
            Does::Moves { from, to } if len > 0 => {
                let (from, to) = (usize::from(from) % len, usize::from(to) % len);
                let edit = self.lists[author].moving(from, to, self.session(author)).unwrap();
                let moved = self.lists[author].at(from);
                self.says(author, edit)?;
                prop_assert_eq!(self.lists[author].at(to), moved);
            }
            Does::Removes { at } if len > 0 => {
                let edit = self.lists[author].removing(usize::from(at) % len, 1).unwrap();
                self.says(author, edit)?;
            }
            Does::Hears { of, many } if of != author => self.catches_up(author, of, many)?,
            Does::Moves { .. } | Does::Removes { .. } | Does::Hears { .. } => {}
        }
        Ok(())
    }

    fn catches_up(&mut self, replica: usize, of: usize, many: usize) -> Result<(), TestCaseError> {
        for _ in 0..many {
            let Some((at, edit, known)) = self.said[of].get(self.heard[replica][of]).cloned() else { break };
            self.heard[replica][of] += 1;
            let knows = &mut self.knows[replica];
            knows.iter_mut().zip(known).for_each(|(knows, known)| *knows = known.max(*knows));
            self.hears(replica, &at, edit)?;
        }
        Ok(())
    }

    /// Between two that somebody typed in a row stands nothing of who knew of neither, but what was moved there.
    fn runs_are_whole(&self) -> Result<(), TestCaseError> {
        let list = ids(&self.lists[0]);
        let index: HashMap<ItemId, usize> = list.iter().enumerate().map(|(index, id)| (*id, index)).collect();
        for (first, second) in
            self.pairs.iter().filter(|(one, two)| ![one, two].iter().any(|id| self.moved.contains(id)))
        {
            let Some((from, to)) = index.get(first).zip(index.get(second)) else { continue };
            prop_assert!(from < to);
            for id in list[from + 1..*to].iter().filter(|id| !self.moved.contains(id)) {
                let (author, _, known) = self.born[id];
                let knew = |of: &ItemId| {
                    let (by, nth, _) = self.born[of];
                    by == author || known[by] > nth
                };
                prop_assert!(knew(first) || knew(second), "{id} came between a run that its author did not know");
            }
        }
        Ok(())
    }
}

/// All that is done, until everybody has heard everything and sees the same.
fn ended(steps: Vec<(usize, Does)>, anew: bool) -> Result<World, TestCaseError> {
    let mut world = World { anew, ..World::default() };
    for (author, does) in steps {
        world.does(author, does)?;
    }
    for replica in 0..AUTHORS {
        for of in (0..AUTHORS).filter(|of| *of != replica) {
            world.catches_up(replica, of, usize::MAX)?;
        }
    }
    let ends = world.lists.each_ref().map(Content::encode);
    prop_assert!(ends.iter().all(|end| *end == ends[0]), "all see the same in the end");
    Ok(world)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn nothing_changes_sides_that_nobody_moved(steps in vec((0..AUTHORS, does()), 1..60)) {
        ended(steps, false)?;
    }

    #[test]
    fn runs_that_are_typed_at_once_stay_whole(steps in vec((0..AUTHORS, does()), 1..40)) {
        ended(steps, true)?.runs_are_whole()?;
    }
}

#[test]
fn a_move_made_at_the_same_time_as_any_number_of_inserts_around_it_counts() {
    let mut world = World::default();
    world.types(0, 0, 3, false).unwrap();
    world.catches_up(1, 0, 3).unwrap();
    let moved = world.lists[1].at(1).unwrap();
    let edit = world.lists[1].moving(1, 2, session(1)).unwrap();
    world.says(1, edit).unwrap();
    // Whose clock is ahead, and who inserts next to it over and over.
    for number in 0..2_000 {
        let next = world.lists[0].index_of(moved).unwrap() + number % 2;
        world.types(0, next, 1, false).unwrap();
    }
    world.catches_up(0, 1, 1).unwrap();
    world.catches_up(1, 0, usize::MAX).unwrap();
    assert_eq!(world.lists[0].at(2_002), Some(moved), "behind all, where it was moved to");
    assert_eq!(world.lists[0].encode(), world.lists[1].encode());
}
