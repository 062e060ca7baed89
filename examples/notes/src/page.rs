//! A note that is open: its text and this device's cursor in it.
//!
//! What must hold: the cursor is an anchor, so it stays at its character while others edit; every line that edits is one
//! step of undoing, and undoing ends with the process.

use std::fmt::Write as _;

use syncline::client::{ReplicaError, SharedText};
use syncline::crdt::text::{Anchor, Side, TextError, Version};
use syncline_desk::Fault;

/// An open note.
#[derive(Debug)]
pub(crate) struct Page {
    /// Which.
    pub(crate) name: String,
    /// Its text.
    pub(crate) text: SharedText,
    cursor: Anchor,
}

impl Page {
    /// Opens a note with the cursor at its end.
    pub(crate) const fn new(name: String, text: SharedText) -> Self {
        Self { name, text, cursor: Anchor::End }
    }

    /// Where the cursor stands, to tell others.
    pub(crate) const fn cursor(&self) -> Anchor {
        self.cursor
    }

    /// Where the cursor stands, in characters; at the end, where its character went with all the text.
    ///
    /// # Errors
    /// The replica's.
    pub(crate) async fn place(&mut self) -> Result<usize, Fault> {
        match self.text.resolve(self.cursor).await {
            Err(ReplicaError::Text(TextError::Unseen { .. } | TextError::Collected)) => self.cursor = Anchor::End,
            place => return Ok(place?),
        }
        Ok(self.text.resolve(self.cursor).await?)
    }

    /// Puts the cursor before a character; there what others type comes behind it.
    ///
    /// # Errors
    /// When there is no such place.
    pub(crate) async fn go(&mut self, at: usize) -> Result<(), Fault> {
        self.cursor = self.text.anchor(at, Side::After).await?;
        Ok(())
    }

    /// Types at the cursor.
    ///
    /// # Errors
    /// The replica's.
    pub(crate) async fn type_in(&mut self, typed: &str) -> Result<(), Fault> {
        let (was, mut now) = (self.cursor, Anchor::End);
        // In one edit: what others type may arrive at any await, and moves the place.
        let typing = self.text.edit(|typing| {
            let at = match typing.resolve(was) {
                Err(TextError::Unseen { .. } | TextError::Collected) => typing.text().len(),
                at => at?,
            };
            typing.insert(at, typed)?;
            now = typing.anchor(at + typed.chars().count(), Side::After)?;
            Ok(())
        });
        typing.await?;
        self.cursor = now;
        Ok(())
    }
}

/// An anchor as text that reads back.
pub(crate) fn anchor_text(anchor: Anchor) -> String {
    match anchor {
        Anchor::Start => "start".to_owned(),
        Anchor::End => "end".to_owned(),
        Anchor::Char { replica, seq, side } => {
            let side = if side == Side::Before { "before" } else { "after" };
            format!("{side} {replica} {seq}")
        }
    }
}

/// The inverse of [`anchor_text`].
pub(crate) fn read_anchor(text: &str) -> Option<Anchor> {
    let mut words = text.split(' ');
    let side = match words.next()? {
        "start" => return Some(Anchor::Start),
        "end" => return Some(Anchor::End),
        "before" => Side::Before,
        "after" => Side::After,
        _ => return None,
    };
    Some(Anchor::Char { replica: words.next()?.parse().ok()?, seq: words.next()?.parse().ok()?, side })
}

/// A version as one word; the empty one is `-`.
pub(crate) fn version_text(version: &Version) -> String {
    let mut text = String::new();
    for (author, seq) in version.heads() {
        let comma = if text.is_empty() { "" } else { "," };
        // Writing to a string does not fail.
        let _ = write!(text, "{comma}{author}:{seq}");
    }
    if text.is_empty() { "-".to_owned() } else { text }
}

/// The inverse of [`version_text`].
pub(crate) fn read_version(text: &str) -> Option<Version> {
    if text == "-" {
        return Some(Version::default());
    }
    let head = |pair: &str| {
        let (author, seq) = pair.split_once(':')?;
        Some((author.parse().ok()?, seq.parse().ok()?))
    };
    text.split(',').map(head).collect::<Option<Vec<_>>>().map(Version::of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use syncline::ReplicaId;

    #[test]
    fn anchors_and_versions_read_back_and_nothing_else_does() {
        let replica = ReplicaId::from_bytes([7; 16]);
        let at = |side| Anchor::Char { replica, seq: 12, side };
        for anchor in [Anchor::Start, Anchor::End, at(Side::Before), at(Side::After)] {
            assert_eq!(read_anchor(&anchor_text(anchor)), Some(anchor));
        }
        for version in [
            Version::default(),
            Version::of([(replica, 3)]),
            Version::of([(replica, 3), (ReplicaId::from_bytes([8; 16]), 0)]),
        ] {
            assert_eq!(read_version(&version_text(&version)), Some(version));
        }
        for bad in ["", "after", "after x 1", "middle"] {
            assert_eq!(read_anchor(bad), None, "{bad}");
        }
        for bad in ["", "x", "x:1", &format!("{replica}:-1")] {
            assert_eq!(read_version(bad), None, "{bad}");
        }
    }
}
