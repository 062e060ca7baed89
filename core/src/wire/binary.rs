//! The compact form of the heavy bodies: push, its answer, pages, snapshots. Primitives as in [`codec`](crate::codec).
//!
//! Every body begins with the byte 1 (version) and a byte that says which body it is.
//!
//! | body | tag | then |
//! |---|---|---|
//! | push | 1 | flags (1 atomic, 2 request id, 4 cursor), request 16?, cursor?, count, per op: length + canonical bytes |
//! | pushed | 2 | flags (1 replayed, 2 newer), server's time, count, per op: verdict; page? |
//! | page | 3 | cursor `next`, varint `end`, flags (1 more, 2 left out), count, per op: varint seq, varint accepted_at ms, varint batch_rest, length + canonical bytes; left out? |
//! | blobs | 5 | count, per blob: its SHA-256 32, length + bytes |
//! | snapshot | 4 | varint seq, anchor 48, clock, varint schema version, payload form (0 JSON, 1 plain, 2 sealed), length + payload |
//!
//! What is left out of a partial reader's page: a count of authors with 16 bytes each, then a count of ops, per op: varint
//! seq, varint accepted_at ms, varint batch_rest, digest 32, varint author (its place among them), varint counter, byte full state.
//!
//! A cursor is a varint seq, a byte 0 or 1, and with 1 the 48 bytes of its anchor.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::{WireError, check_state};
use crate::call::{LeftOut, Page, PageOp, Push, Pushed};
use crate::clock::VectorClock;
use crate::codec::{DecodeError, Reader, Writer};
use crate::digest::{BlobId, Digest};
use crate::id::{LogId, ReplicaId, RequestId};
use crate::limits;
use crate::oplog::{Op, Payload, Snapshot, Verdict};
use crate::seq::{Anchor, Cursor, Seq};
use crate::time::Timestamp;

const VERSION: u8 = 1;
/// The shortest op behind its length: about the log, without clock and payload.
const OP_BYTES_MIN: usize = 1 + 42;
/// The shortest of what is left out.
const LEFT_OUT_BYTES_MIN: usize = 32 + 6;
const PUSH: u8 = 1;
const PUSHED: u8 = 2;
const PAGE: u8 = 3;
const SNAPSHOT: u8 = 4;
const BLOBS: u8 = 5;

/// The body of a push; the log is named by the route.
#[must_use]
pub fn encode_push(push: &Push) -> Bytes {
    let size: usize = push.ops.iter().map(|op| op.bytes().len() + 4).sum();
    let mut out = begin(PUSH, size + 96);
    out.u8(u8::from(push.atomic) | u8::from(push.request.is_some()) << 1 | u8::from(push.cursor.is_some()) << 2);
    if let Some(request) = push.request {
        out.fixed(request.as_bytes());
    }
    if let Some(cursor) = push.cursor {
        put_cursor(&mut out, cursor);
    }
    out.len(push.ops.len());
    push.ops.iter().for_each(|op| out.bytes(op.bytes()));
    out.finish()
}

/// The inverse of [`encode_push`].
///
/// # Errors
/// When the bytes are not a push, or one of the ops is not an op.
pub fn decode_push(log: LogId, body: Bytes) -> Result<Push, WireError> {
    let mut input = open(PUSH, body)?;
    let flags = flags(&mut input, 0b111)?;
    let request = match flags & 0b010 {
        0 => None,
        _ => Some(RequestId::from_bytes(input.fixed("a request id")?)),
    };
    let cursor = if flags & 0b100 == 0 { None } else { Some(take_cursor(&mut input)?) };
    let count = input.count(OP_BYTES_MIN, "ops")?;
    // A body may be long enough for more ops than a batch takes: those are refused later, and not paid for now.
    let mut ops = Vec::with_capacity(count.min(limits::BATCH_OPS_MAX));
    for index in 0..count {
        let bytes = input.bytes("an op")?;
        ops.push(Op::decode(bytes).map_err(|error| WireError::Op { index, error })?);
    }
    input.finish()?;
    Ok(Push { log, request, cursor, atomic: flags & 0b001 != 0, ops })
}

/// The body of a push's answer.
#[must_use]
pub fn encode_pushed(pushed: &Pushed) -> Bytes {
    let mut out = begin(PUSHED, pushed.verdicts.len() * 6 + 64);
    out.u8(u8::from(pushed.replayed) | u8::from(pushed.newer.is_some()) << 1);
    out.u64(pushed.accepted_at.ms());
    out.len(pushed.verdicts.len());
    pushed.verdicts.iter().for_each(|verdict| verdict.encode(&mut out));
    if let Some(page) = &pushed.newer {
        put_page(&mut out, page);
    }
    out.finish()
}

