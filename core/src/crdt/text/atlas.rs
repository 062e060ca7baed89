//! The whole kept history laid out: every character in document order, seen or deleted, at any version.
//!
//! Editing and merging do without it. Whoever asks for old versions, differences, authorship, anchors or undo has it
//! built, once; it follows what happens afterwards and goes with [`Text::drop_caches`].
//!
//! *What must hold:* the layout has every event that is kept. Its cost is n log n for the first question and what
//! happened since for the next. *Where next:* [`super::past`], [`super::anchor`], [`super::undo`].

use super::apply::history;
use super::merge::replay_all;
use super::snapshot::unpack_text;
use super::tracker::{Span, Tracker, UNDER};
use super::{Lv, Text, TextError};

/// The layout and how far it goes.
#[derive(Debug, Clone)]
pub(super) struct Atlas {
    pub(super) tracker: Tracker,
    upto: Lv,
}

/// A stretch of characters in document order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stretch {
    /// First event, or [`UNDER`] and the place in the text where the history begins.
    pub(super) id: u32,
    pub(super) len: u32,
    /// Shown in the version asked for.
    pub(super) shown: bool,
    /// Shown now.
    pub(super) now: bool,
    /// How many events of the version asked for deleted it.
    pub(super) deletions: u32,
}

impl Text {
    /// Reads the history if need be and lays it out, prepared for `version`.
    pub(super) fn lay_out(&mut self, version: &[Lv]) -> Result<&mut Tracker, TextError> {
        self.hydrate()?;
        let history = history(&self.graph, &self.ops, &self.authors);
        let (base, end) = (self.ops.base(), self.ops.end());
        let atlas = self.atlas.get_or_insert_with(|| {
            let mut tracker = Tracker::default();
            tracker.reset(base, None, Some(self.base.len));
            Box::new(Atlas { tracker, upto: base })
        });
        if atlas.upto < end {
            replay_all(history, &mut atlas.tracker, atlas.upto..end, |_| {})?;
            atlas.upto = end;
        }
        atlas.tracker.prepare(history, version);
        Ok(&mut atlas.tracker)
    }

    /// All characters in document order, as of `version` and as of now.
    pub(super) fn stretches(&mut self, version: &[Lv]) -> Result<Vec<Stretch>, TextError> {
        let under = UNDER + self.base.len;
        let stretch = |span: Span| {
            // Behind the text where the history begins the layout goes on; nobody can have meant that.
            let len = if span.id >= UNDER { under.saturating_sub(span.id).min(span.len) } else { span.len };
            let deletions = span.prepared().saturating_sub(1);
            (len > 0).then_some(Stretch {
                id: span.id,
                len,
                shown: span.prepared() == 1,
                now: span.state & 1 == 0,
                deletions,
            })
        };
        Ok(self.lay_out(version)?.spans().filter_map(stretch).collect())
    }

    /// Forgets what was laid out to answer questions about the past; it is built again when asked for.
    pub fn drop_caches(&mut self) {
        self.atlas = None;
        self.zone = None;
    }
}

/// Gives the characters of stretches; those of the text where the history begins in ascending order.
#[derive(Debug)]
pub(super) struct Letters {
    base: String,
    at: u32,
    byte: usize,
}

impl Letters {
    pub(super) fn of(text: &Text) -> Result<Self, TextError> {
        Ok(Self { base: unpack_text(&text.base.text)?, at: 0, byte: 0 })
    }

    /// Appends the characters of a stretch to `out`.
    pub(super) fn push(&mut self, text: &Text, id: u32, len: u32, out: &mut String) {
        if id < UNDER {
            text.ops.runs(id, id + len).for_each(|run| out.push_str(run.text));
            return;
        }
        let from = id - UNDER;
        if from < self.at {
            (self.at, self.byte) = (0, 0);
        }
        let start = self.skip(from - self.at);
        let end = self.skip(len);
        out.push_str(self.base.get(start..end).unwrap_or_default());
    }

    fn skip(&mut self, chars: u32) -> usize {
        let rest = self.base.get(self.byte..).unwrap_or_default();
        self.byte += rest.char_indices().nth(chars as usize).map_or(rest.len(), |(byte, _)| byte);
        self.at += chars;
        self.byte
    }
}
