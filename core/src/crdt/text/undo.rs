//! Undo and redo of one author's edits, whatever others did in between.
//!
//! Undoing is an edit of its own: what the author inserted and is still there goes; what they deleted and nobody else did
//! comes back where it was. Others' text is never touched.
//!
//! *What must hold:* undo and then redo shows the text as before, if nobody else edited. Restored characters are new
//! ones; the history remembers what they stand for, so that undoing further back finds them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::atlas::{Letters, Stretch};
use super::authors::AuthorIndex;
use super::forget::FORGOTTEN;
use super::ops::Kind;
use super::tracker::UNDER;
use super::{Lv, Text, TextError};
use crate::id::ReplicaId;

/// One author's undo history of one text, in memory.
#[derive(Debug, Clone)]
pub struct Undo {
    author: ReplicaId,
    /// The author's events before are in a step.
    upto: u64,
    done: Vec<Range<u64>>,
    undone: Vec<Range<u64>>,
    /// Characters, by event, that were restored, and the author's event that did it.
    copies: BTreeMap<Lv, Lv>,
}

impl Undo {
    /// Begins with what `author` does to `text` from now on.
    #[must_use]
    pub fn new(text: &Text, author: ReplicaId) -> Self {
        let upto = text.seen(author);
        Self { author, upto, done: Vec::new(), undone: Vec::new(), copies: BTreeMap::new() }
    }

    /// Ends a step: what the author did since the last one is undone together. Redo starts afresh.
    pub fn step(&mut self, text: &Text) {
        let now = text.seen(self.author);
        if now > self.upto {
            self.done.push(self.upto..now);
            self.undone.clear();
            self.upto = now;
        }
    }

    /// Undoes the last step; `false` if there is none. What was done since the last step is one.
    ///
    /// # Errors
    /// [`TextError::Collected`] if the step's history is gone, or what it deleted was forgotten; [`TextError::TooLarge`].
    pub fn undo(&mut self, text: &mut Text) -> Result<bool, TextError> {
        self.step(text);
        let Some(step) = self.done.pop() else { return Ok(false) };
        let reverse = self.revert(text, &step)?;
        self.undone.push(reverse);
        Ok(true)
    }

    /// Does again what was undone last; `false` if there is nothing, or the author edited since.
    ///
    /// # Errors
    /// As [`undo`](Self::undo).
    pub fn redo(&mut self, text: &mut Text) -> Result<bool, TextError> {
        self.step(text);
        let Some(step) = self.undone.pop() else { return Ok(false) };
        let reverse = self.revert(text, &step)?;
        self.done.push(reverse);
        Ok(true)
    }

    fn revert(&mut self, text: &mut Text, step: &Range<u64>) -> Result<Range<u64>, TextError> {
        let from = text.seen(self.author);
        if let Some(author) = text.authors.find(self.author)
            && !step.is_empty()
        {
            text.hydrate()?;
            let plan = Plan::of(text, author, step, &self.copies)?;
            plan.carry_out(text, self.author, &mut self.copies)?;
        }
        self.upto = text.seen(self.author);
        Ok(from..self.upto)
    }
}

/// What to do, in document order.
#[derive(Debug)]
struct Plan {
    acts: Vec<Act>,
}

#[derive(Debug)]
enum Act {
    Remove { at: u32 },
    Restore { at: u32, place: Place, id: Lv, letter: String },
}