/// The inverse of [`encode_pushed`].
///
/// # Errors
/// When the bytes are not a push's answer.
pub fn decode_pushed(body: Bytes) -> Result<Pushed, WireError> {
    let mut input = open(PUSHED, body)?;
    let flags = flags(&mut input, 0b11)?;
    let accepted_at = input.u64("a time")?;
    let accepted_at = Timestamp::from_ms(accepted_at).ok_or(DecodeError::NotCanonical("a time"))?;
    let count = input.count(2, "verdicts")?;
    let verdicts = (0..count).map(|_| Verdict::decode(&mut input)).collect::<Result<_, _>>()?;
    let newer = if flags & 0b10 == 0 { None } else { Some(take_page(&mut input)?) };
    input.finish()?;
    Ok(Pushed { verdicts, replayed: flags & 0b01 != 0, accepted_at, newer })
}

/// The body of a page.
#[must_use]
pub fn encode_page(page: &Page) -> Bytes {
    let size: usize = page.ops.iter().map(|op| op.op.bytes().len() + 20).sum();
    let mut out = begin(PAGE, size + 80);
    put_page(&mut out, page);
    out.finish()
}

/// The inverse of [`encode_page`]. The ops are not read yet; a reader that applies them reads them.
///
/// # Errors
/// When the bytes are not a page.
pub fn decode_page(body: Bytes) -> Result<Page, WireError> {
    let mut input = open(PAGE, body)?;
    let page = take_page(&mut input)?;
    input.finish()?;
    Ok(page)
}

/// The body of a snapshot.
#[must_use]
pub fn encode_snapshot(snapshot: &Snapshot) -> Bytes {
    let mut out = begin(SNAPSHOT, snapshot.payload.bytes().len() + 160);
    out.u64(snapshot.seq.get());
    out.fixed(&snapshot.anchor.to_bytes());
    snapshot.clock.encode(&mut out);
    out.u64(snapshot.schema_version.into());
    out.u8(match snapshot.payload {
        Payload::Json(_) => 0,
        Payload::Plain(_) => 1,
        Payload::Sealed(_) => 2,
    });
    out.bytes(snapshot.payload.bytes());
    out.finish()
}

/// The inverse of [`encode_snapshot`].
///
/// # Errors
/// When the bytes are not a snapshot.
pub fn decode_snapshot(body: Bytes) -> Result<Snapshot, WireError> {
    const WHAT: &str = "a snapshot";
    let mut input = open(SNAPSHOT, body)?;
    let seq = take_seq(&mut input)?;
    let anchor = Anchor::from_bytes(input.fixed(WHAT)?);
    let clock = VectorClock::decode(&mut input)?;
    let schema_version = u32::try_from(input.u64(WHAT)?).map_err(|_| DecodeError::NotCanonical(WHAT))?;
    let form = input.u8(WHAT)?;
    let bytes = input.bytes(WHAT)?;
    let payload = match form {
        0 => Payload::Json(bytes),
        1 => Payload::Plain(bytes),
        2 => Payload::Sealed(bytes),
        other => return Err(DecodeError::Unknown { what: "a payload form", value: other.into() }.into()),
    };
    input.finish()?;
    check_state(&payload)?;
    Ok(Snapshot { seq, anchor, clock, schema_version, payload })
}

/// Blobs that are sent together.
#[must_use]
pub fn encode_blobs(blobs: &[(BlobId, Bytes)]) -> Bytes {
    let size: usize = blobs.iter().map(|(_, bytes)| bytes.len() + 40).sum();
    let mut out = begin(BLOBS, size + 16);
    out.len(blobs.len());
    for (blob, bytes) in blobs {
        out.fixed(blob.as_bytes());
        out.bytes(bytes);
    }
    out.finish()
}

/// The inverse of [`encode_blobs`]; that the bytes are those named is not looked at here.
///
/// # Errors
/// When the bytes are not canonical.
pub fn decode_blobs(body: Bytes) -> Result<Vec<(BlobId, Bytes)>, WireError> {
    const WHAT: &str = "blobs";
    let mut input = open(BLOBS, body)?;
    let count = input.count(33, WHAT)?;
    let mut blobs = Vec::with_capacity(count);
    for _ in 0..count {
        blobs.push((Digest::from_bytes(input.fixed(WHAT)?), input.bytes(WHAT)?));
    }
    input.finish()?;
    Ok(blobs)
}

fn begin(tag: u8, capacity: usize) -> Writer {
    let mut out = Writer::with_capacity(capacity);
    out.u8(VERSION);
    out.u8(tag);
    out
}

fn open(tag: u8, body: Bytes) -> Result<Reader, DecodeError> {
    let mut input = Reader::new(body);
    for (expected, what) in [(VERSION, "a wire version"), (tag, "a wire body")] {
        let found = input.u8(what)?;
        if found != expected {
            return Err(DecodeError::Unknown { what, value: found.into() });
        }
    }
    Ok(input)
}

fn flags(input: &mut Reader, known: u8) -> Result<u8, DecodeError> {
    let flags = input.u8("flags")?;
    if flags & !known == 0 { Ok(flags) } else { Err(DecodeError::Unknown { what: "flags", value: flags.into() }) }
}

fn put_cursor(out: &mut Writer, cursor: Cursor) {
    out.u64(cursor.seq.get());
    out.u8(u8::from(cursor.anchor.is_some()));
    if let Some(anchor) = cursor.anchor {
        out.fixed(&anchor.to_bytes());
    }
}

