//! What each event had seen: the parents of runs of events, the frontier, and walks between versions.
//!
//! A *version* is a sorted list of events none of which has seen another: what somebody saw who saw exactly them and
//! everything before. The empty version is where the kept history begins.
//!
//! *What must hold:* parents are smaller than their events, and minimal. A *critical* event has seen everything that
//! arrived before it and is seen by everything after: there the document needs no history. *Where next:*
//! [`super::merge`], which replays what lies between two critical events.

use std::collections::BinaryHeap;
use std::ops::Range;

use super::lines::Lines;
use super::{Lv, int};

/// Stretches that may be walked to tell that parents are minimal, before lines are thought of.
const PATIENCE: usize = 1_024;
/// So many stretches walked for one event are not counted; to look up costs as much.
const SHORT: usize = 16;

#[derive(Debug, Clone, Copy)]
struct Entry {
    lv: Lv,
    /// Where its parents begin in the column; they end where the next entry's begin.
    parents: u32,
}

#[cfg(test)]
mod tests;

/// The causal graph of a document.
#[derive(Debug, Clone, Default)]
pub(super) struct Graph {
    base: Lv,
    end: Lv,
    entries: Vec<Entry>,
    parents: Vec<Lv>,
    frontier: Vec<Lv>,
    /// Stretches of critical events, ascending; the last may end before `end`.
    critical: Vec<Range<Lv>>,
    lines: Option<Box<Lines>>,
    /// Stretches walked in vain since lines were last made.
    spent: usize,
    /// Steps taken to tell that parents are minimal.
    #[cfg(test)]
    work: u64,
}

/// What either of two versions has seen and the other has not: stretches, last first.
#[derive(Debug, Default)]
pub(super) struct Apart {
    pub(super) one: Vec<Range<Lv>>,
    pub(super) other: Vec<Range<Lv>>,
    /// Stretches of the graph that were walked to tell.
    pub(super) steps: usize,
}

const ONE: u64 = 1;
const OTHER: u64 = 2;
const BOTH: u64 = ONE | OTHER;

impl Graph {
    /// An empty graph behind `base`.
    pub(super) fn from_base(base: Lv) -> Self {
        Self { base, end: base, ..Self::default() }
    }

    pub(super) fn frontier(&self) -> &[Lv] {
        &self.frontier
    }

    pub(super) const fn base(&self) -> Lv {
        self.base
    }

    pub(super) const fn end(&self) -> Lv {
        self.end
    }

    /// Appends `len` events of which the first has seen everything here.
    #[inline]
    pub(super) fn push_own(&mut self, len: u32) {
        if let ([tip], Some(last)) = (&mut self.frontier[..], self.critical.last_mut())
            && *tip + 1 == self.end
            && last.end == self.end
        {
            self.end += len;
            *tip += len;
            last.end += len;
            return;
        }
        let parents = self.frontier.clone();
        self.push(&parents, len);
    }

    /// Appends `len` events of which the first has seen `parents` and each other the one before it.
    #[inline]
    pub(super) fn push(&mut self, parents: &[Lv], len: u32) {
        let (lv, end) = (self.end, self.end + len);
        self.end = end;
        if let ([parent], [tip]) = (parents, &mut self.frontier[..])
            && *parent == *tip
            && *tip + 1 == lv
            && let Some(last) = self.critical.last_mut()
            && last.end == lv
        {
            *tip = end - 1;
            last.end = end;
            return;
        }
        self.push_apart(lv, parents);
    }

    fn push_apart(&mut self, lv: Lv, parents: &[Lv]) {
        let continues = matches!(parents, [parent] if *parent + 1 == lv) && lv > self.base && !self.entries.is_empty();
        if !continues {
            self.entries.push(Entry { lv, parents: int(self.parents.len()) });
            self.parents.extend_from_slice(parents);
        }
        leave_tips(&mut self.frontier, parents, self.end - 1);
        let seen = parents.last().copied();
        while let Some(last) = self.critical.last_mut() {
            match seen {
                Some(seen) if last.start <= seen => {
                    last.end = last.end.min(seen + 1);
                    break;
                }
                _ => drop(self.critical.pop()),
            }
        }
        if self.frontier.len() == 1 {
            match self.critical.last_mut() {
                Some(last) if last.end == lv => last.end = self.end,
                _ => self.critical.push(lv..self.end),
            }
        }
    }

    /// Which stretch an event is in.
    pub(super) fn entry(&self, lv: Lv) -> usize {
        self.entries.partition_point(|entry| entry.lv <= lv).saturating_sub(1)
    }

    fn parents_of_entry(&self, at: usize) -> &[Lv] {
        let to = self.entries.get(at + 1).map_or(self.parents.len(), |next| next.parents as usize);
        self.entries.get(at).map_or(&[], |entry| &self.parents[entry.parents as usize..to])
    }

    /// A stretch by number: its events, and what the first of them had seen.
    pub(super) fn stretch(&self, at: usize) -> Option<(Range<Lv>, &[Lv])> {
        let start = self.entries.get(at)?.lv;
        let end = self.entries.get(at + 1).map_or(self.end, |next| next.lv);
        Some((start..end, self.parents_of_entry(at)))
    }

