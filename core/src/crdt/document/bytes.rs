//! A document's bytes: see the module above for what they are.

use std::sync::Arc;

use bytes::Bytes;

use super::{BAD, Document, Field, Path, Seen, WHAT};
use crate::codec::DecodeError;
use crate::crdt::content::{begin, opened};
use crate::crdt::moment::{Stamp, decode_stamp, encode_stamp};

const DELETED: u8 = 1;
const BARE: u8 = 2;
const PATHS: u8 = 4;
const FORGOT: u8 = 8;

/// The bytes of a document with these stamps and fields, of which some have paths.
fn bytes_of(stamps: [Option<Stamp>; 3], nested: bool, fields: &[(&Path, &Field)]) -> Vec<u8> {
    let texts = fields.iter().map(|(path, field)| path.len() + field.value.as_ref().map_or(0, Bytes::len));
    let mut out = begin(texts.map(|bytes| bytes + FIELD_BYTES).sum::<usize>() + 3 * FIELD_BYTES);
    let paths = nested || fields.iter().any(|(_, field)| field.value.is_none());
    let bit = |said: bool, bit: u8| if said { bit } else { 0 };
    let follows = stamps.iter().zip([DELETED, BARE, FORGOT]).map(|(stamp, flag)| bit(stamp.is_some(), flag));
    out.u8(follows.sum::<u8>() | bit(paths, PATHS));
    stamps.into_iter().flatten().for_each(|stamp| encode_stamp(stamp, &mut out));
    out.len(fields.len());
    for (path, field) in fields {
        if paths {
            path.encode(&mut out);
        } else {
            path.encode_field(&mut out);
        }
        encode_stamp(field.stamp, &mut out);
        if paths {
            out.u8(field.value.is_some().into());
        }
        if let Some(text) = &field.value {
            out.bytes(text);
        }
    }
    out.finish().into()
}

/// What a stamp and two lengths take at most, and usually less.
const FIELD_BYTES: usize = 40;

impl Document {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let fields: Vec<(&Path, &Field)> = self.fields.iter().collect();
        bytes_of([self.deleted, self.bare, self.forgot], self.nested > 0, &fields)
    }

    /// The bytes of [`Document::delta_since`], without making it first.
    #[must_use]
    pub fn encode_since(&self, seen: &Seen) -> Bytes {
        let new = |stamp: &Stamp| !seen.covers(*stamp);
        let fields: Vec<(&Path, &Field)> = self.fields.iter().filter(|(_, field)| new(&field.stamp)).collect();
        let nested = self.nested > 0 && fields.iter().any(|(path, _)| path.is_nested());
        bytes_of([self.deleted.filter(new), self.bare.filter(new), self.forgot], nested, &fields).into()
    }
    fn needs_paths(&self) -> bool {
        self.nested > 0 || self.fields.values().any(|field| field.value.is_none())
    }

    pub(super) fn from_bytes(bytes: Bytes) -> Result<Self, DecodeError> {
        let mut input = opened(bytes, WHAT)?;
        let follows = input.u8(WHAT)?;
        if follows & !(DELETED | BARE | PATHS | FORGOT) != 0 {
            return Err(BAD);
        }
        let mut stamp = |bit: u8| (follows & bit != 0).then(|| decode_stamp(&mut input)).transpose();
        let (deleted, bare, forgot) = (stamp(DELETED)?, stamp(BARE)?, stamp(FORGOT)?);
        let paths = follows & PATHS != 0;
        // Two lengths, two varints and a replica.
        let count = input.count(20, WHAT)?;
        let mut fields: Vec<(Path, Field)> = Vec::with_capacity(count);
        let (mut above, mut nested): (Vec<usize>, _) = (Vec::new(), 0);
        for at in 0..count {
            let path = if paths { Path::decode(&mut input)? } else { Path::decode_field(&mut input)? };
            let stamp = decode_stamp(&mut input)?;
            let holds = match paths.then(|| input.u8(WHAT)).transpose()? {
                Some(0) => false,
                None | Some(1) => true,
                Some(_) => return Err(BAD),
            };
            let value = holds.then(|| input.bytes(WHAT)).transpose()?;
            let ascends = fields.last().is_none_or(|(last, _)| *last < path);
            let counts = deleted.is_none_or(|deleted| deleted <= stamp) && bare.is_none_or(|bare| bare > stamp);
            if paths {
                above.truncate(above.iter().take_while(|over| fields[**over].0.holds(&path)).count());
                let over = above.last().map(|over| &fields[*over].1);
                if over.is_some_and(|over| over.value.is_some() || over.stamp > stamp) {
                    return Err(BAD);
                }
                above.push(at);
                nested += usize::from(path.is_nested());
            }
            if !ascends || !counts {
                return Err(BAD);
            }
            fields.push((path, Field { stamp, value }));
        }
        input.finish()?;
        // Sorted already.
        let document = Self { deleted, bare, forgot, fields: Arc::new(fields.into_iter().collect()), nested };
        let odd = deleted.zip(bare).is_some_and(|(deleted, bare)| deleted > bare);
        if odd || paths != document.needs_paths() { Err(BAD) } else { Ok(document) }
    }
}
