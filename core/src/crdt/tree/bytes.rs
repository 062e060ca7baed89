//! A tree's bytes: see the module above for what they are.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{BAD, Edge, Node, Spot, Tree, WHAT, order};
use crate::codec::{DecodeError, Reader};
use crate::crdt::content::{begin, opened};
use crate::crdt::context::Context;
use crate::crdt::item::ItemId;
use crate::crdt::moment::{decode_stamp, encode_stamp};
use crate::crdt::newest::{Newest, decode_when};
use crate::limits;

const REMOVED: u8 = 2;

impl Tree {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let texts = self.nodes.values().filter_map(|node| node.value.as_ref());
        let texts: usize = texts.map(|value| value.value.len()).sum();
        let mut out = begin(64 + 28 * self.context.len() + 100 * self.nodes.len() + texts);
        self.context.encode(&mut out);
        out.u8(self.forgot.is_some().into());
        if let Some(forgot) = self.forgot {
            encode_stamp(forgot, &mut out);
        }
        out.len(self.nodes.len());
        for (id, node) in &self.nodes {
            id.encode(&mut out);
            out.u8(node.value.is_some().into());
            if let Some(value) = &node.value {
                value.encode_when(&mut out);
                out.bytes(&value.value);
            }
            out.len(node.edges.len());
            for edge in &node.edges {
                edge.encode_when(&mut out);
                match &edge.value {
                    None => out.u8(REMOVED),
                    Some(spot) => spot.encode(&mut out),
                }
            }
        }
        out.finish().into()
    }

    pub(super) fn from_bytes(bytes: Bytes) -> Result<Self, DecodeError> {
        let mut input = opened(bytes, WHAT)?;
        let (context, _) = Context::decode(&mut input)?;
        let forgot = match input.u8(WHAT)? {
            0 => None,
            1 => Some(decode_stamp(&mut input)?),
            _ => return Err(BAD),
        };
        let count = input.count(19, WHAT)?;
        let mut nodes: Vec<(ItemId, Node)> = Vec::with_capacity(count.min(1024));
        for _ in 0..count {
            let id = ItemId::decode(&mut input)?;
            let node = Node::decode(&mut input)?;
            if nodes.last().is_some_and(|(last, _)| *last >= id) {
                return Err(BAD);
            }
            nodes.push((id, node));
        }
        input.finish()?;
        // Sorted already.
        Ok(Self { context, forgot, nodes: nodes.into_iter().collect::<BTreeMap<_, _>>() })
    }
}

impl Node {
    fn decode(input: &mut Reader) -> Result<Self, DecodeError> {
        let value = match input.u8(WHAT)? {
            0 => None,
            1 => {
                let (stamp, nth) = decode_when(input)?;
                Some(Newest { stamp, nth, value: input.bytes(WHAT)? })
            }
            _ => return Err(BAD),
        };
        let count = input.count(20, WHAT)?;
        if count > limits::TREE_MOVES_KEPT || (count == 0 && value.is_none()) {
            return Err(BAD);
        }
        let mut edges: Vec<Edge> = Vec::with_capacity(count);
        for _ in 0..count {
            let (stamp, nth) = decode_when(input)?;
            let value = match input.u8(WHAT)? {
                REMOVED => None,
                kind => Some(Spot::decode_as(kind, input)?),
            };
            let edge = Newest { stamp, nth, value };
            if edges.last().is_some_and(|last| order(last) >= order(&edge)) {
                return Err(BAD);
            }
            edges.push(edge);
        }
        Ok(Self { value, edges })
    }
}
