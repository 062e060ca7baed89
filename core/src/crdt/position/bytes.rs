//! A position's bytes, and those of many one after the other.
//!
//! A level: the zigzag of its count where that is below 64, the number is 0, the session is that of the level before and it comes
//! once. Else the byte 0x40, with bit 0 for another session, bit 1 for a number that is not 0 and bit 2 for one that comes more
//! than once; the session, as a byte: how many levels above the one before it was last, from 1 to 63, or 0 and then
//! its 6 bytes; the number as a zigzag varint; how often it comes, less 2, as a varint; the count as a zigzag varint. Equal levels one below the other
//! are one that comes so often. A position is its levels. Of one after another it is how many levels both begin with as a
//! varint (0 for the first) and the others behind their varint length; the first of these, where it takes more than a byte and has number and
//! session of the one that the position before has in its place, is 0x48, with bit 2 as above, and only how often it comes and its count.
//!
//! What must hold: one spelling; what can be left out is. Reading takes time in the bytes, whatever they stand for.

use bytes::Bytes;

use super::chain::{Level, shared};
use super::{Position, SessionName};
use crate::codec::{DecodeError, Reader, Writer};
use crate::crdt::content::{unzigzag, zigzag};
use crate::limits;

const WHAT: &str = "a position";
const BAD: DecodeError = DecodeError::NotCanonical(WHAT);

const LONG: u8 = 0x40;
const OTHER: u8 = 1;
const NUMBERED: u8 = 2;
const REPEATED: u8 = 4;
/// As in the position before.
const BESIDE: u8 = 8;
/// How many levels a session is looked for in.
const SESSIONS: usize = 64;

impl Position {
    /// How many bytes it takes.
    #[must_use]
    pub fn bytes_len(&self) -> usize {
        usize::try_from(self.0.bytes).unwrap_or(usize::MAX)
    }

    /// Its bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.below(0, None)
    }

    /// The position with these bytes.
    ///
    /// # Errors
    /// When they are none, or too many.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::read(None, None, Bytes::copy_from_slice(bytes))
    }

    /// The node at a depth.
    fn nth(&self, depth: u32) -> Option<&Self> {
        self.first(depth).filter(|Self(node)| node.depth == depth)
    }

    /// The bytes of what is below its first nodes, where `beside` is what another has first there.
    fn below(&self, depth: u32, mut beside: Option<&Self>) -> Vec<u8> {
        let nodes: Vec<&Self> = self.nodes().take_while(|Self(node)| node.depth > depth).collect();
        let mut out = Writer::with_capacity(16 * nodes.len().min(64));
        for Self(node) in nodes.into_iter().rev() {
            if !encode_beside(node.above.as_ref(), beside.take(), node.level, node.times, &mut out) {
                encode(node.above.as_ref(), node.level, node.times, &mut out);
            }
        }
        out.finish().into()
    }

    fn read(above: Option<Self>, mut beside: Option<&Self>, bytes: Bytes) -> Result<Self, DecodeError> {
        let (mut input, mut above) = (Reader::new(bytes), above);
        while input.remaining() > 0 {
            let (level, times) = decode(above.as_ref(), beside.take(), &mut input)?;
            if above.as_ref().is_some_and(|Self(top)| top.level == level) {
                return Err(BAD);
            }
            let next = Self::push(above, level, times);
            if next.bytes_len() > limits::POSITION_BYTES_MAX {
                return Err(BAD);
            }
            above = Some(next);
        }
        above.ok_or(BAD)
    }
}

/// Bytes of a level.
pub(super) fn len(above: Option<&Position>, level: Level, times: u64) -> usize {
    let varint = |value: u64| (value | 1).ilog2() as usize / 7 + 1;
    let (other, long) = (other(above, level.session), is_long(above, level, times));
    let named = match other {
        None => 0,
        Some(0) => 7,
        Some(_) => 1,
    };
    let number = if level.number == 0 { 0 } else { varint(zigzag(level.number)) };
    let times = if times > 1 { varint(times - 2) } else { 0 };
    if long { 1 + named + number + times + varint(zigzag(level.count)) } else { 1 }
}

fn is_long(above: Option<&Position>, level: Level, times: u64) -> bool {
    let same = above.is_some_and(|Position(top)| top.level.session == level.session);
    !same || level.number != 0 || times > 1 || zigzag(level.count) >= LONG.into()
}

/// How a session is named that is not that of the level above.
fn other(above: Option<&Position>, session: SessionName) -> Option<u8> {
    let levels = above.into_iter().flat_map(Position::nodes).take(SESSIONS);
    match levels.into_iter().position(|Position(node)| node.level.session == session) {
        Some(0) => None,
        Some(up) => Some(u8::try_from(up).unwrap_or(0)),
        None => Some(0),
    }
}

