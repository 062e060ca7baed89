//! The order of Fugue by the book, one character at a time and nothing clever: what the product is compared with.
//!
//! A node hangs on the left or the right of another; siblings are in the order of (author, number); the text is the walk
//! in order over the nodes somebody has seen, without those they saw deleted.

use std::collections::{BTreeMap, BTreeSet};

use syncline::ReplicaId;

/// An event by its index among all.
pub(crate) type Event = usize;

#[derive(Debug)]
enum Did {
    Insert { char: char, parent: Option<Event>, right: bool },
    Delete { target: Event },
}

#[derive(Debug, Default)]
pub(crate) struct Oracle {
    events: Vec<(ReplicaId, u64, Did)>,
}

impl Oracle {
    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    /// Every character that whoever saw `seen` knows, in order, deleted or not.
    fn walk(&self, seen: &BTreeSet<Event>) -> Vec<Event> {
        let mut sides: BTreeMap<(Option<Event>, bool), Vec<Event>> = BTreeMap::new();
        for event in seen {
            if let Did::Insert { parent, right, .. } = self.events[*event].2 {
                sides.entry((parent, right)).or_default().push(*event);
            }
        }
        for kids in sides.values_mut() {
            kids.sort_by_key(|event| (self.events[*event].0, self.events[*event].1));
        }
        let kids = |of: Option<Event>, on_right: bool| sides.get(&(of, on_right)).cloned().unwrap_or_default();
        let mut out = Vec::new();
        // What is still to do: a subtree, or only its own character.
        let mut stack = vec![(None, false)];
        while let Some((node, itself)) = stack.pop() {
            if itself {
                out.extend(node);
                continue;
            }
            stack.extend(kids(node, true).into_iter().rev().map(|kid| (Some(kid), false)));
            stack.push((node, true));
            stack.extend(kids(node, false).into_iter().rev().map(|kid| (Some(kid), false)));
        }
        out
    }

    fn shown(&self, seen: &BTreeSet<Event>) -> (Vec<Event>, BTreeSet<Event>) {
        let gone = seen
            .iter()
            .filter_map(|event| match self.events[*event].2 {
                Did::Delete { target } => Some(target),
                Did::Insert { .. } => None,
            })
            .collect();
        (self.walk(seen), gone)
    }

    /// What somebody reads who has seen these events.
    pub(crate) fn text(&self, seen: &BTreeSet<Event>) -> String {
        let (all, gone) = self.shown(seen);
        let chars = all.into_iter().filter(|event| !gone.contains(event)).map(|event| match self.events[event].2 {
            Did::Insert { char, .. } => char,
            Did::Delete { .. } => unreachable!("only insertions are walked"),
        });
        chars.collect()
    }

    /// The author inserts one character; adds the event to what they have seen.
    pub(crate) fn insert(&mut self, author: ReplicaId, seq: u64, seen: &mut BTreeSet<Event>, at: usize, char: char) {
        let (all, gone) = self.shown(seen);
        let left = match at {
            0 => None,
            at => Some(*all.iter().filter(|event| !gone.contains(event)).nth(at - 1).expect("a position within")),
        };
        let next = left.map_or(0, |left| all.iter().position(|event| *event == left).expect("it was walked") + 1);
        let has_right_child = seen
            .iter()
            .any(|event| matches!(self.events[*event].2, Did::Insert { parent, right: true, .. } if parent == left));
        let did = match (has_right_child, all.get(next)) {
            (true, Some(next)) => Did::Insert { char, parent: Some(*next), right: false },
            _ => Did::Insert { char, parent: left, right: true },
        };
        seen.insert(self.events.len());
        self.events.push((author, seq, did));
    }

    /// The author deletes one character.
    pub(crate) fn delete(&mut self, author: ReplicaId, seq: u64, seen: &mut BTreeSet<Event>, at: usize) {
        let (all, gone) = self.shown(seen);
        let target = *all.iter().filter(|event| !gone.contains(event)).nth(at).expect("a position within");
        seen.insert(self.events.len());
        self.events.push((author, seq, Did::Delete { target }));
    }
}
