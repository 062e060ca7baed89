//! The levels of a position, and where in them there is room.
//!
//! What must hold: equal levels one below the other are counted together, so that what is done with a path takes time in how
//! often it changes, not in how deep it is.

use super::SessionName;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Level {
    pub(super) number: i64,
    pub(super) session: SessionName,
    pub(super) count: i64,
}

/// Levels from the top down, each with how often it comes in a row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Path(pub(super) Vec<(Level, u64)>);

impl Path {
    pub(super) fn push(&mut self, level: Level, times: u64) {
        match self.0.last_mut() {
            // Too many to write, at the most: then there is no room.
            Some((last, many)) if *last == level => *many = many.saturating_add(times),
            _ => self.0.push((level, times)),
        }
    }

    /// The place `step` further in a run of this session.
    pub(super) fn counted(&self, session: SessionName, step: i64) -> Option<Self> {
        let (last, times) = *self.0.last().filter(|(last, _)| last.session == session)?;
        let count = last.count.checked_add(step)?;
        let mut next = Self(Vec::with_capacity(self.0.len() + 1));
        next.0.extend_from_slice(&self.0[..self.0.len() - 1]);
        if times > 1 {
            next.0.push((last, times - 1));
        }
        next.push(Level { count, ..last }, 1);
        Some(next)
    }

    /// Begins a run where there is room between this place and one after it. `None` where somebody used up all numbers.
    pub(super) fn new_run(&self, right: &Self, session: SessionName) -> Option<Self> {
        let (mut left, mut right) = (Rest::of(self), Rest::of(right));
        let mut base = Self(Vec::with_capacity(self.0.len() + 2));
        while let (Some((one, many)), Some((other, times))) = (left.next, right.next) {
            if one != other {
                break;
            }
            base.push(one, many.min(times));
            left.pass(many.min(times));
            right.pass(many.min(times));
        }
        let number = match (left.next, right.next) {
            (None, None) => Some(0),
            // What continues `left` is behind it, up to `right`.
            (None, Some((right, _))) => Some(right.number.checked_sub(1)?),
            (Some((left, _)), None) => left.number.checked_add(1),
            (Some((left, _)), Some((right, _))) => left.number.checked_add(1).filter(|number| *number < right.number),
        };
        // Where no number is free, further down, behind what is there.
        let mut free = number;
        let number = loop {
            if let Some(free) = free {
                break free;
            }
            let Some((level, times)) = left.next else { break 0 };
            let passed = if level.number == i64::MAX { times } else { 1 };
            base.push(level, passed);
            left.pass(passed);
            free = left.next.and_then(|(deeper, _)| deeper.number.checked_add(1));
        };
        base.push(Level { number, session, count: 0 }, 1);
        Some(base)
    }
}

/// What of a path was not passed yet.
struct Rest<'p> {
    next: Option<(Level, u64)>,
    then: &'p [(Level, u64)],
}

impl<'p> Rest<'p> {
    fn of(path: &'p Path) -> Self {
        let mut rest = Self { next: None, then: &path.0 };
        rest.pass(0);
        rest
    }

    /// Passes some of the next, at most all.
    fn pass(&mut self, times: u64) {
        self.next = match self.next {
            Some((level, many)) if many > times => Some((level, many - times)),
            _ => self.then.split_first().map(|(next, then)| {
                self.then = then;
                *next
            }),
        };
    }
}
