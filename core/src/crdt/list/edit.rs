//! What an op says of a list, and its bytes.
//!
//! # Bytes, version 1
//!
//! The byte 1 and a count of at least one; each: 0 and a place and a value for an insert; 1, an element and a value for a new
//! value; 2, an element and a place for a move; 3 and an element for a remove. An element is its id (16 bytes of the op,
//! which of the op's as a varint) and its [birth](crate::crdt::context). A place is a
//! [position](crate::crdt::position) after the ones before it in the op. A value is JSON text behind its
//! varint length.

use bytes::Bytes;

use super::{BAD, WHAT};
use crate::codec::{DecodeError, Reader, Writer};
use crate::crdt::content::{begin, json, opened};
use crate::crdt::context::{Birth, Named};
use crate::crdt::item::ItemId;
use crate::crdt::position::{Places, Position};

/// One thing that an op says of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "what there is to say of a list")]
pub enum ListEdit {
    /// Makes a new element. The n-th insert of an op makes the op's n-th element.
    Insert(Position, Bytes),
    /// Gives an element another value.
    Set(Named<ItemId>, Bytes),
    /// Puts an element elsewhere.
    Move(Named<ItemId>, Position),
    /// Takes an element out, for good.
    Remove(Named<ItemId>),
}

pub(super) fn read(payload: Bytes) -> Result<Vec<ListEdit>, DecodeError> {
    let mut input = opened(payload, WHAT)?;
    let count = input.count(4, WHAT)?;
    if count == 0 {
        return Err(BAD);
    }
    let mut places = Places::default();
    let mut edits = Vec::with_capacity(count.min(1024));
    for _ in 0..count {
        edits.push(match input.u8(WHAT)? {
            0 => ListEdit::Insert(places.decode(&mut input)?, json(&mut input, WHAT)?),
            1 => ListEdit::Set(decode_named(&mut input)?, json(&mut input, WHAT)?),
            2 => ListEdit::Move(decode_named(&mut input)?, places.decode(&mut input)?),
            3 => ListEdit::Remove(decode_named(&mut input)?),
            other => return Err(DecodeError::Unknown { what: WHAT, value: other.into() }),
        });
    }
    input.finish()?;
    Ok(edits)
}

pub(super) fn write(edits: &[ListEdit]) -> Bytes {
    let mut out = begin(64 * edits.len());
    out.len(edits.len());
    let mut places = Places::default();
    for edit in edits {
        match edit {
            ListEdit::Insert(place, value) => {
                out.u8(0);
                places.encode(place, &mut out);
                out.bytes(value);
            }
            ListEdit::Set(item, value) => {
                out.u8(1);
                encode_named(*item, &mut out);
                out.bytes(value);
            }
            ListEdit::Move(item, place) => {
                out.u8(2);
                encode_named(*item, &mut out);
                places.encode(place, &mut out);
            }
            ListEdit::Remove(item) => {
                out.u8(3);
                encode_named(*item, &mut out);
            }
        }
    }
    out.finish()
}

/// Of a value or a place that the newer edits set anew, the older ones need not speak.
pub(super) fn left_of(older: Vec<ListEdit>, newer: &[ListEdit]) -> Vec<ListEdit> {
    let said_again = |edit: &ListEdit| match edit {
        ListEdit::Insert(..) | ListEdit::Remove(_) => false,
        ListEdit::Set(item, _) => newer.iter().any(|new| match new {
            ListEdit::Set(other, _) | ListEdit::Remove(other) => other == item,
            _ => false,
        }),
        ListEdit::Move(item, _) => newer.iter().any(|new| match new {
            ListEdit::Move(other, _) | ListEdit::Remove(other) => other == item,
            _ => false,
        }),
    };
    older.into_iter().filter(|edit| !said_again(edit)).collect()
}

fn encode_named(item: Named<ItemId>, out: &mut Writer) {
    item.id.encode(out);
    Birth::encode(item.birth, out);
}

fn decode_named(input: &mut Reader) -> Result<Named<ItemId>, DecodeError> {
    Ok(Named { id: ItemId::decode(input)?, birth: Birth::decode(input)? })
}
