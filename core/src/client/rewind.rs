//! Cutting the copy back to a place that the server still has.
//!
//! What must hold: afterwards the copy is what it was at that place, and everything it held after it waits in the queue,
//! in one transaction: a server that is put back again at any moment finds nothing that only it had. No network is
//! needed, and what lies before the place is not read again from the server.
//!
//! Next: `arrive` (who asks for it), `keep` (the transaction).

use std::collections::{BTreeMap, BTreeSet};

use super::desk::Drawer;
use super::entry::{Base, Entry, Fate, WriteNo};
use super::error::ReplicaError;
use super::mirror::MirrorWrite;
use super::replica::Inner;
use crate::call::PageOp;
use crate::decide::{Forget, LogView, LogWrites};
use crate::oplog::{EntityKey, Head, LogBounds, LoggedOp, StateEntities, Subject};
use crate::seq::{Cursor, Seq};
use crate::store::{PageLimit, StoreExt as _};

/// The copy as it was at an earlier place, where it differs from what it is.
#[derive(Debug, Clone)]
pub(super) struct Earlier {
    bounds: LogBounds,
    /// What stood then; `None` for what did not.
    heads: BTreeMap<EntityKey, Option<Head>>,
    /// Heads that are not named here go.
    whole: bool,
}

/// What the copy holds after a place.
#[derive(Debug)]
pub(super) struct After {
    pub(super) entries: Vec<Entry>,
    /// Entities that the ops change; `None` for all.
    touched: Option<BTreeSet<EntityKey>>,
    bytes: u64,
}

impl Earlier {
    pub(super) fn end(&self) -> Cursor {
        self.bounds.end()
    }

    /// Entities to look at again; `None` for all.
    pub(super) fn changed(&self) -> Option<BTreeSet<EntityKey>> {
        (!self.whole).then(|| self.heads.keys().cloned().collect())
    }

    pub(super) fn writes(&self, log: crate::LogKey) -> LogWrites {
        let gone = self.heads.iter().filter(|(_, head)| head.is_none()).map(|(key, _)| key.clone());
        let forget = if self.whole { Forget::AllHeads } else { Forget::Heads(gone.collect()) };
        let heads = self.heads.iter().filter_map(|(key, head)| Some((key.clone(), head.clone()?))).collect();
        LogWrites { rewind: Some(self.bounds.last), forget, heads, ..LogWrites::new(log, self.bounds.clone()) }
    }
}

impl Inner {
    /// The ops that the copy holds after a place, as entries of the queue.
    pub(super) async fn held_after(&self, place: Seq) -> Result<After, ReplicaError> {
        let mut held = After { entries: Vec::new(), touched: Some(BTreeSet::new()), bytes: 0 };
        held.entries.extend(self.own_after(place).await?);
        let mut after = place;
        loop {
            let page = self.store.ops_after(self.places.mirror, after, PageLimit::default()).await?;
            let Some(last) = page.ops.last() else { return Ok(held) };
            after = last.seq;
            for logged in &page.ops {
                held.bytes += logged.op.bytes().len() as u64;
                // What this build cannot read it cannot offer either; whoever wrote it can. Nor has it changed anything.
                let Ok(op) = logged.op.read() else { continue };
                match op.subject() {
                    Subject::Log => held.touched = None,
                    subject => held.touched.iter_mut().for_each(|touched| touched.extend(subject.keys())),
                }
                let batch = Some((WriteNo(0), logged.batch_rest));
                let (no, base, seen, fate) = (WriteNo(0), Base::Any, Seq::ZERO, Fate::Waiting);
                held.entries.push(Entry { no, batch, base, seen, fate, op });
            }
        }
    }

    /// The copy as it was at a place; `None` when it does not reach back that far.
    pub(super) async fn earlier(&self, to: Seq, held: &After) -> Result<Option<Earlier>, ReplicaError> {
        let Some(before) = self.store.bounds(self.places.mirror).await? else { return Ok(None) };
        let nothing = LogView::default();
        let write = self.replayed(&before, to, held.touched.as_ref(), &nothing).await?;
        Ok(write.map(|write| earlier(before, write, held)))
    }

    /// What the kept history makes of these entities up to a place, `None` for all, as this build reads it; `None` when it
    /// does not reach back that far.
    pub(super) async fn replayed<'w>(
        &'w self,
        before: &LogBounds,
        to: Seq,
        only: Option<&BTreeSet<EntityKey>>,
        nothing: &'w LogView,
    ) -> Result<Option<MirrorWrite<'w>>, ReplicaError> {
        let log = self.places.mirror;
        let start = self.store.snapshot(log, to).await?;
        if before.first.before() > to || (start.is_none() && before.first > Seq::FIRST) {
            return Ok(None);
        }
        let now = self.env.env().now;
        let mut at = start.as_ref().map_or(Seq::ZERO, |snapshot| snapshot.seq);
        let mut write = match start {
            None => MirrorWrite::from_start(self.means(), nothing, before.base.origin, now),
            Some(snapshot) => {
                let state = self.opened(&snapshot)?.bytes().clone();
                StateEntities::read(state.clone())?.try_for_each(|entity| entity.map(drop))?;
                let Some(write) = MirrorWrite::from_snapshot(self.means(), nothing, snapshot, state, now) else {
                    return Ok(None);
                };
                write
            }
        };
        write.keep_only(only);
        while at < to {
            let page = self.store.ops_after(log, at, PageLimit::default()).await?;
            let Some(last) = page.ops.last() else { break };
            at = last.seq;
            for logged in page.ops.iter().filter(|logged| logged.seq <= to) {
                write.replay(&page_op(logged), only)?;
            }
            write.keep_only(only);
        }
        // What is not there cannot be made again.
        Ok(Some(write).filter(|write| write.end().seq == to))
    }

    /// Ops that had no effect here, at places after this one: what is known of them is of a history that goes.
    pub(super) async fn unread_after(&self, place: Seq) -> Result<Vec<EntityKey>, ReplicaError> {
        let found = self.drawer(Drawer::Unread).await?;
        Ok(found.iter().filter(|(no, _)| no.get() > place.get()).map(|(no, _)| Drawer::Unread.key(no.get())).collect())
    }
}

fn earlier(before: LogBounds, write: MirrorWrite<'_>, held: &After) -> Earlier {
    let (found, mut heads) = write.into_state();
    if let Some(touched) = &held.touched {
        heads = touched.iter().map(|key| (key.clone(), heads.remove(key).flatten())).collect();
    }
    let bounds = LogBounds {
        last: found.last,
        tip: found.tip,
        clock: found.clock,
        full_state: before.full_state.filter(|mark| mark.seq <= found.last).or(found.full_state),
        snapshot: if before.snapshot <= found.last { before.snapshot } else { Seq::ZERO },
        bytes: before.bytes.saturating_sub(held.bytes),
        ..before
    };
    Earlier { bounds, heads, whole: held.touched.is_none() }
}

fn page_op(logged: &LoggedOp) -> PageOp {
    let LoggedOp { seq, accepted_at, batch_rest, op, .. } = logged.clone();
    PageOp { seq, accepted_at, batch_rest, op }
}
