//! Sections: a checksum, and DEFLATE where it helps.

use bytes::Bytes;
use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::decompress_slice_iter_to_slice;

use crate::codec::{DecodeError, Reader, Writer};
use crate::crdt::text::TextError;
use crate::digest::Digest;

/// How hard DEFLATE tries: the last level that searches lazily and not for ever.
const LEVEL: u8 = 9;
/// Bytes that DEFLATE can make of one: no honest section claims more.
const RATIO_MAX: usize = 1_032;
const CHECK_BYTES: usize = 8;

/// Packs bytes.
pub(in crate::crdt::text) fn pack(bytes: &[u8]) -> Bytes {
    let mut out = Writer::with_capacity(bytes.len() / 2 + 8);
    let deflated = compress_to_vec(bytes, LEVEL);
    if deflated.len() < bytes.len() {
        out.u64((bytes.len() as u64) << 1 | 1);
        out.fixed(&deflated);
    } else {
        out.u64((bytes.len() as u64) << 1);
        out.fixed(bytes);
    }
    out.finish()
}

/// The bytes that were packed.
pub(super) fn unpack(packed: &Bytes) -> Result<Vec<u8>, TextError> {
    let bad = || TextError::from(DecodeError::NotCanonical("a packed section"));
    if packed.is_empty() {
        return Ok(Vec::new());
    }
    let mut input = Reader::new(packed.clone());
    let head = input.u64("a section's length")?;
    let len = usize::try_from(head >> 1).map_err(|_| bad())?;
    let body = input.take(input.remaining(), "a section")?;
    if head & 1 == 0 {
        return if len == body.len() { Ok(body.to_vec()) } else { Err(bad()) };
    }
    if len > body.len().saturating_mul(RATIO_MAX) {
        return Err(bad());
    }
    let mut out = vec![0; len];
    match decompress_slice_iter_to_slice(&mut out, std::iter::once(&body[..]), false, true) {
        Ok(written) if written == len => Ok(out),
        _ => Err(bad()),
    }
}

/// Writes a section of these bytes.
pub(super) fn section(out: &mut Writer, bytes: &[u8]) {
    section_packed(out, &pack(bytes));
}

/// Writes a section whose content is packed already.
pub(super) fn section_packed(out: &mut Writer, packed: &[u8]) {
    out.len(packed.len());
    out.fixed(&Digest::of(&[packed]).as_bytes()[..CHECK_BYTES]);
    out.fixed(packed);
}

/// Reads a section as it was packed.
pub(super) fn read_section(input: &mut Reader, what: &'static str) -> Result<Bytes, TextError> {
    let len = input.count(1, what)?;
    let check: [u8; CHECK_BYTES] = input.fixed(what)?;
    let packed = input.take(len, what)?;
    if Digest::of(&[&packed]).as_bytes()[..CHECK_BYTES] != check {
        return Err(TextError::Checksum(what));
    }
    Ok(packed)
}

/// Unpacks a section of UTF-8.
pub(in crate::crdt::text) fn unpack_text(packed: &Bytes) -> Result<String, TextError> {
    String::from_utf8(unpack(packed)?).map_err(|_| DecodeError::NotCanonical("text").into())
}
