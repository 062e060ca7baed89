//! Forgetting what deleted characters were.
//!
//! An edit says where it acts by counting characters of the text its author saw. So whoever merges one needs every event
//! before it that somebody may not have seen, but never needs to know what a deleted character was: that it was there is
//! enough. What it was is kept to look back, and goes here; [`FORGOTTEN`] stands in its place.
//!
//! *What must hold:* the text, its hash, its versions, marks and anchors stay as they are, and every delta that applied
//! before applies after, with the same outcome, however old it is: replicas that forgot at different times, or never,
//! agree. What is forgotten is gone for good here. *Where next:* [`super::collect`], which drops events, too, and therefore
//! refuses who has not seen them.

use super::apply::history;
use super::ops::{Kind, Ops, Run};
use super::snapshot::alive;
use super::{Text, TextError};

/// What stands for a deleted character that was forgotten: U+001A SUBSTITUTE, one byte, so that forgetting never grows a text.
pub(super) const FORGOTTEN: char = '\u{1a}';

impl Text {
    /// Forgets what characters were that are deleted by now; how many were known until now. Versions from before show U+001A
    /// in their place, and their deletion cannot be undone any more.
    ///
    /// # Errors
    /// Only if a history that was loaded but not read so far turns out to be damaged.
    pub fn forget_deleted(&mut self) -> Result<u64, TextError> {
        let (ops, known) = self.without_deleted()?;
        if known > 0 {
            self.ops = ops;
            self.drop_caches();
        }
        Ok(known)
    }

    /// How many characters [`Text::forget_deleted`] would forget.
    ///
    /// # Errors
    /// As [`Text::forget_deleted`].
    pub fn forgettable(&mut self) -> Result<u64, TextError> {
        self.without_deleted().map(|(_, known)| known)
    }

    fn without_deleted(&mut self) -> Result<(Ops, u64), TextError> {
        self.hydrate()?;
        let text = self.to_string();
        let shown = alive(history(&self.graph, &self.ops, &self.authors), self.base.len, &text)?;
        let mut shown = shown.iter().map(|(lv, len, _)| *lv..lv + len).peekable();
        let (mut ops, mut known, mut letters) = (Ops::from_base(self.ops.base()), 0, String::new());
        for run in self.ops.runs(self.ops.base(), self.ops.end()) {
            if run.kind != Kind::Insert {
                ops.push(&run);
                continue;
            }
            letters.clear();
            for (lv, letter) in (run.lv..).zip(run.text.chars()) {
                while shown.next_if(|part| part.end <= lv).is_some() {}
                let stays = shown.peek().is_some_and(|part| part.contains(&lv));
                known += u64::from(!stays && letter != FORGOTTEN);
                letters.push(if stays { letter } else { FORGOTTEN });
            }
            ops.push(&Run { text: &letters, ..run });
        }
        Ok((ops, known))
    }
}

impl Ops {
    /// Whether both say the same, as far as both still know what was inserted.
    pub(super) fn agrees(&self, other: &Self) -> bool {
        if self == other {
            return true;
        }
        let (ours, theirs) = (self.runs(self.base(), self.end()), other.runs(other.base(), other.end()));
        let same = |(ours, theirs): (Run<'_>, Run<'_>)| {
            let (mut a, mut b) = (ours.text.chars(), theirs.text.chars());
            (ours.lv, ours.len, ours.kind, ours.pos) == (theirs.lv, theirs.len, theirs.kind, theirs.pos)
                && a.by_ref().zip(b.by_ref()).all(|(a, b)| a == b || a == FORGOTTEN || b == FORGOTTEN)
        };
        self.end() == other.end() && ours.clone().count() == theirs.clone().count() && ours.zip(theirs).all(same)
    }
}
