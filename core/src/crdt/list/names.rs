//! Names and births of a list's elements, each by what differs from the element before it: what one op inserted takes a byte
//! each, and a reading stands near those around it.
//!
//! What must hold: one spelling; whatever can be left out is.

use super::{BAD, WHAT};
use crate::codec::{DecodeError, Reader, Writer};
use crate::crdt::content::{unzigzag, zigzag};
use crate::crdt::context::{Birth, Context, Roster, decode_op, encode_op};
use crate::crdt::item::ItemId;
use crate::id::ReplicaId;
use crate::time::{Hlc, Timestamp};

/// The next one of the op that the element before is of.
const NEXT: u8 = 4;
/// Which of its op's it is follows: not the first.
const NTH: u8 = 8;
/// It has no birth.
const UNBORN: u8 = 16;
/// By the author of the birth before.
const SAME: u8 = 32;
/// The reading's counter and number among equals follow: not both zero.
const MORE: u8 = 64;

/// What was said of the elements so far.
#[derive(Debug, Default)]
pub(super) struct Names {
    last: Option<(ItemId, Option<Birth>)>,
    author: Option<ReplicaId>,
    ms: i64,
}

impl Names {
    fn follows(&self, id: ItemId, birth: Option<Birth>) -> bool {
        let next = |(last, born): &(ItemId, Option<Birth>)| {
            last.op == id.op && last.nth.checked_add(1) == Some(id.nth) && *born == birth
        };
        self.last.as_ref().is_some_and(next)
    }

    /// Writes a byte with `flags` and what it needs of these.
    pub(super) fn encode(&mut self, id: ItemId, birth: Option<Birth>, flags: u8, roster: &Roster, out: &mut Writer) {
        let follows = self.follows(id, birth);
        self.last = Some((id, birth));
        if follows {
            out.u8(flags | NEXT);
            return;
        }
        let bit = |set: bool, bit: u8| if set { bit } else { 0 };
        let parts = birth.map(Birth::parts);
        let same = parts.is_some_and(|(author, ..)| self.author == Some(author));
        let more = parts.is_some_and(|(_, hlc, nth)| hlc.counter > 0 || nth > 0);
        let unborn = bit(birth.is_none(), UNBORN);
        out.u8(flags | bit(id.nth > 0, NTH) | unborn | bit(same, SAME) | bit(more, MORE));
        encode_op(id.op, out);
        if id.nth > 0 {
            out.u64(id.nth.into());
        }
        let Some((author, hlc, nth)) = parts else { return };
        if !same {
            roster.encode_author(author, out);
        }
        let ms = hlc.ms.ms().cast_signed();
        out.u64(zigzag(ms.wrapping_sub(self.ms)));
        if more {
            out.u64(hlc.counter.into());
            out.u64(nth.into());
        }
        (self.author, self.ms) = (Some(author), ms);
    }

    /// The inverse of [`Names::encode`]: the flags that are not its own, which are these two at most, and the rest.
    pub(super) fn decode(
        &mut self,
        own: u8,
        context: &Context,
        roster: &Roster,
        input: &mut Reader,
    ) -> Result<(u8, ItemId, Option<Birth>), DecodeError> {
        let all = input.u8(WHAT)?;
        let (flags, bits) = (all & own, all & !own);
        if bits & NEXT != 0 {
            let (last, birth) = self.last.filter(|_| bits == NEXT).ok_or(BAD)?;
            let id = ItemId { op: last.op, nth: last.nth.checked_add(1).ok_or(BAD)? };
            self.last = Some((id, birth));
            return Ok((flags, id, birth));
        }
        if bits & !(NTH | UNBORN | SAME | MORE) != 0 || (bits & UNBORN != 0 && bits & (SAME | MORE) != 0) {
            return Err(BAD);
        }
        let op = decode_op(input)?;
        let nth = if bits & NTH == 0 { 0 } else { number(input)?.ok_or(BAD)? };
        let id = ItemId { op, nth };
        let birth = if bits & UNBORN == 0 { Some(self.birth(bits, context, roster, input)?) } else { None };
        if self.follows(id, birth) {
            return Err(BAD);
        }
        self.last = Some((id, birth));
        Ok((flags, id, birth))
    }

    fn birth(
        &mut self,
        bits: u8,
        context: &Context,
        roster: &Roster,
        input: &mut Reader,
    ) -> Result<Birth, DecodeError> {
        let author = match (bits & SAME != 0, self.author) {
            (true, author) => author.ok_or(BAD)?,
            (false, last) => {
                let author = roster.decode_author(input)?;
                Some(author).filter(|author| last != Some(*author)).ok_or(BAD)?
            }
        };
        let ms = self.ms.wrapping_add(unzigzag(input.u64(WHAT)?));
        let time = u64::try_from(ms).ok().and_then(Timestamp::from_ms).ok_or(BAD)?;
        let (mut counter, mut nth) = (0, 0);
        if bits & MORE != 0 {
            counter = u16::try_from(input.u64(WHAT)?).map_err(|_| BAD)?;
            nth = number(input)?.unwrap_or(0);
            if counter == 0 && nth == 0 {
                return Err(BAD);
            }
        }
        (self.author, self.ms) = (Some(author), ms);
        let birth = Birth::of(author, Hlc { ms: time, counter }, nth);
        if context.covers(birth) { Ok(birth) } else { Err(BAD) }
    }
}

/// A number, `None` for zero.
fn number(input: &mut Reader) -> Result<Option<u32>, DecodeError> {
    let number = u32::try_from(input.u64(WHAT)?).map_err(|_| BAD)?;
    Ok(Some(number).filter(|number| *number > 0))
}