fn take_seq(input: &mut Reader) -> Result<Seq, DecodeError> {
    Seq::new(input.u64("a seq")?).ok_or(DecodeError::NotCanonical("a seq"))
}

fn take_flag(input: &mut Reader, what: &'static str) -> Result<bool, DecodeError> {
    match input.u8(what)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(DecodeError::NotCanonical(what)),
    }
}

fn take_cursor(input: &mut Reader) -> Result<Cursor, DecodeError> {
    let seq = take_seq(input)?;
    let anchored = take_flag(input, "a cursor")?;
    let anchor = if anchored { Some(Anchor::from_bytes(input.fixed("a cursor")?)) } else { None };
    Ok(Cursor { seq, anchor })
}

fn put_page(out: &mut Writer, page: &Page) {
    put_cursor(out, page.next);
    out.u64(page.end.get());
    out.u8(u8::from(page.more) | u8::from(!page.left_out.is_empty()) << 1);
    out.len(page.ops.len());
    for op in &page.ops {
        out.u64(op.seq.get());
        out.u64(op.accepted_at.ms());
        out.u64(op.batch_rest.into());
        out.bytes(op.op.bytes());
    }
    if !page.left_out.is_empty() {
        put_left_out(out, &page.left_out);
    }
}

fn put_left_out(out: &mut Writer, left_out: &[LeftOut]) {
    let authors: BTreeSet<ReplicaId> = left_out.iter().map(|op| op.replica).collect();
    let places: BTreeMap<ReplicaId, u64> = authors.iter().copied().zip(0..).collect();
    out.len(authors.len());
    authors.iter().for_each(|author| out.fixed(author.as_bytes()));
    out.len(left_out.len());
    for op in left_out {
        out.u64(op.seq.get());
        out.u64(op.accepted_at.ms());
        out.u64(op.batch_rest.into());
        out.fixed(op.digest.as_bytes());
        out.u64(places.get(&op.replica).copied().unwrap_or_default());
        out.u64(op.counter);
        out.u8(u8::from(op.full_state));
    }
}

fn take_left_out(input: &mut Reader) -> Result<Vec<LeftOut>, DecodeError> {
    const WHAT: &str = "what is left out of a page";
    const BAD: DecodeError = DecodeError::NotCanonical(WHAT);
    let authors = input.count(16, WHAT)?;
    let authors = (0..authors).map(|_| Ok(ReplicaId::from_bytes(input.fixed(WHAT)?)));
    let authors = authors.collect::<Result<Vec<_>, DecodeError>>()?;
    let count = input.count(LEFT_OUT_BYTES_MIN, WHAT)?;
    let mut used = BTreeSet::new();
    let mut left_out = Vec::with_capacity(count.min(limits::PAGE_OPS_MAX));
    for _ in 0..count {
        let seq = take_seq(input)?;
        let accepted_at = Timestamp::from_ms(input.u64(WHAT)?).ok_or(BAD)?;
        let batch_rest = u32::try_from(input.u64(WHAT)?).map_err(|_| BAD)?;
        let digest = Digest::from_bytes(input.fixed(WHAT)?);
        let author = usize::try_from(input.u64(WHAT)?).map_err(|_| BAD)?;
        let replica = *authors.get(author).ok_or(BAD)?;
        used.insert(author);
        let counter = input.u64(WHAT)?;
        let full_state = take_flag(input, WHAT)?;
        left_out.push(LeftOut { seq, accepted_at, batch_rest, digest, replica, counter, full_state });
    }
    // One spelling: authors in order, each named because it is needed.
    let sorted = authors.windows(2).all(|pair| pair[0] < pair[1]);
    if left_out.is_empty() || !sorted || used.len() != authors.len() { Err(BAD) } else { Ok(left_out) }
}

fn take_page(input: &mut Reader) -> Result<Page, WireError> {
    const WHAT: &str = "a page";
    let next = take_cursor(input)?;
    let end = take_seq(input)?;
    let flags = flags(input, 0b11)?;
    let count = input.count(OP_BYTES_MIN + 3, WHAT)?;
    let mut ops = Vec::with_capacity(count.min(limits::PAGE_OPS_MAX));
    for index in 0..count {
        let seq = take_seq(input)?;
        let accepted_at = Timestamp::from_ms(input.u64(WHAT)?).ok_or(DecodeError::NotCanonical(WHAT))?;
        let batch_rest = u32::try_from(input.u64(WHAT)?).map_err(|_| DecodeError::NotCanonical(WHAT))?;
        let op = Op::decode(input.bytes(WHAT)?).map_err(|error| WireError::Op { index, error })?;
        ops.push(PageOp { seq, accepted_at, batch_rest, op: op.raw().clone() });
    }
    let left_out = if flags & 0b10 == 0 { Vec::new() } else { take_left_out(input)? };
    Ok(Page { ops, left_out, next, end, more: flags & 0b01 != 0 })
}
