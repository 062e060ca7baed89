//! Dropping history that nobody needs any more.
//!
//! What everybody has seen, and will have seen before they write anything new, need not be replayed again: the text there
//! takes its place, with the names of its characters. Deleted characters from before are gone for good.
//!
//! *What must hold:* the text, its hash and everything that builds on what is kept stay as they are; what builds on
//! less is refused with [`TextError::Collected`].
//!
//! *Who may call it:* a program that knows all its replicas. A log does not: a device that was away for longer than its name
//! counts among the holders, one put back from an old image or copied, a batch that was made long ago and never answered, and
//! ops offered again to a server that was put back all bring edits that had seen less than the stable frontier, and no edit may
//! be refused. So texts in a log never collect; they forget what was deleted ([`super::forget`]), which needs nobody's consent.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::atlas::Letters;
use super::delta::Name;
use super::snapshot::{Base, Named, pack};
use super::tracker::UNDER;
use super::{Lv, Text, TextError, Version};
use crate::id::ReplicaId;

impl Text {
    /// Drops the history before `stable`, which every replica that may still write has seen. As much as a critical
    /// event allows (one that has seen everything before it and is seen by everything after); gives how many events.
    ///
    /// # Errors
    /// [`TextError::Unseen`] if `stable` is not here; [`TextError::Collected`] if more was collected before.
    pub fn collect(&mut self, stable: &Version) -> Result<u64, TextError> {
        self.hydrate()?;
        let stable = self.find_version(stable)?;
        let Some(first) = stable.first().copied() else { return Ok(0) };
        let Some(last) = self.graph.critical_before(first + 1) else { return Ok(0) };
        let base = last + 1;
        let dropped = base - self.ops.base();
        let (text, names) = self.text_and_names(last)?;
        self.keep_rosters(base)?;
        self.base_heads = vec![self.authors.of(last)];
        self.base = Base { len: super::rope::chars_in(&text), text: pack(text.as_bytes()), names, stored: None };
        self.graph.rebase(base);
        self.ops.rebase(base);
        self.authors.forget_before(base);
        self.drop_caches();
        Ok(dropped.into())
    }

    /// The text at a critical event, and whose its characters are.
    fn text_and_names(&mut self, at: Lv) -> Result<(String, Vec<Named>), TextError> {
        let stretches = self.stretches(&[at])?;
        let mut letters = Letters::of(self)?;
        let (mut text, mut names) = (String::new(), Vec::new());
        let held = self.marked_names();
        for stretch in stretches {
            if !stretch.shown {
                self.keep_held(&held, stretch.id, stretch.len, &mut names);
                continue;
            }
            letters.push(self, stretch.id, stretch.len, &mut text);
            let (mut id, end) = (stretch.id, stretch.id + stretch.len);
            while id < end {
                let (name, len) = if id >= UNDER {
                    self.base.name_at(id - UNDER, end - id)
                } else {
                    let (author, seq, to) = self.authors.stretch(id, end);
                    (Some((author, seq)), to - id)
                };
                push_named(&mut names, name, len);
                id += len;
            }
        }
        if names.iter().all(|named| named.name.is_none()) {
            names.clear();
        }
        Ok((text, names))
    }

    /// Keeps the names of deleted characters that marks hold on to.
    fn keep_held(&self, held: &BTreeSet<(ReplicaId, u64)>, id: u32, len: u32, names: &mut Vec<Named>) {
        if held.is_empty() || id >= UNDER {
            return;
        }
        for lv in id..id + len {
            let (author, seq) = self.authors.of(lv);
            if held.contains(&(self.authors.get(author).id, seq.into())) {
                names.push(Named { name: Some((author, seq)), len: 0 });
            }
        }
    }

    /// Brings every roster to where the kept history begins: behind that it cannot be worked out any more.
    fn keep_rosters(&mut self, base: Lv) -> Result<(), TextError> {
        for author in 0..super::int(self.authors.list().len()) {
            let kept = self.authors.stretches(author, 0).find(|(_, lv, len)| lv + len > base);
            let next = self.authors.get(author).next;
            let first = kept.map_or(next, |(seq, lv, _)| seq + base.saturating_sub(lv));
            if self.authors.get(author).roster.seq < first {
                let roster = self.roster_at(author, first)?;
                self.authors.get_mut(author).roster = roster;
            }
        }
        Ok(())
    }
}

/// Whether a character was in the text where the history begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    There,
    Deleted,
}

fn push_named(names: &mut Vec<Named>, name: Option<Name>, len: u32) {
    match (names.last_mut(), name) {
        (Some(last), Some((author, seq)))
            if last.len > 0 && last.name.is_some_and(|(a, s)| a == author && s + last.len == seq) =>
        {
            last.len += len;
        }
        (Some(last), None) if last.name.is_none() => last.len += len,
        _ => names.push(Named { name, len }),
    }
}

impl Base {
    /// Whose character `at` of the text where the history begins is, and of how many, at most `len`, that is said.
    pub(super) fn name_at(&self, at: u32, len: u32) -> (Option<Name>, u32) {
        let mut start = 0;
        for named in &self.names {
            if at < start + named.len {
                let skip = at - start;
                return (named.name.map(|(author, seq)| (author, seq + skip)), len.min(named.len - skip));
            }
            start += named.len;
        }
        (None, len)
    }

    /// Where a character is in the text where the history begins, or was, if a mark holds on to it.
    pub(super) fn place_of(&self, (author, seq): Name) -> Option<(u32, Standing)> {
        let mut start = 0;
        for named in &self.names {
            if let Some((other, first)) = named.name
                && other == author
                && (first..first + named.len.max(1)).contains(&seq)
            {
                let standing = if named.len == 0 { Standing::Deleted } else { Standing::There };
                return Some((start + (seq - first), standing));
            }
            start += named.len;
        }
        None
    }

    /// Nothing dropped.
    pub(super) fn is_start(&self) -> bool {
        self.len == 0 && self.text == Bytes::new()
    }
}