impl Plan {
    fn of(
        text: &mut Text,
        author: AuthorIndex,
        step: &Range<u64>,
        copies: &BTreeMap<Lv, Lv>,
    ) -> Result<Self, TextError> {
        let number = |seq: u64| u32::try_from(seq).unwrap_or(u32::MAX);
        let (first, end) = (number(step.start), number(step.end));
        if !text.has_events_from(author, first) {
            return Err(TextError::Collected);
        }
        let latest = |id: Lv| {
            let mut id = id;
            while let Some(copy) = copies.get(&id) {
                id = *copy;
            }
            id
        };
        let (mut remove, mut restore) = (BTreeSet::new(), BTreeSet::new());
        let parts: Vec<(Lv, u32)> = text
            .authors
            .stretches(author, first)
            .filter(|(seq, ..)| *seq < end)
            .map(|(seq, lv, len)| (lv, len.min(end - seq)))
            .collect();
        let now = text.graph.frontier().to_vec();
        text.lay_out(&now)?;
        for (lv, len) in parts {
            for run in text.ops.runs(lv, lv + len) {
                for event in run.lv..run.lv + run.len {
                    if run.kind == Kind::Insert {
                        remove.insert(latest(event));
                    } else if let Some(atlas) = &text.atlas
                        && let Some((target, ..)) = atlas.tracker.target_of(event)
                    {
                        restore.insert(if target < UNDER { latest(target) } else { target });
                    }
                }
            }
        }
        let stretches = text.stretches(&now)?;
        let places = Places::of(&stretches, copies);
        let mut letters = Letters::of(text)?;
        let (mut acts, mut at) = (Vec::new(), 0);
        // The roots of the restored characters just before, which may stand for some behind.
        let mut tail: Vec<Place> = Vec::new();
        for stretch in stretches {
            let end = stretch.id + stretch.len;
            if stretch.now {
                acts.extend(remove.range(stretch.id..end).map(|id| Act::Remove { at: at + (id - stretch.id) }));
                at += stretch.len;
                for id in stretch.id..end {
                    match places.root(id) {
                        Some(root) => tail.push(places.of_id(root)),
                        None => tail.clear(),
                    }
                }
            } else if stretch.deletions == 1 {
                // Deleted once, and that by the step itself; what others deleted, too, stays deleted.
                for id in restore.range(stretch.id..end).filter(|id| !remove.contains(id)) {
                    let mut letter = String::new();
                    letters.push(text, *id, 1, &mut letter);
                    if letter.starts_with(FORGOTTEN) {
                        return Err(TextError::Collected);
                    }
                    let own = places.of_id(places.root(*id).unwrap_or(*id));
                    let behind = tail.iter().rev().take_while(|place| **place > own).count();
                    acts.push(Act::Restore { at: at - super::int(behind), place: own, id: *id, letter });
                }
            }
        }
        // At one position restored characters in their order, before what goes there.
        acts.sort_by_key(|act| match act {
            Act::Restore { at, place, .. } => (*at, 0, *place),
            Act::Remove { at } => (*at, 1, (0, 0)),
        });
        Ok(Self { acts })
    }

    /// From the end on, so that the positions stay right.
    fn carry_out(self, text: &mut Text, author: ReplicaId, copies: &mut BTreeMap<Lv, Lv>) -> Result<(), TextError> {
        for act in self.acts.into_iter().rev() {
            match act {
                Act::Remove { at } => text.delete(author, at as usize..at as usize + 1)?,
                Act::Restore { at, id, letter, .. } => {
                    copies.insert(id, text.ops.end());
                    text.insert(author, at as usize, &letter)?;
                }
            }
        }
        Ok(())
    }
}

/// Where a character is in document order: which stretch, and how far into it.
type Place = (usize, u32);

/// The order of all characters, and which of them stand for deleted ones. A restored character stands before the deleted
/// ones around the place where it was; the next to be restored must look at what it stands for.
#[derive(Debug)]
struct Places {
    /// First id of a stretch, and which it is, in the order of ids.
    starts: Vec<(u32, usize)>,
    originals: BTreeMap<Lv, Lv>,
}

impl Places {
    fn of(stretches: &[Stretch], copies: &BTreeMap<Lv, Lv>) -> Self {
        let mut starts: Vec<(u32, usize)> = stretches.iter().map(|stretch| stretch.id).zip(0..).collect();
        starts.sort_unstable();
        Self { starts, originals: copies.iter().map(|(original, copy)| (*copy, *original)).collect() }
    }

    fn of_id(&self, id: u32) -> Place {
        let at = self.starts.partition_point(|start| start.0 <= id).saturating_sub(1);
        self.starts.get(at).map_or((0, 0), |start| (start.1, id - start.0))
    }

    /// What a restored character stands for in the end.
    fn root(&self, id: u32) -> Option<u32> {
        let mut root = *self.originals.get(&id)?;
        while let Some(before) = self.originals.get(&root) {
            root = *before;
        }
        Some(root)
    }
}
