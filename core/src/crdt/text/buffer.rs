//! The text as it stands: a rope with the edit being made held back in front of it.
//!
//! People type runs. The run that grows is kept aside and reaches the rope once, when the next edit is made elsewhere;
//! readers look through it. So a keystroke costs a few nanoseconds, not a walk through a tree.
//!
//! *What must hold:* a held insertion is `text` at character `at` of the rope; a held deletion is the `gone` characters
//! from `at` on; not both. Callers check positions. *Where next:* [`super::rope`].

use super::rope::{Chunks, Rope, Unit, Width, chars_in};

/// A held insertion longer than this goes to the rope: it has become a document.
const HELD_BYTES_MAX: usize = 1 << 12;

#[derive(Debug, Clone)]
pub(super) struct Buffer {
    rope: Rope,
    at: u32,
    text: String,
    chars: u32,
    gone: u32,
}

impl Buffer {
    pub(super) fn of(text: &str) -> Self {
        Self { rope: Rope::of(text), at: 0, text: String::new(), chars: 0, gone: 0 }
    }

    /// Length in characters.
    pub(super) const fn len(&self) -> u32 {
        self.rope.width().chars + self.chars - self.gone
    }

    /// Puts `text`, which has `chars` characters, before character `at`.
    #[inline]
    pub(super) fn insert(&mut self, at: u32, text: &str, chars: u32) {
        if self.chars > 0 && at == self.at + self.chars && self.text.len() < HELD_BYTES_MAX {
            self.text.push_str(text);
            self.chars += chars;
            return;
        }
        self.settle();
        if text.len() >= HELD_BYTES_MAX {
            self.rope.insert(at, text, Width::of(text));
            return;
        }
        self.at = at;
        self.text.push_str(text);
        self.chars = chars;
    }

    /// Removes `count` characters from `at` on.
    #[inline]
    pub(super) fn delete(&mut self, at: u32, count: u32) {
        if self.chars > 0 && at >= self.at && at + count == self.at + self.chars {
            // Taking back the end of what was just typed.
            let keep = at - self.at;
            let bytes = if self.text.len() == self.chars as usize {
                keep as usize
            } else {
                self.text.char_indices().nth(keep as usize).map_or(self.text.len(), |(byte, _)| byte)
            };
            self.text.truncate(bytes);
            self.chars = keep;
            return;
        }
        if self.chars > 0 || (self.gone > 0 && at != self.at && at + count != self.at) {
            self.settle();
        }
        self.at = at;
        self.gone += count;
    }

    /// Brings the held edit to the rope.
    pub(super) fn settle(&mut self) {
        if self.chars > 0 {
            let width = if self.text.len() == self.chars as usize {
                Width { bytes: self.chars, chars: self.chars, units: self.chars }
            } else {
                Width::of(&self.text)
            };
            self.rope.insert(self.at, &self.text, width);
        } else if self.gone > 0 {
            self.rope.delete(self.at, self.gone);
        }
        self.text.clear();
        self.chars = 0;
        self.gone = 0;
    }

    /// The three stretches a reader sees: rope, held insertion, rope; each in characters of its source.
    fn view(&self, from: u32, to: u32) -> (Chunks<'_>, &str, Chunks<'_>) {
        let before = self.rope.chunks(from.min(self.at), to.min(self.at));
        let start = from.max(self.at) - self.at;
        let end = to.max(self.at) - self.at;
        let held = &self.text[self.held_byte(start.min(self.chars))..self.held_byte(end.min(self.chars))];
        let skip = self.at + self.gone;
        let behind = self.rope.chunks(skip + start.saturating_sub(self.chars), skip + end.saturating_sub(self.chars));
        (before, held, behind)
    }

    fn held_byte(&self, chars: u32) -> usize {
        if self.text.len() == self.chars as usize {
            return chars as usize;
        }
        self.text.char_indices().nth(chars as usize).map_or(self.text.len(), |(byte, _)| byte)
    }

    /// The text from character `from` up to `to`, in chunks.
    pub(super) fn chunks(&self, from: u32, to: u32) -> impl Iterator<Item = &str> {
        let (before, held, behind) = self.view(from, to);
        before.chain((!held.is_empty()).then_some(held)).chain(behind)
    }

    /// The width of everything.
    pub(super) fn width(&self) -> Width {
        let gone = self.gone_width();
        self.rope.width().plus(Width::of(&self.text)).minus(gone)
    }

    fn gone_width(&self) -> Width {
        if self.gone == 0 {
            return Width::default();
        }
        let to = self.rope.before(Unit::Chars, self.at + self.gone).unwrap_or_default();
        to.minus(self.rope.before(Unit::Chars, self.at).unwrap_or_default())
    }

    /// The width of everything before the place `at`, counted in `unit`; `None` inside a character or behind the end.
    pub(super) fn before(&self, unit: Unit, at: u32) -> Option<Width> {
        if self.chars == 0 && self.gone == 0 {
            return self.rope.before(unit, at);
        }
        let start = self.rope.before(Unit::Chars, self.at)?;
        let count = |width: Width| match unit {
            Unit::Bytes => width.bytes,
            Unit::Chars => width.chars,
            Unit::Utf16 => width.units,
        };
        if at <= count(start) {
            return self.rope.before(unit, at);
        }
        let held = Width::of(&self.text);
        let into = at - count(start);
        if into <= count(held) {
            return super::rope::within(&self.text, held, unit, into).map(|width| start.plus(width));
        }
        let gone = self.gone_width();
        let there = (at - count(held)).checked_add(count(gone))?;
        Some(self.rope.before(unit, there)?.plus(held).minus(gone))
    }

    /// What does not hold.
    pub(super) fn check(&self) -> Result<(), String> {
        if chars_in(&self.text) != self.chars || (self.chars > 0 && self.gone > 0) {
            return Err("the held edit does not count".to_owned());
        }
        self.rope.check()
    }
}
