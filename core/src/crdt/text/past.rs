//! Looking back: the text at any version, what changed between two, and who wrote what.

use super::atlas::{Letters, Stretch};
use super::tracker::UNDER;
use super::{Text, TextError, Version};
use crate::id::ReplicaId;

/// A replacement: at character `at`, `deleted` characters go and `inserted` comes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// In characters of the text with every earlier change of the list made.
    pub at: usize,
    /// In characters.
    pub deleted: usize,
    /// What comes.
    pub inserted: String,
}

/// Characters that one author wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written {
    /// How many characters.
    pub len: usize,
    /// Who wrote them; `None` if that was dropped with the history.
    pub author: Option<ReplicaId>,
}

impl Text {
    /// The text as it was at `version`.
    ///
    /// # Errors
    /// [`TextError::Unseen`], [`TextError::Collected`].
    pub fn text_at(&mut self, version: &Version) -> Result<String, TextError> {
        self.hydrate()?;
        let version = self.find_version(version)?;
        let stretches = self.stretches(&version)?;
        let mut letters = Letters::of(self)?;
        let mut out = String::new();
        for stretch in stretches.iter().filter(|stretch| stretch.shown) {
            letters.push(self, stretch.id, stretch.len, &mut out);
        }
        Ok(out)
    }

    /// What to do to the text at version `from` to get the text at version `to`, from the start on.
    ///
    /// # Errors
    /// [`TextError::Unseen`], [`TextError::Collected`].
    pub fn diff(&mut self, from: &Version, to: &Version) -> Result<Vec<Change>, TextError> {
        self.hydrate()?;
        let (from, to) = (self.find_version(from)?, self.find_version(to)?);
        let old = self.stretches(&from)?;
        let new = self.stretches(&to)?;
        let mut letters = Letters::of(self)?;
        let mut changes: Vec<Change> = Vec::new();
        let (mut at, mut apart) = (0, true);
        let mut olds = old.into_iter();
        let mut held: Option<Stretch> = None;
        for now in new {
            // Preparing another version only ever splits stretches, so that the old ones are the coarser.
            let mut left = now.len;
            while left > 0 {
                let Some(was) = held.take().or_else(|| olds.next()) else { break };
                let take = was.len.min(left);
                if was.len > take {
                    held = Some(Stretch { id: was.id + take, len: was.len - take, ..was });
                }
                let id = now.id + (now.len - left);
                left -= take;
                match (was.shown, now.shown) {
                    (true, true) => {
                        at += take as usize;
                        apart = true;
                    }
                    (false, false) => {}
                    (true, false) => change_at(&mut changes, at, &mut apart).deleted += take as usize,
                    (false, true) => {
                        letters.push(self, id, take, &mut change_at(&mut changes, at, &mut apart).inserted);
                        at += take as usize;
                    }
                }
            }
        }
        Ok(changes)
    }

    /// Who wrote what, from the start to the end of the text.
    ///
    /// # Errors
    /// Only if a history that was loaded but not read so far turns out to be damaged.
    pub fn blame(&mut self) -> Result<Vec<Written>, TextError> {
        let now = self.graph.frontier().to_vec();
        let stretches = self.stretches(&now)?;
        let mut written: Vec<Written> = Vec::new();
        let mut push = |author: Option<ReplicaId>, len: u32| match written.last_mut() {
            Some(last) if last.author == author => last.len += len as usize,
            _ => written.push(Written { len: len as usize, author }),
        };
        for stretch in stretches.iter().filter(|stretch| stretch.now) {
            let (mut id, end) = (stretch.id, stretch.id + stretch.len);
            while id < end {
                if id >= UNDER {
                    let (name, len) = self.base.name_at(id - UNDER, end - id);
                    push(name.map(|(author, _)| self.authors.get(author).id), len);
                    id += len;
                } else {
                    let (author, _, to) = self.authors.stretch(id, end);
                    push(Some(self.authors.get(author).id), to - id);
                    id = to;
                }
            }
        }
        Ok(written)
    }
}

/// The change at a place: the last one, unless something that stays lies between.
fn change_at<'a>(changes: &'a mut Vec<Change>, at: usize, apart: &mut bool) -> &'a mut Change {
    if std::mem::take(apart) || changes.is_empty() {
        changes.push(Change { at, deleted: 0, inserted: String::new() });
    }
    let last = changes.len() - 1;
    &mut changes[last]
}
