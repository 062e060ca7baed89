//! Reading again what an older build could not: a device that is updated makes of the log what the others make of it.
//!
//! What must hold: an op that was kept unread because its author was newer has its effect as soon as this build
//! understands it and has its key, at its place in the log. Nothing in the log's copy changes but states.
//!
//! It is asked when a replica is opened and when keys come, and costs nothing where nothing is unread. A partial replica keeps no
//! history to read again.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::commit::DeskChange;
use super::desk::Drawer;
use super::error::ReplicaError;
use super::events::Event;
use super::gate::lock;
use super::mirror::{MirrorWrite, Unreadable};
use super::replica::Inner;
use crate::decide::{Forget, LogView, LogWrites};
use crate::oplog::{EntityKey, LogBounds, Op, Subject};
use crate::seq::Seq;
use crate::store::StoreExt;

/// An op that had no effect here.
struct Unread {
    seq: Seq,
    why: Unreadable,
    op: Op,
}

/// What becomes readable: entities, `None` for all.
type Touched = Option<BTreeSet<EntityKey>>;

impl Inner {
    /// Gives unread ops that this build understands the effect that they have; whether there were any.
    pub(super) async fn read_again(&self) -> Result<bool, ReplicaError> {
        if lock(&self.memory).unread == 0 || self.is_partial() {
            return Ok(false);
        }
        let Some(before) = self.store.bounds(self.places.mirror).await? else { return Ok(false) };
        let outdated = self.unknown_before(before.first).await?;
        let unread = self.unread_ops().await?;
        let nothing = LogView::default();
        let Some((touched, replayed)) = self.replayed_now(&before, &unread, &nothing).await? else {
            self.change_desk(DeskChange { gone: outdated.clone(), ..DeskChange::default() }).await?;
            let mut memory = lock(&self.memory);
            memory.unread = memory.unread.saturating_sub(outdated.len() as u64);
            return Ok(false);
        };
        let still: BTreeSet<Seq> = replayed.unread.iter().map(|(seq, _)| *seq).collect();
        let concerned = |op: &Op| touched.as_ref().is_none_or(|touched| concerns(op, touched));
        let gone = unread.iter().filter(|unread| !still.contains(&unread.seq) && concerned(&unread.op));
        let mut gone: Vec<EntityKey> = gone.map(|unread| Drawer::Unread.key(unread.seq.get())).collect();
        gone.extend(outdated);
        let why = replayed.unread.iter();
        let mut puts: Vec<(EntityKey, Bytes)> =
            why.map(|(seq, why)| (Drawer::Unread.key(seq.get()), Bytes::copy_from_slice(&[why.code()]))).collect();
        puts.extend(replayed.points.iter().map(|seq| (Drawer::point(*seq), Bytes::new())));
        let (found, heads) = replayed.into_state();
        let bounds = LogBounds { full_state: found.full_state.or(before.full_state.clone()), ..before.clone() };
        let forget = if touched.is_none() { Forget::AllHeads } else { Forget::Nothing };
        let heads = heads.into_iter().filter_map(|(key, head)| Some((key, head?))).collect();
        let writes = LogWrites { forget, heads, ..LogWrites::new(self.places.mirror, bounds) };
        self.change_both(before, writes, DeskChange { puts, gone, identity: None }).await?;
        self.reload().await?;
        Ok(true)
    }

    /// The same once keys came, while the replica is open.
    pub(super) async fn read_what_keys_open(&self) -> Result<(), ReplicaError> {
        let pass = self.enter().await?;
        let changed = self.read_again().await?;
        drop(pass);
        if changed {
            self.watchers.tell(&Event::Reset);
            self.changed.ring();
        }
        Ok(())
    }

    /// The copy made again of what it keeps, and which entities of it count; `None` where nothing has become readable.
    async fn replayed_now<'w>(
        &'w self,
        before: &LogBounds,
        unread: &[Unread],
        nothing: &'w LogView,
    ) -> Result<Option<(Touched, MirrorWrite<'w>)>, ReplicaError> {
        let Some(touched) = self.readable_now(unread) else { return Ok(None) };
        match self.replayed(before, before.last, touched.as_ref(), nothing).await {
            Ok(replayed) => Ok(replayed.map(|replayed| (touched, replayed))),
            Err(error @ (ReplicaError::Store(_) | ReplicaError::TakenOver)) => Err(error),
            // It stays unread, with its reason; what can be read is read.
            Err(_) => Ok(None),
        }
    }

    /// Notes of ops that were not understood and are not kept any more.
    pub(super) async fn unknown_before(&self, first: Seq) -> Result<Vec<EntityKey>, ReplicaError> {
        if lock(&self.memory).unread == 0 {
            return Ok(Vec::new());
        }
        let unknown = Unreadable::Unknown.code();
        let found = self.drawer(Drawer::Unread).await?.into_iter();
        let gone = found.filter(|(no, why)| no.get() < first.get() && why.first() == Some(&unknown));
        Ok(gone.map(|(no, _)| Drawer::Unread.key(no.get())).collect())
    }

    /// The ops that are kept as unread, where they are ops for this build.
    async fn unread_ops(&self) -> Result<Vec<Unread>, ReplicaError> {
        let mut ops = Vec::new();
        for (no, why) in self.drawer(Drawer::Unread).await? {
            let Some(seq) = Seq::new(no.get()) else { continue };
            let why = Unreadable::from_code(why.first().copied().unwrap_or_default());
            let logged = self.logged(seq).await?;
            ops.extend(logged.and_then(|logged| logged.op.read().ok()).map(|op| Unread { seq, why, op }));
        }
        Ok(ops)
    }

    /// What is changed by those of them that this build reads; `None` when it reads none.
    fn readable_now(&self, unread: &[Unread]) -> Option<Touched> {
        let means = self.means();
        let unknown = unread.iter().filter(|unread| unread.why == Unreadable::Unknown).map(|unread| &unread.op);
        let mut touched: Option<Touched> = None;
        for op in unknown.filter(|op| matches!(means.read(op), Ok(Ok(_)))) {
            match (op.subject(), touched.get_or_insert_with(|| Some(BTreeSet::new()))) {
                (Subject::Log, touched) => *touched = None,
                (subject, Some(touched)) => touched.extend(subject.keys()),
                (_, None) => {}
            }
        }
        touched
    }
}

fn concerns(op: &Op, touched: &BTreeSet<EntityKey>) -> bool {
    match op.subject() {
        Subject::Log => true,
        subject => subject.keys().any(|key| touched.contains(&key)),
    }
}