fn is_beside(above: Option<&Position>, beside: Option<&Position>, level: Level, times: u64) -> bool {
    let same = |Position(node): &Position| (node.level.number, node.level.session) == (level.number, level.session);
    is_long(above, level, times) && beside.is_some_and(same)
}

fn encode_beside(
    above: Option<&Position>,
    beside: Option<&Position>,
    level: Level,
    times: u64,
    out: &mut Writer,
) -> bool {
    let is = is_beside(above, beside, level, times);
    if is {
        out.u8(LONG | BESIDE | if times > 1 { REPEATED } else { 0 });
        if times > 1 {
            out.u64(times - 2);
        }
        out.u64(zigzag(level.count));
    }
    is
}

fn encode(above: Option<&Position>, level: Level, times: u64, out: &mut Writer) {
    let count = zigzag(level.count);
    if let Some(short) = u8::try_from(count).ok().filter(|_| !is_long(above, level, times)) {
        out.u8(short);
        return;
    }
    let bit = |set: bool, bit: u8| if set { bit } else { 0 };
    let other = other(above, level.session);
    out.u8(LONG | bit(other.is_some(), OTHER) | bit(level.number != 0, NUMBERED) | bit(times > 1, REPEATED));
    if let Some(up) = other {
        out.u8(up);
        if up == 0 {
            out.fixed(&level.session.0);
        }
    }
    if level.number != 0 {
        out.u64(zigzag(level.number));
    }
    if times > 1 {
        out.u64(times - 2);
    }
    out.u64(count);
}

fn decode(
    above: Option<&Position>,
    beside: Option<&Position>,
    input: &mut Reader,
) -> Result<(Level, u64), DecodeError> {
    let same = || above.map(|Position(top)| top.level.session).ok_or(BAD);
    let head = input.u8(WHAT)?;
    if head < LONG {
        return Ok((Level { number: 0, session: same()?, count: unzigzag(head.into()) }, 1));
    }
    let (session, number) = match (head & !REPEATED) ^ LONG {
        BESIDE => beside.map(|Position(node)| (node.level.session, node.level.number)).ok_or(BAD)?,
        0..BESIDE => {
            let session = if head & OTHER == 0 { same()? } else { decode_other(above, input)? };
            (session, if head & NUMBERED == 0 { 0 } else { unzigzag(input.u64(WHAT)?) })
        }
        _ => return Err(BAD),
    };
    let times = if head & REPEATED == 0 { 1 } else { input.u64(WHAT)?.checked_add(2).ok_or(BAD)? };
    let level = Level { number, session, count: unzigzag(input.u64(WHAT)?) };
    let numbered = number != 0 || head & NUMBERED == 0;
    let known = is_beside(above, beside, level, times) == (head & BESIDE != 0);
    if numbered && known && is_long(above, level, times) { Ok((level, times)) } else { Err(BAD) }
}

fn decode_other(above: Option<&Position>, input: &mut Reader) -> Result<SessionName, DecodeError> {
    let up = input.u8(WHAT)?;
    let session = match usize::from(up) {
        0 => SessionName(input.fixed(WHAT)?),
        SESSIONS.. => return Err(BAD),
        far => above.and_then(|above| above.nodes().nth(far)).ok_or(BAD)?.0.level.session,
    };
    if other(above, session) == Some(up) { Ok(session) } else { Err(BAD) }
}

/// Positions one after the other, each by what it does not share with the one before.
#[derive(Debug, Default)]
pub(in crate::crdt) struct Places(Option<Position>);

impl Places {
    pub(in crate::crdt) fn encode(&mut self, place: &Position, out: &mut Writer) {
        let shared = self.0.as_ref().map_or(0, |before| shared(before, place));
        let beside = self.0.as_ref().and_then(|before| before.nth(shared.saturating_add(1)));
        out.u64(shared.into());
        out.bytes(&place.below(shared, beside));
        self.0 = Some(place.clone());
    }

    pub(in crate::crdt) fn decode(&mut self, input: &mut Reader) -> Result<Position, DecodeError> {
        let depth = u32::try_from(input.u64(WHAT)?).map_err(|_| BAD)?;
        let before = self.0.as_ref();
        if before.map_or(0, |Position(end)| end.depth) < depth {
            return Err(BAD);
        }
        let above = before.and_then(|before| before.first(depth)).cloned();
        let beside = before.and_then(|before| before.nth(depth.saturating_add(1)));
        let place = Position::read(above, beside, input.bytes(WHAT)?)?;
        // One spelling: what is shared is said to be.
        if before.is_some_and(|before| shared(before, &place) != depth) {
            return Err(BAD);
        }
        self.0 = Some(place.clone());
        Ok(place)
    }
}
