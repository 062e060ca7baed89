//! Canonical order: the one numbering of events that every replica arrives at.
//!
//! Of all authors whose next event has its parents numbered, the one whose event was numbered last goes on; if that one
//! has to wait, the first in the order of names. So the order depends on what happened and not on how it arrived.
//!
//! *What must hold:* parents come before children. The cost is n log n, however many authors wait for each other.

use std::collections::{BTreeMap, BTreeSet};

use super::Reordered;
use crate::crdt::text::authors::{AuthorIndex, Authors};
use crate::crdt::text::delta::Name;
use crate::crdt::text::graph::Graph;
use crate::crdt::text::ops::Ops;
use crate::crdt::text::{Lv, Text, int};

/// A part of an author's events that follow each other and arrived together.
type Part = (u32, Lv, u32);

#[derive(Debug)]
struct Walk<'a> {
    text: &'a Text,
    /// What each author has left, next last.
    left: Vec<Vec<Part>>,
    /// How many parents of that next part are known to be numbered.
    met: Vec<usize>,
    place: Vec<usize>,
    done: Vec<u32>,
    ready: BTreeSet<(usize, AuthorIndex)>,
    waiting: BTreeMap<Name, Vec<AuthorIndex>>,
}

/// The history in canonical order, or `None` if it is in that order already.
pub(super) fn canonical(text: &Text) -> Option<Reordered> {
    let order = walk(text);
    let ascending = order.windows(2).all(|two| two[0].1 + two[0].2 == two[1].1);
    if ascending {
        return None;
    }
    let base = text.graph.base();
    let (mut graph, mut ops) = (Graph::from_base(base), Ops::from_base(base));
    let mut authors = Authors::default();
    for author in text.authors.list() {
        let index = authors.index(author.id);
        authors.set_next(index, text.authors.first(index));
    }
    for (author, lv, len) in order {
        let mut own = [0];
        let parents = text.graph.parents_of(lv, &mut own);
        let mut mapped: Vec<Lv> = parents
            .iter()
            .filter_map(|parent| {
                let (author, seq) = text.authors.of(*parent);
                authors.lv(author, seq)
            })
            .collect();
        mapped.sort_unstable();
        let at = ops.end();
        graph.push(&mapped, len);
        authors.extend(author, at, len);
        for run in text.ops.runs(lv, lv + len) {
            ops.push(&run);
        }
    }
    Some((graph, ops, authors))
}

fn walk(text: &Text) -> Vec<(AuthorIndex, Lv, u32)> {
    let count = text.authors.list().len();
    let mut place = vec![0; count];
    for (at, author) in text.authors.sorted().iter().enumerate() {
        place[*author as usize] = at;
    }
    let mut walk = Walk {
        text,
        left: (0..count).map(|author| parts(text, int(author))).collect(),
        met: vec![0; count],
        place,
        done: (0..count).map(|author| text.authors.first(int(author))).collect(),
        ready: BTreeSet::new(),
        waiting: BTreeMap::new(),
    };
    for author in 0..count {
        walk.enlist(int(author));
    }
    let mut order = Vec::new();
    let mut last = None;
    while let Some(next) = last.filter(|last| walk.ready.contains(last)).or_else(|| walk.ready.first().copied()) {
        walk.ready.remove(&next);
        last = Some(next);
        let author = next.1;
        let Some((seq, lv, len)) = walk.left[author as usize].pop() else { continue };
        order.push((author, lv, len));
        walk.done[author as usize] = seq + len;
        walk.met[author as usize] = 0;
        walk.wake(author);
        walk.enlist(author);
    }
    order
}

/// The author's parts, last first.
fn parts(text: &Text, author: AuthorIndex) -> Vec<Part> {
    let mut parts = Vec::new();
    for (seq, lv, len) in text.authors.stretches(author, 0) {
        parts.extend(
            text.graph.stretches(lv, lv + len).map(|part| (seq + part.start - lv, part.start, part.end - part.start)),
        );
    }
    parts.reverse();
    parts
}

impl Walk<'_> {
    /// Puts an author among the ready, or among those who wait for an event.
    fn enlist(&mut self, author: AuthorIndex) {
        let Some((_, lv, _)) = self.left[author as usize].last() else { return };
        let mut own = [0];
        let parents = self.text.graph.parents_of(*lv, &mut own);
        let met = &mut self.met[author as usize];
        let names = parents.iter().skip(*met).map(|parent| self.text.authors.of(*parent));
        let missing = { names }.find(|(parent, seq)| {
            let numbered = self.done[*parent as usize] > *seq;
            *met += usize::from(numbered);
            !numbered
        });
        match missing {
            Some(missing) => self.waiting.entry(missing).or_default().push(author),
            None => drop(self.ready.insert((self.place[author as usize], author))),
        }
    }

    /// Wakes those who waited for an event of `author` that is numbered now.
    fn wake(&mut self, author: AuthorIndex) {
        let done = self.done[author as usize];
        while let Some((name, _)) = self.waiting.range((author, 0)..(author, done)).next() {
            let name = *name;
            for waiting in self.waiting.remove(&name).unwrap_or_default() {
                self.enlist(waiting);
            }
        }
    }
}
