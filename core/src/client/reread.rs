//! Reading again what an older build could not: a device that is updated makes of the log what the others make of it.
//!
//! What must hold: an op that was kept unread because its author was newer has its effect as soon as this build
//! understands it, at its place in the log. Nothing in the log's copy changes but states.
//!
//! It is asked when a replica is opened, and costs nothing where nothing is unread. A partial replica keeps no history to read
//! again.

use std::collections::BTreeSet;

use super::desk::Drawer;
use super::error::ReplicaError;
use super::gate::lock;
use super::mirror::Unreadable;
use super::replica::Inner;
use super::resolve::DeskChange;
use crate::decide::{Choice, Forget, LogView, LogWrites, Reads, Scope, View};
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
    /// Gives unread ops that this build understands the effect that they have.
    pub(super) async fn read_again(&self) -> Result<(), ReplicaError> {
        if lock(&self.memory).unread == 0 || self.is_partial() {
            return Ok(());
        }
        let Some(before) = self.store.bounds(self.places.mirror).await? else { return Ok(()) };
        let unread = self.unread_ops().await?;
        let Some(touched) = self.readable_now(&unread) else { return Ok(()) };
        let nothing = LogView::default();
        let replayed = match self.replayed(&before, before.last, touched.as_ref(), &nothing).await {
            Ok(Some(replayed)) => replayed,
            // It stays unread, with its reason.
            Ok(None) | Err(ReplicaError::Unopened(_)) => return Ok(()),
            Err(error) => return Err(error),
        };
        let still: BTreeSet<Seq> = replayed.unread.iter().map(|(seq, _)| *seq).collect();
        let concerned = |op: &Op| touched.as_ref().is_none_or(|touched| concerns(op, touched));
        let gone = unread.iter().filter(|unread| !still.contains(&unread.seq) && concerned(&unread.op));
        let gone: Vec<EntityKey> = gone.map(|unread| Drawer::Unread.key(unread.seq.get())).collect();
        let unread = replayed.unread.iter();
        let mut puts: Vec<(EntityKey, bytes::Bytes)> = unread
            .map(|(seq, why)| (Drawer::Unread.key(seq.get()), bytes::Bytes::copy_from_slice(&[why.code()])))
            .collect();
        puts.extend(replayed.points.iter().map(|seq| (Drawer::point(*seq), bytes::Bytes::new())));
        let (found, heads) = replayed.into_state();
        let log = self.places.mirror;
        let whole = touched.is_none();
        let rule = move |view: &View| {
            // Somebody else has the replica by now.
            let Some(bounds) = view.log(log).bounds.clone().filter(|bounds| *bounds == before) else {
                return Choice::Done((), None);
            };
            let bounds = LogBounds { full_state: found.full_state.clone().or(bounds.full_state), ..bounds };
            let forget = if whole { Forget::AllHeads } else { Forget::Nothing };
            let heads = heads.iter().filter_map(|(key, head)| Some((key.clone(), head.clone()?))).collect();
            Choice::Done((), Some(LogWrites { forget, heads, ..LogWrites::new(log, bounds) }.alone()))
        };
        self.store.decide(Scope::log(log, Reads::default()), rule).await?;
        // Cut off in between, the same is done again the next time.
        self.change_desk(DeskChange { puts, gone, identity: None }).await?;
        self.reload().await
    }

    /// The ops that are kept as unread, where they are ops for this build.
    async fn unread_ops(&self) -> Result<Vec<Unread>, ReplicaError> {
        let mut ops = Vec::new();
        for (no, why) in self.drawer(Drawer::Unread).await? {
            let Some(seq) = Seq::new(no.get()) else { continue };
            let why = Unreadable::from_code(why.first().copied().unwrap_or_default());
            let logged = if why == Unreadable::LeftOut { None } else { self.logged(seq).await? };
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
