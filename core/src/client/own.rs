//! What a partial replica keeps of its own ops after the server took them.
//!
//! Its copy keeps no history, because between the ops it was told there are holes. But a server may lose what it
//! acknowledged, and then the author may be the only one who has it. So its own ops stay on the desk for as long as
//! [`Retain`](super::Retain) says, and are offered again like those of a whole copy; other devices' ops are for others to offer.
//!
//! Next: `keep`, which puts them down when they are in the log; `rewind`, which offers them.

use bytes::Bytes;

use super::commit::DeskChange;
use super::desk::{Drawer, Item, Sent};
use super::entry::{Base, Entry, Fate, WriteNo};
use super::error::ReplicaError;
use super::gate::lock;
use super::mirror::Means;
use super::replica::Inner;
use super::sealing::epoch_of;
use crate::call::{Page, PageOp};
use crate::clock::VectorClock;
use crate::codec::{DecodeError, Reader, Writer};
use crate::oplog::{Draft, DraftError, EntityKey, Op, Verdict};
use crate::seq::{Cursor, Seq};
use crate::time::{Env, Timestamp};

/// The rows of those ops of a batch that the copy has come past.
pub(super) fn own_notes(batch: &Sent, last: Seq, now: Timestamp) -> Vec<(EntityKey, Bytes)> {
    let items = batch.items.iter().enumerate();
    let shown = items.filter_map(|(index, item)| Some((index, item, item.seq.filter(|seq| *seq <= last)?)));
    let note = |(index, item, seq): (usize, &Item, Seq)| {
        let rest = if batch.atomic { batch.items.len() - 1 - index } else { 0 };
        (Drawer::Own.key(seq.get()), to_bytes(now, rest, item.op.bytes()))
    };
    shown.map(note).collect()
}

/// The row of an own op that came from elsewhere.
pub(super) fn own_note(now: Timestamp, op: &PageOp) -> Bytes {
    to_bytes(now, usize::try_from(op.batch_rest).unwrap_or_default(), op.op.bytes())
}

/// The ops of a batch that is the only news: the server does not send them back.
pub(super) fn own_ops(
    sent: &Sent,
    verdicts: &[Verdict],
    page: &Page,
    cursor: Cursor,
    accepted_at: Timestamp,
) -> Option<Vec<PageOp>> {
    if !page.ops.is_empty() || !page.left_out.is_empty() || page.next.seq <= cursor.seq {
        return None;
    }
    let placed = sent.items.iter().zip(verdicts).filter_map(|(item, verdict)| Some((verdict.seq()?, item)));
    let mut placed: Vec<_> = placed.filter(|(seq, _)| *seq > cursor.seq).collect();
    placed.sort_by_key(|(seq, _)| *seq);
    placed.dedup_by_key(|(seq, _)| *seq);
    let count = u32::try_from(placed.len()).unwrap_or(u32::MAX);
    let op = |(index, (seq, item)): (u32, (Seq, &Item))| {
        let batch_rest = if sent.atomic { count - 1 - index } else { 0 };
        PageOp { seq, accepted_at, batch_rest, op: item.op.clone() }
    };
    Some((0..count).zip(placed).map(op).collect())
}

/// Version byte 1, varint ms, varint ops that follow in the same batch, op.
fn to_bytes(at: Timestamp, rest: usize, op: &Bytes) -> Bytes {
    let mut out = Writer::with_capacity(op.len() + 16);
    out.u8(1);
    out.u64(at.ms());
    out.len(rest);
    out.bytes(op);
    out.finish()
}

fn from_bytes(bytes: Bytes) -> Result<(Timestamp, u32, Op), DraftError> {
    const WHAT: &str = "an own op";
    let mut input = Reader::new(bytes);
    let version = input.u8(WHAT)?;
    if version != 1 {
        return Err(DecodeError::Unknown { what: WHAT, value: version.into() }.into());
    }
    let at = Timestamp::from_ms(input.u64(WHAT)?).ok_or(DecodeError::NotCanonical(WHAT))?;
    let rest = u32::try_from(input.u64(WHAT)?).map_err(|_| DecodeError::NotCanonical(WHAT))?;
    let op = Op::decode(input.bytes(WHAT)?)?;
    input.finish()?;
    Ok((at, rest, op))
}

impl Inner {
    /// Own ops after a place, as entries of the queue.
    pub(super) async fn own_after(&self, place: Seq) -> Result<Vec<Entry>, ReplicaError> {
        let mut entries = Vec::new();
        for (no, bytes) in self.drawer(Drawer::Own).await? {
            if no.get() > place.get() {
                let (_, rest, op) = from_bytes(bytes).map_err(ReplicaError::Corrupt)?;
                let (no, base, seen, fate) = (WriteNo(0), Base::Any, Seq::ZERO, Fate::Waiting);
                entries.push(Entry { no, batch: Some((WriteNo(0), rest)), base, seen, fate, op });
            }
        }
        Ok(entries)
    }

    /// The rows of all own ops: what is offered again waits in the queue instead.
    pub(super) async fn own_keys(&self) -> Result<Vec<EntityKey>, ReplicaError> {
        Ok(self.drawer(Drawer::Own).await?.into_iter().map(|(no, _)| Drawer::Own.key(no.get())).collect())
    }

    /// Lets go of own ops that need not be kept: those that are neither young nor among the newest.
    pub(super) async fn prune_own(&self, ops: u64, ms: u64) -> Result<(), ReplicaError> {
        let _pass = self.enter().await?;
        let end = self.cursor().await?.seq;
        let tried = lock(&self.memory).prune_tried;
        if end.get().saturating_sub(tried.get()) <= ops / 4 {
            return Ok(());
        }
        lock(&self.memory).prune_tried = end;
        let young = self.env.env().now.minus_ms(ms);
        let found = self.drawer(Drawer::Own).await?;
        let over = found.len().saturating_sub(usize::try_from(ops).unwrap_or(usize::MAX));
        let mut gone = Vec::new();
        for (no, bytes) in found.into_iter().take(over) {
            let (at, ..) = from_bytes(bytes).map_err(ReplicaError::Corrupt)?;
            if at > young {
                break;
            }
            gone.push(Drawer::Own.key(no.get()));
        }
        self.change_desk(DeskChange { gone, ..DeskChange::default() }).await
    }
}

impl Means<'_> {
    /// An op of this author's again, under its id, which claims to have seen no more than `known`; `None` when it cannot be
    /// opened or sealed.
    pub(super) fn claiming(&self, entry: &Entry, known: &VectorClock, env: &Env) -> Option<Entry> {
        let mut clock = VectorClock::new();
        for (replica, counter) in entry.op.clock().iter() {
            let most = if replica == entry.op.replica() { counter } else { known.get(replica) };
            // Smaller than an entry that was within the limits.
            let _ = clock.set(replica, counter.min(most));
        }
        let payload = self.open(&entry.op).ok()?;
        let mut draft = Draft { clock, payload, ..entry.op.draft().clone() };
        if let Some(epoch) = epoch_of(entry.op.payload()) {
            draft.payload = self.sealer?.seal(self.places.mirror, &draft, epoch, env).ok()?;
        }
        Some(Entry { op: draft.seal().ok()?, ..entry.clone() })
    }
}
