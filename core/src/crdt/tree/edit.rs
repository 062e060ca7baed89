//! What an op says of a tree, and its bytes.
//!
//! # Bytes, version 1
//!
//! The byte 1 and a count of at least one; each: 0, a place and a value for a new node; 1, a node and a value for a new value; 2,
//! a node and a place for a move; 3 and a node for a remove; 4 and a stamp for what may be forgotten. A node is 16 bytes of
//! the op that made it and which of the op's as a varint. A place is 0 under the root, or 1 and a node, and then a
//! [position](crate::crdt::position) after the ones before it in the op. No op moves or removes a node twice. A value is JSON text behind its varint length.

use bytes::Bytes;

use super::{BAD, Parent, Spot, WHAT};
use crate::codec::{DecodeError, Reader, Writer};
use crate::crdt::content::{begin, json, opened};
use crate::crdt::item::ItemId;
use crate::crdt::moment::{Stamp, decode_stamp, encode_stamp};
use crate::crdt::position::Places;

/// One thing that an op says of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "what there is to say of a tree")]
pub enum TreeEdit {
    /// Makes a new node. The n-th insert of an op makes the op's n-th node.
    Insert(Spot, Bytes),
    /// Gives a node another value.
    Set(ItemId, Bytes),
    /// Puts a node elsewhere, with everything under it.
    Move(ItemId, Spot),
    /// Takes a node out, with everything under it. A newer move brings it back.
    Remove(ItemId),
    /// Forgets removed nodes of which everything that was said is as old as this.
    Forget(Stamp),
}

pub(super) fn read(payload: Bytes) -> Result<Vec<TreeEdit>, DecodeError> {
    let mut input = opened(payload, WHAT)?;
    let count = input.count(4, WHAT)?;
    if count == 0 {
        return Err(BAD);
    }
    let mut places = Places::default();
    let mut edits = Vec::with_capacity(count.min(1024));
    for _ in 0..count {
        edits.push(match input.u8(WHAT)? {
            0 => TreeEdit::Insert(Spot::decode(&mut places, &mut input)?, json(&mut input, WHAT)?),
            1 => TreeEdit::Set(ItemId::decode(&mut input)?, json(&mut input, WHAT)?),
            2 => TreeEdit::Move(ItemId::decode(&mut input)?, Spot::decode(&mut places, &mut input)?),
            3 => TreeEdit::Remove(ItemId::decode(&mut input)?),
            4 => TreeEdit::Forget(decode_stamp(&mut input)?),
            other => return Err(DecodeError::Unknown { what: WHAT, value: other.into() }),
        });
    }
    input.finish()?;
    let mut moved: Vec<ItemId> = edits.iter().filter_map(moved).collect();
    moved.sort_unstable();
    let twice = moved.windows(2).any(|pair| pair[0] == pair[1]);
    if twice { Err(BAD) } else { Ok(edits) }
}

/// Which node it puts somewhere: an op does so once to each.
pub(super) const fn moved(edit: &TreeEdit) -> Option<ItemId> {
    match edit {
        TreeEdit::Move(node, _) | TreeEdit::Remove(node) => Some(*node),
        TreeEdit::Insert(..) | TreeEdit::Set(..) | TreeEdit::Forget(_) => None,
    }
}

pub(super) fn write(edits: &[TreeEdit]) -> Bytes {
    let mut out = begin(64 * edits.len());
    out.len(edits.len());
    let mut places = Places::default();
    for edit in edits {
        match edit {
            TreeEdit::Insert(spot, value) => {
                out.u8(0);
                spot.encode(&mut places, &mut out);
                out.bytes(value);
            }
            TreeEdit::Set(node, value) => {
                out.u8(1);
                node.encode(&mut out);
                out.bytes(value);
            }
            TreeEdit::Move(node, spot) => {
                out.u8(2);
                node.encode(&mut out);
                spot.encode(&mut places, &mut out);
            }
            TreeEdit::Remove(node) => {
                out.u8(3);
                node.encode(&mut out);
            }
            TreeEdit::Forget(stamp) => {
                out.u8(4);
                encode_stamp(*stamp, &mut out);
            }
        }
    }
    out.finish()
}

/// Of a value that the newer edits set anew, the older ones need not speak.
pub(super) fn left_of(older: Vec<TreeEdit>, newer: &[TreeEdit]) -> Vec<TreeEdit> {
    let set_again = |edit: &TreeEdit| match edit {
        TreeEdit::Set(node, _) => newer.iter().any(|new| matches!(new, TreeEdit::Set(other, _) if other == node)),
        _ => false,
    };
    older.into_iter().filter(|edit| !set_again(edit)).collect()
}

impl Spot {
    fn encode(&self, places: &mut Places, out: &mut Writer) {
        match self.parent {
            Parent::Root => out.u8(0),
            Parent::Node(node) => {
                out.u8(1);
                node.encode(out);
            }
        }
        places.encode(&self.place, out);
    }

    fn decode(places: &mut Places, input: &mut Reader) -> Result<Self, DecodeError> {
        let parent = match input.u8(WHAT)? {
            0 => Parent::Root,
            1 => Parent::Node(ItemId::decode(input)?),
            _ => return Err(BAD),
        };
        Ok(Self { parent, place: places.decode(input)? })
    }
}
