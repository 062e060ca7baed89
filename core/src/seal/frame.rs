//! What is inside an envelope: a payload with its form, at a length that says little about its own.

use bytes::Bytes;

use crate::codec::{Reader, Writer};
use crate::limits;
use crate::oplog::Payload;

const JSON: u8 = 0;
const PLAIN: u8 = 1;

/// The length of a frame with so much in it: Padmé, with a floor.
pub(super) const fn padded(len: usize) -> usize {
    if len <= limits::SEALED_FRAME_BYTES_MIN {
        return limits::SEALED_FRAME_BYTES_MIN;
    }
    // The low bits of a length are its fingerprint: as many are rounded away as leave its exponent's own length in bits.
    let exponent = len.ilog2();
    let kept = exponent.ilog2() + 1;
    let mask = (1_usize << (exponent - kept)) - 1;
    len.saturating_add(mask) & !mask
}

const fn varint_len(value: usize) -> usize {
    let bits = if value == 0 { 1 } else { value.ilog2() as usize + 1 };
    bits.div_ceil(7)
}

/// The length of the frame of so many bytes of content.
pub(super) const fn frame_len(content: usize) -> usize {
    padded((1 + varint_len(content)).saturating_add(content))
}

/// Writes a payload's frame; `None` for one that is sealed already.
pub(super) fn write(payload: &Payload, out: &mut Vec<u8>) -> Option<()> {
    let form = match payload {
        Payload::Json(_) => JSON,
        Payload::Plain(_) => PLAIN,
        Payload::Sealed(_) => return None,
    };
    let content = payload.bytes();
    let end = out.len() + frame_len(content.len());
    let mut head = Writer::default();
    head.u8(form);
    head.len(content.len());
    out.extend_from_slice(&head.finish());
    out.extend_from_slice(content);
    out.resize(end, 0);
    Some(())
}

/// Reads a frame; `None` for what no sealer of ours writes.
pub(super) fn read(frame: &Bytes) -> Option<Payload> {
    const WHAT: &str = "a frame";
    let mut input = Reader::new(frame.clone());
    let form = input.u8(WHAT).ok()?;
    let content = input.bytes(WHAT).ok()?;
    let padding = frame.slice(frame.len() - input.remaining()..);
    if frame_len(content.len()) != frame.len() || padding.iter().any(|byte| *byte != 0) {
        return None;
    }
    match form {
        JSON => Some(Payload::Json(content)),
        PLAIN => Some(Payload::Plain(content)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_padded_by_at_most_an_eighth_and_never_shrinks() {
        let lengths = (0..70_000).chain((17..62).flat_map(|bits| [(1_usize << bits) - 1, 1 << bits, (1 << bits) + 1]));
        let mut steps = 0;
        let mut before = 0;
        for len in lengths {
            let long = padded(len);
            assert!(long >= len && long >= before && padded(long) == long, "{len} became {long}");
            assert!(len < limits::SEALED_FRAME_BYTES_MIN || (long - len) * 8 <= len, "{len} became {long}");
            steps += usize::from(long != before);
            before = long;
        }
        assert!(steps < 500, "{steps} lengths tell too much");
        // From the paper: a length of 9 bits keeps 4 of them behind the first.
        assert_eq!([padded(0), padded(32), padded(33), padded(513), padded(1_000)], [32, 32, 36, 544, 1_024]);
    }

    #[test]
    fn the_length_of_a_length_is_that_of_its_varint() {
        for value in [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, 22 << 20] {
            let mut out = Writer::default();
            out.len(value);
            assert_eq!(varint_len(value), out.finish().len(), "{value}");
        }
    }
}
