//! A list's bytes: see the module above for what they are.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;

use super::{BAD, Early, Item, List, Places, Said, WHAT};
use crate::codec::{DecodeError, Reader, Writer};
use crate::crdt::content::{begin, opened};
use crate::crdt::context::{Birth, Context, Roster};
use crate::crdt::item::ItemId;
use crate::crdt::moment::{Stamp, decode_stamp, encode_stamp};
use crate::crdt::position::Position;

const MOVED: u8 = 1;
const WRITTEN: u8 = 2;

impl List {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let texts: usize = self.items.values().map(|item| item.value.1.len()).sum();
        let mut out = begin(64 + 28 * self.context.len() + 48 * self.items.len() + texts);
        let roster = self.context.encode(&mut out);
        out.len(self.items.len());
        let mut places = Places::default();
        for (id, item) in self.order.iter().filter_map(|(_, id)| Some((*id, self.items.get(id)?))) {
            places.encode(&item.place.1, &mut out);
            id.encode(&mut out);
            roster.encode_birth(item.birth, &mut out);
            item.encode_written(&mut out);
        }
        out.len(self.early.len());
        for (id, early) in &self.early {
            id.encode(&mut out);
            Birth::encode(Some(early.birth), &mut out);
            early.said.encode(&mut out);
        }
        out.finish().into()
    }

    pub(super) fn from_bytes(bytes: Bytes) -> Result<Self, DecodeError> {
        let mut input = opened(bytes, WHAT)?;
        let (context, roster) = Context::decode(&mut input)?;
        // Two lengths, an id, a birth, a byte and a length.
        let count = input.count(22, WHAT)?;
        let (mut items, mut order) = (HashMap::with_capacity(count), Vec::with_capacity(count));
        let mut places = Places::default();
        for _ in 0..count {
            let place = places.decode(&mut input)?;
            let id = ItemId::decode(&mut input)?;
            let key = (place.clone(), id);
            if order.last().is_some_and(|last| *last >= key) {
                return Err(BAD);
            }
            order.push(key);
            if items.insert(id, Item::decode(&context, &roster, place, &mut input)?).is_some() {
                return Err(BAD);
            }
        }
        let count = input.count(38, WHAT)?;
        let mut early = BTreeMap::new();
        for _ in 0..count {
            let id = ItemId::decode(&mut input)?;
            let birth = Birth::decode(&mut input)?.ok_or(BAD)?;
            let ascends = early.last_key_value().is_none_or(|(last, _)| *last < id);
            if !ascends || items.contains_key(&id) || context.covers(birth) {
                return Err(BAD);
            }
            early.insert(id, Early { birth, said: Said::decode(&mut input)? });
        }
        input.finish()?;
        // Sorted already.
        let order: BTreeSet<_> = order.into_iter().collect();
        Ok(Self { context, items, order, early })
    }
}

impl Item {
    /// The stamp it was inserted with, if no clock had to be held back: then it is not said again.
    fn born(birth: Option<Birth>) -> Option<Stamp> {
        birth.map(Birth::stamp)
    }

    fn encode_written(&self, out: &mut Writer) {
        let born = Self::born(self.birth);
        let (moved, written) = (born != Some(self.place.0), born != Some(self.value.0));
        out.u8(if moved { MOVED } else { 0 } | if written { WRITTEN } else { 0 });
        if moved {
            encode_stamp(self.place.0, out);
        }
        if written {
            encode_stamp(self.value.0, out);
        }
        out.bytes(&self.value.1);
    }

    fn decode(context: &Context, roster: &Roster, place: Position, input: &mut Reader) -> Result<Self, DecodeError> {
        let birth = context.decode_birth(roster, input)?;
        let flags = input.u8(WHAT)?;
        if flags & !(MOVED | WRITTEN) != 0 {
            return Err(BAD);
        }
        let born = Self::born(birth);
        let mut stamp = |bit: u8| match (flags & bit != 0, born) {
            (false, Some(born)) => Ok(born),
            (false, None) => Err(BAD),
            (true, _) => decode_stamp(input).and_then(|stamp| if Some(stamp) == born { Err(BAD) } else { Ok(stamp) }),
        };
        let (placed, written) = (stamp(MOVED)?, stamp(WRITTEN)?);
        Ok(Self { birth, place: (placed, place), value: (written, input.bytes(WHAT)?) })
    }
}

impl Said {
    fn encode(&self, out: &mut Writer) {
        let (value, place) = match self {
            Self::Removed => (&None, &None),
            Self::Changed { value, place } => (value, place),
        };
        out.u8(u8::from(value.is_some()) | u8::from(place.is_some()) << 1);
        if let Some((stamp, text)) = value {
            encode_stamp(*stamp, out);
            out.bytes(text);
        }
        if let Some((stamp, place)) = place {
            encode_stamp(*stamp, out);
            out.bytes(place.as_bytes());
        }
    }

    fn decode(input: &mut Reader) -> Result<Self, DecodeError> {
        let said = input.u8(WHAT)?;
        if said == 0 {
            return Ok(Self::Removed);
        }
        if said > 3 {
            return Err(BAD);
        }
        let mut stamped = |bit: u8| -> Result<Option<(Stamp, Bytes)>, DecodeError> {
            if said & bit == 0 { Ok(None) } else { Ok(Some((decode_stamp(input)?, input.bytes(WHAT)?))) }
        };
        let (value, place) = (stamped(1)?, stamped(2)?);
        let place = place.map(|(stamp, bytes)| Position::from_bytes(bytes).map(|place| (stamp, place))).transpose()?;
        Ok(Self::Changed { value, place })
    }
}
