//! What do the rules themselves cost? Floors are what no rule can do without: a hash, a parse, a copy.

use std::hint::black_box;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use syncline::call::{Page, PageOp, Push};
use syncline::oplog::{LogState, LoggedOp, Op};
use syncline::store::MemoryStore;
use syncline::wire::{binary, json};
use syncline::{Anchor, Cursor, Digest, Origin, Seq, Timestamp};
use syncline_benches::measure::{Meter, compare};
use syncline_benches::ops::{Author, env, log, push, schema, upload};
use syncline_benches::scale;
use syncline_benches::table::{self, Aim};
use tokio::runtime::{Builder, Runtime};

const BATCH: usize = 100;

fn main() -> anyhow::Result<()> {
    let runtime = Builder::new_current_thread().build()?;
    let (mut author, _) = Author::of_log()?;
    let ops = author.batch(BATCH)?;
    let pairs = Pairs { repeat: scale(200, 2), count: scale(15, 1) };
    table::begin("The rules alone, batches of 100 ops");
    judging(&runtime)?;
    sealing(pairs, &ops)?;
    wire(pairs, &ops)?;
    replay(pairs, &ops)
}

/// How often a turn does its work, and how many turns.
#[derive(Clone, Copy)]
struct Pairs {
    repeat: usize,
    count: usize,
}

impl Pairs {
    /// One row: each closure does the work for the whole batch once.
    fn row(
        self,
        question: &str,
        mut ours: impl FnMut() -> anyhow::Result<()>,
        mut floor: impl FnMut() -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let units = (self.repeat * BATCH) as u64;
        let mut ours = || (0..self.repeat).try_for_each(|_| ours()).map(|()| units);
        let mut floor = || (0..self.repeat).try_for_each(|_| floor()).map(|()| units);
        let compared = compare(Meter::new(), self.count, &mut ours, &mut floor)?;
        table::row(question, "op", &compared, Aim::Known);
        Ok(())
    }
}

/// A push into memory; the floor makes the running hash, which every log has, and nothing else.
fn judging(runtime: &Runtime) -> anyhow::Result<()> {
    let (pairs, batches) = (scale(9, 1), scale(100, 2));
    let store = MemoryStore::new();
    let (mut author, before) = Author::of_log()?;
    runtime.block_on(push(&store, upload(log(0), before), env(0)?))?;
    let mut waiting = (0..batches * (pairs + 1)).map(|_| author.batch(BATCH)).collect::<Result<Vec<_>, _>>()?;
    waiting.reverse();
    let digests: Vec<Digest> = waiting.iter().flatten().take(batches * BATCH).map(Op::digest).collect();
    let mut ours = || {
        let mut done = 0;
        for _ in 0..batches {
            let ops = waiting.pop().unwrap_or_default();
            done += runtime.block_on(push(&store, upload(log(0), ops), env(1)?))?;
        }
        Ok(done)
    };
    let mut floor = || {
        let (start, now) = (Anchor::genesis(log(0), Origin([0; 16])), env(1)?.now);
        black_box(digests.iter().fold(start, |anchor, digest| anchor.extend(*digest, now)));
        Ok(digests.len() as u64)
    };
    let compared = compare(Meter::new(), pairs, &mut ours, &mut floor)?;
    table::row("judge and keep in memory; floor one running hash", "op", &compared, Aim::Known);
    Ok(())
}

fn sealing(pairs: Pairs, ops: &[Op]) -> anyhow::Result<()> {
    let floor = || hash_and_parse(ops);
    let seal = || ops.iter().try_for_each(|op| black_box(op.draft().clone().seal()).map(drop));
    pairs.row("seal; floor hash and JSON syntax", || Ok(seal()?), floor)?;
    let decode = || ops.iter().try_for_each(|op| black_box(Op::decode(op.bytes().clone())).map(drop));
    pairs.row("decode; floor hash and JSON syntax", || Ok(decode()?), floor)
}

