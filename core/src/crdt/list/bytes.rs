//! A list's bytes: see the module above for what they are.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;

use super::names::Names;
use super::{BAD, Early, Item, List, Order, Said, WHAT};
use crate::codec::{DecodeError, Reader, Writer};
use crate::crdt::content::{begin, opened};
use crate::crdt::context::{Birth, Context};
use crate::crdt::item::ItemId;
use crate::crdt::moment::Stamp;
use crate::crdt::newest::{Newest, decode_when};
use crate::crdt::position::{Places, Position};

const MOVED: u8 = 1;
const WRITTEN: u8 = 2;
/// Elements there is room made for before they are read.
const ROOM_MAX: usize = 1 << 14;

impl List {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let texts: usize = self.items.values().map(|item| item.value.value.len()).sum();
        let mut out = begin(64 + 28 * self.context.len() + 48 * self.items.len() + texts);
        let roster = self.context.encode(&mut out);
        out.len(self.items.len());
        let (mut places, mut names) = (Places::default(), Names::default());
        for (id, item) in self.order.iter().filter_map(|(_, id)| Some((*id, self.items.get(id)?))) {
            places.encode(&item.place.value, &mut out);
            let (moved, written) = item.changed();
            let flags = if moved { MOVED } else { 0 } | if written { WRITTEN } else { 0 };
            names.encode(id, item.birth, flags, &roster, &mut out);
            if moved {
                item.place.encode_when(&mut out);
            }
            if written {
                item.value.encode_when(&mut out);
            }
            out.bytes(&item.value.value);
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
        // Two lengths, a byte and a length.
        let count = input.count(4, WHAT)?;
        let room = count.min(ROOM_MAX);
        let (mut items, mut order) = (HashMap::with_capacity(room), Vec::with_capacity(room));
        let (mut places, mut names) = (Places::default(), Names::default());
        for _ in 0..count {
            let place = places.decode(&mut input)?;
            let (flags, id, birth) = names.decode(MOVED | WRITTEN, &context, &roster, &mut input)?;
            let key = (place.clone(), id);
            if order.last().is_some_and(|last| *last >= key) {
                return Err(BAD);
            }
            order.push(key);
            if items.insert(id, Item::decode(flags, birth, place, &mut input)?).is_some() {
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

    /// Whether it was moved, and written, since.
    fn changed(&self) -> (bool, bool) {
        let born = Self::born(self.birth);
        (born != Some(self.place.when()), born != Some(self.value.when()))
    }

    fn decode(flags: u8, birth: Option<Birth>, place: Position, input: &mut Reader) -> Result<Self, DecodeError> {
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
            out.bytes(&place.value.to_bytes());
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
            .map(|Newest { stamp, nth, value }| Position::from_bytes(&value).map(|value| Newest { stamp, nth, value }));
        let place = place.transpose()?;
        Ok(Self::Changed { value, place })
    }
}
