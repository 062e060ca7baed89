//! What every event did, folded into runs.
//!
//! An *event* inserts or deletes one character. Events of a document are numbered in the order of their arrival here
//! ([`Lv`]); neighbours that continue each other (typing, holding Delete or Backspace) share one row of twelve bytes. A
//! row's length is where the next begins, and the inserted text stands in one column in the same order.
//!
//! *What must hold:* rows ascend and are never empty; folding depends on the events alone, not on how they came in
//! pieces, so that equal events give equal rows. *Where next:* [`super::graph`] says what each event had seen.

use super::rope::{Width, byte_of};
use super::{Lv, TextError, int};

/// Most bytes of inserted text a document ever had.
pub(super) const CONTENT_BYTES_MAX: usize = crate::limits::TEXT_CONTENT_BYTES_MAX;
/// Most events of a document.
pub(super) const EVENTS_MAX: u32 = crate::limits::TEXT_EVENTS_MAX;

/// What a run of events does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Puts characters from `pos` on, each behind the one before.
    Insert,
    /// Deletes at `pos` again and again: the Delete key, or a selection.
    Delete,
    /// Deletes at `pos`, then before it, and so on: Backspace.
    Backspace,
}

/// Events that continue each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run<'a> {
    pub(super) lv: Lv,
    pub(super) len: u32,
    pub(super) kind: Kind,
    /// Where the first event acts, in characters of the text its author saw.
    pub(super) pos: u32,
    /// What is inserted; empty for deletions.
    pub(super) text: &'a str,
}

impl Run<'_> {
    /// Where the author's cursor stands afterwards.
    pub(super) const fn cursor(&self) -> u32 {
        match self.kind {
            Kind::Insert => self.pos + self.len,
            Kind::Delete => self.pos,
            Kind::Backspace => self.pos + 1 - self.len,
        }
    }

    /// The smallest position it touches.
    pub(super) const fn low(&self) -> u32 {
        match self.kind {
            Kind::Insert | Kind::Delete => self.pos,
            Kind::Backspace => self.pos + 1 - self.len,
        }
    }

    /// The part of it from event `from` up to `to`, counted from its first.
    pub(super) fn part(&self, from: u32, to: u32) -> Self {
        let (mut text, mut pos) = (self.text, self.pos);
        match self.kind {
            Kind::Insert => {
                let width = Width { bytes: int(text.len()), chars: self.len, units: self.len };
                text = &text[byte_of(text, width, from)..byte_of(text, width, to)];
                pos += from;
            }
            Kind::Delete => {}
            Kind::Backspace => pos -= from,
        }
        Self { lv: self.lv + from, len: to - from, kind: self.kind, pos, text }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Row {
    lv: Lv,
    pos: u32,
    /// Length of the content column when the row began, shifted left by two; below it the kind.
    tag: u32,
}

impl Row {
    const fn kind(self) -> Kind {
        match self.tag & 3 {
            0 => Kind::Insert,
            1 => Kind::Delete,
            _ => Kind::Backspace,
        }
    }
}

/// The rows and the inserted text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ops {
    /// The first event kept.
    base: Lv,
    end: Lv,
    rows: Vec<Row>,
    content: String,
}

impl Ops {
    pub(super) const fn from_base(base: Lv) -> Self {
        Self { base, end: base, rows: Vec::new(), content: String::new() }
    }

    pub(super) const fn base(&self) -> Lv {
        self.base
    }

    /// The number of the next event.
    pub(super) const fn end(&self) -> Lv {
        self.end
    }

    /// Whether `events` more with `bytes` more of text can be held.
    pub(super) const fn check_room(&self, events: usize, bytes: usize) -> Result<(), TextError> {
        if events > (EVENTS_MAX - self.end) as usize {
            return Err(TextError::TooLarge { max: EVENTS_MAX as u64 });
        }
        if bytes > CONTENT_BYTES_MAX - self.content.len() {
            return Err(TextError::TooLarge { max: CONTENT_BYTES_MAX as u64 });
        }
        Ok(())
    }

    fn open(&mut self, kind: Kind, pos: u32) {
        let kind = match kind {
            Kind::Insert => 0,
            Kind::Delete => 1,
            Kind::Backspace => 2,
        };
        if self.rows.len() == self.rows.capacity() {
            // Doubling would leave half of it empty.
            self.rows.reserve_exact(self.rows.len() / 4 + 8);
        }
        self.rows.push(Row { lv: self.end, pos, tag: int(self.content.len()) << 2 | kind });
    }

    /// Appends the insertion of `text`, `chars` characters, at `pos`.
    #[inline]
    pub(super) fn insert(&mut self, pos: u32, text: &str, chars: u32) {
        match self.rows.last() {
            Some(row) if row.tag & 3 == 0 && pos.wrapping_sub(row.pos) == self.end - row.lv => {}
            _ => self.open(Kind::Insert, pos),
        }
        if text.len() > self.content.capacity() - self.content.len() {
            self.content.reserve_exact(text.len() + self.content.len() / 4 + 64);
        }
        self.content.push_str(text);
        self.end += chars;
    }