/// Keeps the compiler from leaving work out.
fn seen<T>(value: T) -> anyhow::Result<()> {
    drop(black_box(value));
    Ok(())
}

fn hash_and_parse(ops: &[Op]) -> anyhow::Result<()> {
    for op in ops {
        black_box(Sha256::digest(op.bytes()));
        black_box(serde_json::from_slice::<serde::de::IgnoredAny>(op.payload().bytes())?);
    }
    Ok(())
}

fn wire(pairs: Pairs, ops: &[Op]) -> anyhow::Result<()> {
    let push = Push { log: log(0).log, request: None, cursor: None, atomic: false, ops: ops.to_vec() };
    let bytes = binary::encode_push(&push);
    let copy = |bytes: &Bytes| seen(bytes.to_vec());
    let encode = || seen(binary::encode_push(&push));
    pairs.row("binary push, encode; floor a copy", encode, || copy(&bytes))?;
    let decode = || seen(binary::decode_push(push.log, bytes.clone())?);
    pairs.row("binary push, decode; floor hash and JSON syntax", decode, || hash_and_parse(ops))?;

    let text = Bytes::from(serde_json::to_vec(&json::PushJson::of(&push)?)?);
    let encode = || seen(serde_json::to_vec(&json::PushJson::of(&push)?)?);
    pairs.row("JSON push, encode; floor a copy", encode, || copy(&text))?;
    let decode = || {
        let push = serde_json::from_slice::<json::PushJson>(&text)?.read(push.log)?;
        seen(push)
    };
    let floor = || seen(serde_json::from_slice::<serde_json::Value>(&text)?);
    pairs.row("JSON push, decode; floor a tree of values", decode, floor)?;

    let page = page(ops);
    let bytes = binary::encode_page(&page);
    let encode = || seen(binary::encode_page(&page));
    pairs.row("binary page, encode; floor a copy", encode, || copy(&bytes))?;
    let decode = || seen(binary::decode_page(bytes.clone())?);
    pairs.row("binary page, decode; floor hash and JSON syntax", decode, || hash_and_parse(ops))?;
    let text = Bytes::from(serde_json::to_vec(&json::PageJson::of(&page)?)?);
    let encode = || seen(serde_json::to_vec(&json::PageJson::of(&page)?)?);
    pairs.row("JSON page, encode; floor a copy", encode, || copy(&text))
}

fn page(ops: &[Op]) -> Page {
    let op = |(op, seq): (&Op, u64)| PageOp {
        seq: Seq::new(seq).unwrap_or_default(),
        accepted_at: Timestamp::default(),
        batch_rest: 0,
        op: op.raw().clone(),
    };
    let last = Seq::new(ops.len() as u64).unwrap_or_default();
    let next = Cursor { seq: last, anchor: Some(Anchor::genesis(log(0), Origin([0; 16]))) };
    Page { ops: ops.iter().zip(1..).map(op).collect(), left_out: Vec::new(), next, end: last, more: false }
}

/// Building a state; the floor reads the bytes that are merged, which replay cannot do without.
fn replay(pairs: Pairs, ops: &[Op]) -> anyhow::Result<()> {
    let anchor = Anchor::genesis(log(0), Origin([0; 16]));
    let logged: Vec<LoggedOp> = page(ops)
        .ops
        .into_iter()
        .map(|op| LoggedOp { seq: op.seq, anchor, accepted_at: op.accepted_at, batch_rest: 0, op: op.op })
        .collect();
    let rules = schema();
    let mut state = LogState::default();
    let ours = || Ok(logged.iter().try_for_each(|op| state.apply(op, &rules))?);
    pairs.row("replay onto entities that exist; floor a tree of values of the payload", ours, || {
        for op in ops {
            black_box(serde_json::from_slice::<serde_json::Value>(op.payload().bytes())?);
        }
        Ok(())
    })
}
