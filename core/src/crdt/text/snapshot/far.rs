//! Copies from afar: long stretches that were there before are said as such, which DEFLATE's window is too short for.
//!
//! Deleted text is full of them: what was cut and pasted, typed again, or came and went with a file. What is left is for
//! DEFLATE.
//!
//! ```text
//! far := count, each: literal bytes before the copy, its length, its distance back; then all literal bytes
//! ```
//!
//! A distance may reach back into `before`, which stands in front of the data. *What must hold:* data is at most
//! [`GROWTH_MAX`] times what says it, plus [`GROWTH_FREE`]: a few bytes of a stranger must not become a gigabyte.

use bytes::Bytes;

use crate::codec::{DecodeError, Reader, Writer};
use crate::crdt::text::{TextError, int};

/// Shorter copies are DEFLATE's.
const COPY_MIN: usize = 32;
/// Bytes that are looked up.
const KEY: usize = 16;
/// Every so many bytes one place is remembered.
const STRIDE: usize = 4;
const TABLE_BITS: u32 = 16;
const GROWTH_MAX: usize = 32;
const GROWTH_FREE: usize = 1 << 16;

fn key(all: &[u8], at: usize) -> Option<usize> {
    let bytes: [u8; KEY] = all.get(at..at + KEY)?.try_into().ok()?;
    let mixed = u128::from_le_bytes(bytes);
    let folded = int_of(mixed) ^ int_of(mixed >> 64).rotate_left(23);
    usize::try_from(folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - TABLE_BITS)).ok()
}

fn int_of(value: u128) -> u64 {
    u64::try_from(value & u128::from(u64::MAX)).unwrap_or_default()
}

/// Writes `data`, which follows `before`.
pub(super) fn write(before: &str, data: &str) -> Bytes {
    let all = [before.as_bytes(), data.as_bytes()].concat();
    let mut table = vec![0_u32; 1 << TABLE_BITS];
    let mut remembered = 0;
    let (mut copies, mut literals): (Vec<(usize, usize, usize)>, Vec<u8>) = (Vec::new(), Vec::new());
    let (mut at, mut start) = (before.len(), before.len());
    while at < all.len() {
        while remembered < at {
            if let Some(slot) = key(&all, remembered) {
                table[slot] = int(remembered + 1);
            }
            remembered += STRIDE;
        }
        let said = literals.len() + (at - start) + copies.len() * 4;
        let room = (said * GROWTH_MAX + GROWTH_FREE).saturating_sub(at - before.len());
        let found = key(&all, at).map(|slot| table[slot] as usize).filter(|found| *found > 0 && room >= COPY_MIN);
        let copy = found.map(|found| found - 1).map(|found| {
            let same = |(a, b): &(&u8, &u8)| a == b;
            let more = all[found..].iter().zip(&all[at..]).take(room).take_while(same).count();
            let less =
                all[..found].iter().rev().zip(all[start..at].iter().rev()).take(at - start).take_while(same).count();
            (found - less, at - less, more + less)
        });
        match copy.filter(|(.., len)| *len >= COPY_MIN) {
            Some((from, to, len)) => {
                literals.extend_from_slice(&all[start..to]);
                copies.push((to - start, len, to - from));
                (at, start) = (to + len, to + len);
            }
            None => at += 1,
        }
    }
    literals.extend_from_slice(&all[start..]);
    let mut out = Writer::with_capacity(literals.len() + copies.len() * 6);
    out.len(copies.len());
    for (literal, len, back) in copies {
        out.len(literal);
        out.len(len);
        out.len(back);
    }
    out.fixed(&literals);
    out.finish()
}

/// Reads what [`write`] wrote.
pub(super) fn read(before: &str, far: Bytes) -> Result<String, TextError> {
    let bad = || TextError::from(DecodeError::NotCanonical("copies"));
    let max = before.len() + far.len().saturating_mul(GROWTH_MAX).saturating_add(GROWTH_FREE);
    let mut input = Reader::new(far);
    let number = |input: &mut Reader| usize::try_from(input.u64("a copy")?).map_err(|_| bad());
    let mut copies = Vec::new();
    for _ in 0..input.count(3, "copies")? {
        copies.push((number(&mut input)?, number(&mut input)?, number(&mut input)?));
    }
    let literals = input.take(input.remaining(), "literal bytes")?;
    let mut rest = &literals[..];
    let mut all = before.as_bytes().to_vec();
    for (literal, len, back) in copies {
        let (taken, behind) = rest.split_at_checked(literal).ok_or_else(bad)?;
        all.extend_from_slice(taken);
        rest = behind;
        let from = all.len().checked_sub(back).filter(|_| back > 0).ok_or_else(bad)?;
        if len > max.saturating_sub(all.len()) {
            return Err(bad());
        }
        if len <= back {
            all.extend_from_within(from..from + len);
        } else {
            // A copy may run into itself: a stretch repeated.
            for at in from..from + len {
                all.push(all[at]);
            }
        }
    }
    all.extend_from_slice(rest);
    all.drain(..before.len());
    String::from_utf8(all).map_err(|_| DecodeError::NotCanonical("text").into())
}

#[cfg(test)]
mod tests {
    use super::{read, write};

    #[test]
    fn what_was_written_is_read() {
        let long = "the same long stretch of text, again and again. ".repeat(3);
        for (before, data) in [
            ("", String::new()),
            ("", "short".to_owned()),
            ("abc", "é👍".repeat(100)),
            (&*long, format!("{long}x{long}{}y{long}", "a".repeat(300))),
            ("", "z".repeat(3_000_000)),
        ] {
            let far = write(before, &data);
            assert!(far.len() <= data.len() + 1);
            assert_eq!(read(before, far).unwrap(), data);
        }
    }

    #[test]
    fn a_few_bytes_do_not_become_many() {
        let mut out = crate::codec::Writer::default();
        out.len(1);
        out.len(1);
        out.len(1 << 30);
        out.len(1);
        out.u8(b'x');
        assert!(read("", out.finish()).is_err());
    }
}
