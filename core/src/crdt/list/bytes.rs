//! A list's bytes: see the module above for what they are.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;

use super::{BAD, Early, Item, List, Order, Places, Said, WHAT};
use crate::codec::{DecodeError, Reader, Writer};
use crate::crdt::content::{begin, opened};
use crate::crdt::context::{Birth, Context, Roster};
use crate::crdt::item::ItemId;
use crate::crdt::moment::Stamp;
use crate::crdt::newest::{Newest, decode_when};
use crate::crdt::position::Position;

const MOVED: u8 = 1;
const WRITTEN: u8 = 2;

impl List {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let texts: usize = self.items.values().map(|item| item.value.value.len()).sum();
        let mut out = begin(64 + 28 * self.context.len() + 48 * self.items.len() + texts);
        let roster = self.context.encode(&mut out);
        out.len(self.items.len());
        let mut places = Places::default();
        for (id, item) in self.order.iter().filter_map(|(_, id)| Some((*id, self.items.get(id)?))) {
            places.encode(&item.place.value, &mut out);
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
        Ok(Self { context, items, order: Order::of(order), early })
    }
}

impl Item {
    /// When it was inserted: where its place or value is as old, that is not said again.
    fn born(birth: Option<Birth>) -> Option<(Stamp, u32)> {
        birth.map(|birth| (birth.stamp(), 0))
    }

    fn encode_written(&self, out: &mut Writer) {
        let born = Self::born(self.birth);
        let (moved, written) = (born != Some(self.place.when()), born != Some(self.value.when()));
        out.u8(if moved { MOVED } else { 0 } | if written { WRITTEN } else { 0 });
        if moved {
            self.place.encode_when(out);
        }
        if written {
            self.value.encode_when(out);
        }
        out.bytes(&self.value.value);
    }

    fn decode(context: &Context, roster: &Roster, place: Position, input: &mut Reader) -> Result<Self, DecodeError> {
        let birth = context.decode_birth(roster, input)?;
        let flags = input.u8(WHAT)?;
        if flags & !(MOVED | WRITTEN) != 0 {
            return Err(BAD);
        }
        let born = Self::born(birth);
        let mut when = |bit: u8| match (flags & bit != 0, born) {
            (false, born) => born.ok_or(BAD),
            (true, _) => decode_when(input).and_then(|when| if Some(when) == born { Err(BAD) } else { Ok(when) }),
        };
        let (placed, written) = (when(MOVED)?, when(WRITTEN)?);
        let place = Newest { stamp: placed.0, nth: placed.1, value: place };
        Ok(Self { birth, place, value: Newest { stamp: written.0, nth: written.1, value: input.bytes(WHAT)? } })
    }
}

impl Said {
    fn encode(&self, out: &mut Writer) {
        let (value, place) = match self {
            Self::Removed => (&None, &None),
            Self::Changed { value, place } => (value, place),
        };
        out.u8(u8::from(value.is_some()) | u8::from(place.is_some()) << 1);
        if let Some(value) = value {
            value.encode_when(out);
            out.bytes(&value.value);
        }
        if let Some(place) = place {
            place.encode_when(out);
            out.bytes(place.value.as_bytes());
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
        let mut written = |bit: u8| {
            let (stamp, nth) = if said & bit == 0 { return Ok(None) } else { decode_when(input)? };
            Ok(Some(Newest { stamp, nth, value: input.bytes(WHAT)? }))
        };
        let (value, place) = (written(1)?, written(2)?);
        let place = place
            .map(|Newest { stamp, nth, value }| Position::from_bytes(value).map(|value| Newest { stamp, nth, value }));
        let place = place.transpose()?;
        Ok(Self::Changed { value, place })
    }
}
