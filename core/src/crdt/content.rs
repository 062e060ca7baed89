//! What every value that merges can do, and the small things their byte forms share.

use std::fmt::Debug;

use bytes::Bytes;

use super::moment::Moment;
use crate::codec::{DecodeError, Reader, Writer};
use crate::json::check_json;
use crate::limits;

/// The version of every byte form here.
pub(super) const FORMAT: u8 = 1;

/// A value that merges: edits of many authors make it, and whoever has the same edits has the same bytes.
///
/// What must hold: edits of different authors commute, as long as each author's own come in their order; reading refuses
/// every spelling but the one that is written; nothing panics, whatever the bytes or the edits.
pub trait Content: Debug + Clone + Default + PartialEq + Send + Sync + 'static {
    /// What one op says.
    type Edit: Debug + Clone + PartialEq + Send + Sync;

    /// Its name, for errors and for whoever checks that a collection holds it.
    const NAME: &'static str;

    /// Reads what an op says.
    ///
    /// # Errors
    /// When the bytes are no edit in its one spelling.
    fn read_edit(payload: Bytes) -> Result<Self::Edit, DecodeError>;

    /// The inverse of [`Content::read_edit`].
    fn write_edit(edit: &Self::Edit) -> Bytes;

    /// Applies an edit.
    fn apply(&mut self, moment: &Moment, edit: Self::Edit);

    /// Applies a delete that says nothing else, as one made by somebody who does not know the type. A register takes it as a
    /// write; everything else ends what stands before it in the log.
    fn clear(&mut self, moment: &Moment);

    /// The whole value.
    fn encode(&self) -> Vec<u8>;

    /// The inverse of [`Content::encode`].
    ///
    /// # Errors
    /// When the bytes are not canonical.
    fn decode(bytes: Bytes) -> Result<Self, DecodeError>;

    /// What a reader sees, as JSON; `None` when there is nothing.
    ///
    /// # Errors
    /// When a value in it is no JSON: whoever gives a state away whole may have put anything in a value's place, and nobody
    /// looks at values before they are read.
    fn view(&self) -> Result<Option<Bytes>, DecodeError>;

    /// What is left of an edit that was not sent yet when the same author's next one follows: `None` for nothing.
    #[must_use]
    fn left_of(older: Self::Edit, newer: &Self::Edit) -> Option<Self::Edit> {
        let _ = newer;
        Some(older)
    }
}

/// Begins a byte form.
pub(super) fn begin(capacity: usize) -> Writer {
    let mut out = Writer::with_capacity(capacity);
    out.u8(FORMAT);
    out
}

/// Reads the version.
pub(super) fn opened(bytes: Bytes, what: &'static str) -> Result<Reader, DecodeError> {
    let mut input = Reader::new(bytes);
    match input.u8(what)? {
        FORMAT => Ok(input),
        version => Err(DecodeError::Unknown { what, value: version.into() }),
    }
}

/// Reads the text of a JSON value, checked as a JSON payload is.
pub(super) fn json(input: &mut Reader, what: &'static str) -> Result<Bytes, DecodeError> {
    let text = input.bytes(what)?;
    check_json(&text, limits::JSON_NODES_MAX).map_err(|_| DecodeError::NotCanonical(what))?;
    Ok(text)
}

/// A value's text as it stands in a state, checked.
pub(super) fn shown<'t>(text: &'t [u8], what: &'static str) -> Result<&'t [u8], DecodeError> {
    let value: &serde_json::value::RawValue =
        serde_json::from_slice(text).map_err(|_| DecodeError::NotCanonical(what))?;
    // Blanks around it are not part of it.
    if value.get().len() == text.len() { Ok(text) } else { Err(DecodeError::NotCanonical(what)) }
}

/// Joins the JSON texts of a state's values to the text of an array.
pub(super) fn array<'t>(texts: impl Iterator<Item = &'t [u8]>, what: &'static str) -> Result<Bytes, DecodeError> {
    let mut out = vec![b'['];
    for text in texts {
        if out.len() > 1 {
            out.push(b',');
        }
        out.extend_from_slice(shown(text, what)?);
    }
    out.push(b']');
    Ok(out.into())
}

/// A signed integer as an unsigned one, small where it is near zero.
pub(super) const fn zigzag(value: i64) -> u64 {
    (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned()
}

/// The inverse of [`zigzag`].
pub(super) const fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}