    /// Appends an insertion whose text is not known; its runs have none.
    pub(super) fn insert_blank(&mut self, pos: u32, len: u32) {
        self.open(Kind::Insert, pos);
        self.end += len;
    }

    /// Appends `len` deletions, the first at `pos`.
    pub(super) fn delete(&mut self, kind: Kind, pos: u32, len: u32) {
        let (mut pos, mut len) = (pos, len);
        // The first event may end one run although the others begin the next: folding goes event by event.
        if len > 0 && self.fold(pos) {
            self.end += 1;
            len -= 1;
            if kind == Kind::Backspace {
                pos = pos.wrapping_sub(1);
            }
        }
        while len > 0 {
            let continues = self.fold(pos);
            if !continues {
                self.open(Kind::Delete, pos);
            }
            // From the second event of a row on, its direction is known and the rest either fits or starts a row.
            let settled = self.rows.last().is_some_and(|row| self.end - row.lv >= 2 && row.kind() == kind);
            let take = if continues && settled { len } else { 1 };
            self.end += take;
            len -= take;
            if kind == Kind::Backspace {
                pos = pos.wrapping_sub(take);
            }
        }
    }

    /// Whether a deletion at `pos` continues the last row; turns a row of one deletion the right way.
    fn fold(&mut self, pos: u32) -> bool {
        let end = self.end;
        let Some(row) = self.rows.last_mut() else { return false };
        let len = end - row.lv;
        match row.kind() {
            Kind::Insert => false,
            Kind::Delete if pos == row.pos => true,
            Kind::Delete => {
                let back = len == 1 && row.pos.checked_sub(1) == Some(pos);
                if back {
                    row.tag = row.tag & !3 | 2;
                }
                back
            }
            Kind::Backspace => row.pos.checked_sub(len) == Some(pos),
        }
    }

    fn row_of(&self, lv: Lv) -> usize {
        // What is asked for is most often what came last.
        if self.rows.last().is_some_and(|row| row.lv <= lv) {
            return self.rows.len() - 1;
        }
        self.rows.partition_point(|row| row.lv <= lv).saturating_sub(1)
    }

    fn run(&self, row: usize) -> Run<'_> {
        let this = self.rows[row];
        let (end, to) = match self.rows.get(row + 1) {
            Some(next) => (next.lv, (next.tag >> 2) as usize),
            None => (self.end, self.content.len()),
        };
        let text = &self.content[(this.tag >> 2) as usize..to];
        Run { lv: this.lv, len: end - this.lv, kind: this.kind(), pos: this.pos, text }
    }

    /// The run that holds an event, cut to begin there.
    pub(super) fn run_at(&self, lv: Lv) -> Run<'_> {
        let run = self.run(self.row_of(lv));
        run.part(lv - run.lv, run.len)
    }

    /// The runs of the events from `from` up to `to`, the first and last cut to fit.
    pub(super) fn runs(&self, from: Lv, to: Lv) -> Runs<'_> {
        let row = if from < to && from < self.end { self.row_of(from) } else { self.rows.len() };
        Runs { ops: self, row, from, to }
    }

    /// Appends a copy of a run.
    pub(super) fn push(&mut self, run: &Run<'_>) {
        match run.kind {
            Kind::Insert => self.insert(run.pos, run.text, run.len),
            kind => self.delete(kind, run.pos, run.len),
        }
    }

    /// Forgets every event before `base`.
    pub(super) fn rebase(&mut self, base: Lv) {
        let mut kept = Self::from_base(base);
        self.runs(base, self.end).for_each(|run| kept.push(&run));
        *self = kept;
    }

    /// Forgets every event from `lv` on.
    pub(super) fn truncate(&mut self, lv: Lv) {
        if lv >= self.end {
            return;
        }
        let keep = self.rows.partition_point(|row| row.lv < lv);
        if keep > 0 {
            let run = self.run(keep - 1);
            let kept = run.part(0, (lv - run.lv).min(run.len));
            let content = (self.rows[keep - 1].tag >> 2) as usize + kept.text.len();
            if kept.len == 1 && kept.kind == Kind::Backspace {
                self.rows[keep - 1].tag -= 1;
            }
            self.content.truncate(content);
        } else {
            self.content.clear();
        }
        self.rows.truncate(keep);
        self.end = lv;
    }
}

/// The runs of a range of events.
#[derive(Debug, Clone)]
pub(super) struct Runs<'a> {
    ops: &'a Ops,
    row: usize,
    from: Lv,
    to: Lv,
}

impl<'a> Iterator for Runs<'a> {
    type Item = Run<'a>;

    #[inline]
    fn next(&mut self) -> Option<Run<'a>> {
        if self.row >= self.ops.rows.len() {
            return None;
        }
        let run = self.ops.run(self.row);
        if run.lv >= self.to {
            return None;
        }
        self.row += 1;
        let (start, end) = (self.from.max(run.lv), self.to.min(run.lv + run.len));
        Some(if start == run.lv && end == run.lv + run.len { run } else { run.part(start - run.lv, end - run.lv) })
    }
}
