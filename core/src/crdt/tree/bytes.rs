//! A tree's bytes: see the module above for what they are.

use bytes::Bytes;

use super::{BAD, Edge, Node, Parent, Spot, Tree, WHAT, order};
use crate::codec::{DecodeError, Reader, Writer};
use crate::crdt::content::{begin, opened};
use crate::crdt::context::{Context, Roster};
use crate::crdt::item::ItemId;
use crate::crdt::moment::{decode_stamp, encode_stamp};
use crate::crdt::newest::Newest;
use crate::crdt::position::{Places, Position};
use crate::limits;

const ROOT: u64 = 0;
const ELSEWHERE: u64 = 1;
const REMOVED: u64 = 2;
/// The first node in the list of names.
const NODES: u64 = 3;

impl Tree {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let texts = self.nodes.values().filter_map(|node| node.value.as_ref());
        let texts: usize = texts.map(|value| value.value.len()).sum();
        let mut out = begin(64 + 28 * self.context.len() + 100 * self.nodes.len() + texts);
        let roster = self.context.encode(&mut out);
        out.u8(self.forgot.is_some().into());
        if let Some(forgot) = self.forgot {
            encode_stamp(forgot, &mut out);
        }
        let ids: Vec<ItemId> = self.nodes.keys().copied().collect();
        out.len(ids.len());
        ids.iter().for_each(|id| id.encode(&mut out));
        let edges = self.nodes.values().flat_map(|node| &node.edges);
        let mut places: Vec<&Position> = edges.filter_map(|edge| Some(&edge.value.as_ref()?.place)).collect();
        places.sort_unstable();
        places.dedup();
        out.len(places.len());
        let mut written = Places::default();
        places.iter().for_each(|place| written.encode(place, &mut out));
        for node in self.nodes.values() {
            node.encode(&ids, &places, &roster, &mut out);
        }
        out.finish().into()
    }

    pub(super) fn from_bytes(bytes: Bytes) -> Result<Self, DecodeError> {
        let mut input = opened(bytes, WHAT)?;
        let (context, roster) = Context::decode(&mut input)?;
        let forgot = match input.u8(WHAT)? {
            0 => None,
            1 => Some(decode_stamp(&mut input)?),
            _ => return Err(BAD),
        };
        let count = input.count(19, WHAT)?;
        let ids: Vec<ItemId> = (0..count).map(|_| ItemId::decode(&mut input)).collect::<Result<_, _>>()?;
        if ids.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(BAD);
        }
        let mut places = Known::decode(&mut input)?;
        let nodes = ids.iter().map(|id| Ok((*id, Node::decode(&ids, &mut places, &roster, &mut input)?)));
        let nodes = nodes.collect::<Result<Vec<_>, DecodeError>>()?;
        input.finish()?;
        if !places.named.iter().all(|named| *named) {
            return Err(BAD);
        }
        // Sorted already.
        Ok(Self { context, forgot, nodes: nodes.into_iter().collect() })
    }
}

/// The places of a tree, and whether a move named each.
struct Known {
    places: Vec<Position>,
    named: Vec<bool>,
}

impl Known {
    fn decode(input: &mut Reader) -> Result<Self, DecodeError> {
        // Two lengths.
        let count = input.count(2, WHAT)?;
        let (mut read, mut places) = (Places::default(), Vec::with_capacity(count.min(1024)));
        for _ in 0..count {
            let place = read.decode(input)?;
            if places.last().is_some_and(|last| *last >= place) {
                return Err(BAD);
            }
            places.push(place);
        }
        Ok(Self { named: vec![false; places.len()], places })
    }

    fn named(&mut self, input: &mut Reader) -> Result<Position, DecodeError> {
        let at = usize::try_from(input.u64(WHAT)?).map_err(|_| BAD)?;
        *self.named.get_mut(at).ok_or(BAD)? = true;
        self.places.get(at).cloned().ok_or(BAD)
    }
}

impl Node {
    fn encode(&self, ids: &[ItemId], places: &[&Position], roster: &Roster, out: &mut Writer) {
        out.u8(self.value.is_some().into());
        if let Some(value) = &self.value {
            roster.encode_when(value.when(), out);
            out.bytes(&value.value);
        }
        out.len(self.edges.len());
        for edge in &self.edges {
            roster.encode_when(edge.when(), out);
            let Some(spot) = &edge.value else {
                out.u64(REMOVED);
                continue;
            };
            match spot.parent {
                Parent::Root => out.u64(ROOT),
                Parent::Node(node) => match ids.binary_search(&node) {
                    Ok(at) => out.u64(NODES + at as u64),
                    Err(_) => {
                        out.u64(ELSEWHERE);
                        node.encode(out);
                    }
                },
            }
            let (Ok(at) | Err(at)) = places.binary_search(&&spot.place);
            out.len(at);
        }
    }

    fn decode(ids: &[ItemId], places: &mut Known, roster: &Roster, input: &mut Reader) -> Result<Self, DecodeError> {
        let value = match input.u8(WHAT)? {
            0 => None,
            1 => {
                let (stamp, nth) = roster.decode_when(input)?;
                Some(Newest { stamp, nth, value: input.bytes(WHAT)? })
            }
            _ => return Err(BAD),
        };
        let count = input.count(5, WHAT)?;
        if count > limits::TREE_MOVES_KEPT || (count == 0 && value.is_none()) {
            return Err(BAD);
        }
        let mut edges: Vec<Edge> = Vec::with_capacity(count);
        for _ in 0..count {
            let (stamp, nth) = roster.decode_when(input)?;
            let parent = match input.u64(WHAT)? {
                REMOVED => None,
                ROOT => Some(Parent::Root),
                ELSEWHERE => {
                    let node = ItemId::decode(input)?;
                    if ids.binary_search(&node).is_ok() {
                        return Err(BAD);
                    }
                    Some(Parent::Node(node))
                }
                node => {
                    let at = usize::try_from(node - NODES).ok();
                    Some(Parent::Node(*at.and_then(|at| ids.get(at)).ok_or(BAD)?))
                }
            };
            let spot = |parent| Ok::<_, DecodeError>(Spot { parent, place: places.named(input)? });
            let edge = Newest { stamp, nth, value: parent.map(spot).transpose()? };
            if edges.last().is_some_and(|last| order(last) >= order(&edge)) {
                return Err(BAD);
            }
            edges.push(edge);
        }
        Ok(Self { value, edges })
    }
}