    /// The parents of an event; `own` is room for the usual one.
    pub(super) fn parents_of<'a>(&'a self, lv: Lv, own: &'a mut [Lv; 1]) -> &'a [Lv] {
        let at = self.entry(lv);
        if self.entries.get(at).is_some_and(|entry| entry.lv == lv) {
            return self.parents_of_entry(at);
        }
        own[0] = lv.saturating_sub(1);
        own
    }

    /// Where the stretch of an event begins, and what its first event had seen.
    pub(super) fn stretch_of(&self, lv: Lv) -> (Lv, &[Lv]) {
        let at = self.entry(lv);
        (self.entries.get(at).map_or(self.base, |entry| entry.lv), self.parents_of_entry(at))
    }

    /// The events from `from` up to `to` in stretches whose events have each seen the one before.
    pub(super) fn stretches(&self, from: Lv, to: Lv) -> impl Iterator<Item = Range<Lv>> {
        let first = self.entry(from);
        (first..self.entries.len()).map_while(move |at| {
            let end = self.entries.get(at + 1).map_or(self.end, |next| next.lv);
            let range = from.max(self.entries[at].lv)..to.min(end);
            (range.start < range.end).then_some(range)
        })
    }

    /// The stretch of critical events that holds or follows `lv`.
    pub(super) fn critical_from(&self, lv: Lv) -> Option<Range<Lv>> {
        let at = self.critical.partition_point(|range| range.end <= lv);
        self.critical.get(at).map(|range| range.start.max(lv)..range.end)
    }

    /// The last critical event before `lv`.
    pub(super) fn critical_before(&self, lv: Lv) -> Option<Lv> {
        let at = self.critical.partition_point(|range| range.start < lv).checked_sub(1)?;
        self.critical.get(at).map(|range| range.end.min(lv) - 1)
    }

    /// What whoever made `tip` had not seen of `new` and before, if that is plain: `tip` had just seen an earlier event of
    /// the same stretch. Somebody who follows another event by event says nothing else, thousands of times.
    fn newly_seen(&self, tip: Lv, new: Lv) -> Option<Range<Lv>> {
        let (start, _) = self.stretch_of(new);
        let parents = self.parents_of_entry(self.entry(tip));
        let before = parents.partition_point(|parent| *parent < new).checked_sub(1)?;
        parents.get(before).filter(|parent| **parent >= start).map(|parent| parent + 1..new + 1)
    }

    /// What one version has seen and the other has not, each way.
    pub(super) fn diff(&self, one: &[Lv], other: &[Lv]) -> Apart {
        let mut apart = Apart::default();
        if one == other {
            return apart;
        }
        let (only_one, only_other, steps) = (&mut apart.one, &mut apart.other, &mut apart.steps);
        if let ([tip], [new, same]) = (one, other)
            && tip == same
            && let Some(range) = self.newly_seen(*tip, *new)
        {
            only_other.push(range);
            return apart;
        }
        let mut heap = BinaryHeap::new();
        heap.extend(one.iter().map(|lv| u64::from(*lv) << 2 | ONE));
        heap.extend(other.iter().map(|lv| u64::from(*lv) << 2 | OTHER));
        let mut unlike = heap.len();
        let split = |item: u64| (int(usize::try_from(item >> 2).unwrap_or(usize::MAX)), item & BOTH);
        let mut emit = |side: u64, range: Range<Lv>| {
            if range.start < range.end && side != BOTH {
                push_before(if side == ONE { &mut *only_one } else { &mut *only_other }, range);
            }
        };
        while unlike > 0 {
            let Some((mut lv, mut side)) = heap.pop().map(split) else { break };
            unlike -= usize::from(side != BOTH);
            *steps += 1;
            let at = self.entry(lv);
            let start = self.entries.get(at).map_or(self.base, |entry| entry.lv);
            // Others in the same stretch are reached by walking down it.
            while let Some((next, next_side)) = heap.peek().copied().map(split)
                && next >= start
            {
                heap.pop();
                unlike -= usize::from(next_side != BOTH);
                if next_side | side != side {
                    emit(side, next + 1..lv + 1);
                    lv = next;
                    side |= next_side;
                }
            }
            emit(side, start..lv + 1);
            for parent in self.parents_of_entry(at) {
                heap.push(u64::from(*parent) << 2 | side);
                unlike += usize::from(side != BOTH);
            }
        }
        apart
    }

    /// Whether no event of the sorted `version` has seen another of it.
    pub(super) fn is_minimal(&mut self, version: &[Lv]) -> bool {
        if version.len() < 2
            || version.iter().all(|lv| self.frontier.binary_search(lv).is_ok())
            || matches!(version, [new, tip] if self.newly_seen(*tip, *new).is_some())
        {
            return true;
        }
        if let Some(minimal) = self.look_up(version) {
            return minimal;
        }
        let (kept, steps) = self.walk_back(version);
        #[cfg(test)]
        {
            self.work += steps as u64;
        }
        self.spent = self.spent.saturating_add(steps.saturating_sub(SHORT));
        self.make_lines(version);
        kept.len() == version.len()
    }

    /// Whether a version is minimal, if lines say.
    #[cfg_attr(not(test), allow(unused_variables, reason = "tests count steps"))]
    fn look_up(&mut self, version: &[Lv]) -> Option<bool> {
        let mut lines = self.lines.take()?;
        let root = lines.root();
        // Somebody may have named an event from before the root since: then not everything here has seen all of that.
        let holds = lines.first() == 0 || self.critical_before(root + 1).is_some_and(|critical| critical + 1 >= root);
        if !holds || version.last().is_none_or(|last| *last < root) {
            self.lines = Some(lines);
            return None;
        }
        // Dropped if there are too many: made again when walking has paid for it again.
        let taken = lines.follow(self)?;
        let (minimal, steps) = lines.is_minimal(self, version);
        #[cfg(test)]
        {
            self.work += (taken + steps) as u64;
        }
        self.lines = Some(lines);
        Some(minimal)
    }

    /// Makes lines that `version` is in, if walking has cost more. They begin so far back that those made before are at most
    /// half of them: however often somebody names what is further back, that is done a few times only.
    fn make_lines(&mut self, version: &[Lv]) {
        let back = self.lines.as_ref().map_or(0, |lines| 2 * (lines.next() - lines.first()));
        let at = self.entries.len().saturating_sub(back + 1);
        let from = self.entries.get(at).map_or(self.base, |entry| entry.lv);
        let from = version.first().map_or(from, |first| from.min(*first));
        let first = self.critical_before(from + 1).map_or(0, |critical| self.entry(critical));
        if self.spent >= PATIENCE + 2 * (self.entries.len() - first) {
            self.spent = 0;
            let root = self.entries.get(first).map_or(self.base, |entry| entry.lv);
            self.lines = Some(Box::new(Lines::new(first, root)));
        }
    }

    /// The events of a sorted list without doubles that no other of it has seen.
    pub(super) fn minimize(&self, list: &[Lv]) -> Vec<Lv> {
        self.walk_back(list).0
    }

    /// What [`minimize`](Self::minimize) gives, in one walk, and how many stretches and parents that went over.
    fn walk_back(&self, list: &[Lv]) -> (Vec<Lv>, usize) {
        // The low bit says: reached by walking. Such an item comes out before the listed event of the same number.
        let mut heap: BinaryHeap<u64> = list.iter().map(|lv| u64::from(*lv) << 1).collect();
        let (mut listed, mut kept, mut steps) = (list.len(), Vec::new(), 0);
        while listed > 0 {
            let Some(item) = heap.pop() else { break };
            steps += 1;
            let lv = int(usize::try_from(item >> 1).unwrap_or(usize::MAX));
            if item & 1 == 0 {
                listed -= 1;
                kept.push(lv);
            }
            let at = self.entry(lv);
            let start = self.entries.get(at).map_or(self.base, |entry| entry.lv);
            while let Some(next) = heap.peek().copied()
                && next >> 1 >= u64::from(start)
            {
                heap.pop();
                steps += 1;
                listed -= usize::from(next & 1 == 0);
            }
            heap.extend(self.parents_of_entry(at).iter().map(|parent| u64::from(*parent) << 1 | 1));
        }
        kept.reverse();
        (kept, steps)
    }

    /// Forgets every event from `lv` on.
    pub(super) fn truncate(&mut self, lv: Lv) {
        let old = std::mem::replace(self, Self::from_base(self.base));
        for range in old.stretches(old.base, lv.min(old.end)) {
            let mut own = [0];
            let parents = old.parents_of(range.start, &mut own);
            self.push(parents, range.end - range.start);
        }
    }

    /// Forgets everything up to the critical event before `base`, which becomes where history begins.
    pub(super) fn rebase(&mut self, base: Lv) {
        let old = std::mem::replace(self, Self::from_base(base));
        for range in old.stretches(base, old.end) {
            let mut own = [0];
            let parents = old.parents_of(range.start, &mut own);
            let kept: Vec<Lv> = parents.iter().copied().filter(|parent| *parent >= base).collect();
            self.push(&kept, range.end - range.start);
        }
    }
}

/// What a version becomes with `tip`, which has seen `parents` and which nothing in it has seen.
pub(super) fn leave_tips(version: &mut Vec<Lv>, parents: &[Lv], tip: Lv) {
    if parents.len() > 8 {
        version.retain(|old| parents.binary_search(old).is_err());
    } else {
        for parent in parents {
            if let Ok(at) = version.binary_search(parent) {
                version.remove(at);
            }
        }
    }
    version.insert(version.partition_point(|old| *old < tip), tip);
}

/// Appends a range in descending order, joined with the one before where they touch.
fn push_before(list: &mut Vec<Range<Lv>>, range: Range<Lv>) {
    match list.last_mut() {
        Some(last) if last.start == range.end => last.start = range.start,
        _ => list.push(range),
    }
}
