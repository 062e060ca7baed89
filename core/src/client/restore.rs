//! Restore: the log's state at an earlier seq becomes the present one, by a full state that this device writes.
//!
//! It is a write like any other: made from what is kept here, durable at once, shown at once, sent when there is a server,
//! sealed where payloads are. Nothing is deleted: what came in between stays in the log, so it can be taken back. What must
//! hold: a restore never covers up what its author had not seen. It names the log's end it was made on; writes of this
//! device that waited before it go before it and do not count, and if others wrote meanwhile it becomes an open
//! [`Conflict`](super::Conflict), for its author to look and choose.
//!
//! Next: `past`, which builds the state; the server's own restore, for callers that keep no copy, is in `server`.

use super::commit::DeskChange;
use super::desk::{Drawer, Identity, note};
use super::entry::{Base, Entry, Fate as Queued, WriteNo};
use super::error::ReplicaError;
use super::gate::lock;
use super::past::Past;
use super::receipt::{Fate, Receipt};
use super::replica::{Inner, Replica, lost_answer};
use crate::decide::{Choice, LogWrites, Reads, Scope, View};
use crate::id::OpId;
use crate::limits;
use crate::oplog::{
    Draft, DraftError, FullStateKind, Gap, Head, LoggedOp, OpKind, Payload, Precondition, RestorePoint, Subject,
};
use crate::seq::{Cursor, Seq};
use crate::store::{PageLimit, StoreExt};

impl Replica {
    /// Makes the state at `to` the present one again, for everybody. Writes that wait here go into the log before it.
    ///
    /// # Errors
    /// As [`Replica::at`], which has to be possible; [`ReplicaError::NotUnderstood`] when an op up to there is from a newer
    /// build, which a state built here would leave out; [`ReplicaError::NothingThere`] for [`Seq::ZERO`]; a state too
    /// large for a full state; the store's.
    pub async fn restore(&self, to: Seq) -> Result<Receipt, ReplicaError> {
        if to == Seq::ZERO {
            return Err(ReplicaError::NothingThere);
        }
        let past = self.at(to).await?;
        match self.inner.write_state(&past, None).await {
            // History was let go of meanwhile, or left: what is kept now says whether it reaches back to there still.
            Err(ReplicaError::Gap(_)) => self.inner.write_state(&self.at(to).await?, None).await,
            written => written,
        }
    }

    /// Takes the newest restore, or import, back, as long as nothing was added after it: by another one, whose receipt this
    /// is. One that was not sent yet is only dropped, and there is no receipt.
    ///
    /// # Errors
    /// [`ReplicaError::NothingToUndo`] when the newest thing is no restore, [`ReplicaError::UnderWay`] while it is being
    /// sent, or as [`Replica::restore`].
    pub async fn undo_restore(&self) -> Result<Option<Receipt>, ReplicaError> {
        if self.inner.drop_unsent().await? {
            return Ok(None);
        }
        let bounds = self.inner.store.bounds(self.inner.places.mirror).await?;
        let bounds = bounds.ok_or(ReplicaError::NothingToUndo)?;
        let mark = bounds.full_state.as_ref().filter(|mark| mark.seq == bounds.last);
        let mark = mark.ok_or(ReplicaError::NothingToUndo)?;
        let newest = self.inner.logged(mark.seq).await?;
        if !newest
            .and_then(|logged| logged.op.read().ok())
            .is_some_and(|op| op.full_state() == Some(FullStateKind::Recovery))
        {
            return Err(ReplicaError::NothingToUndo);
        }
        let past = self.at(mark.seq.before()).await?;
        self.inner.write_state(&past, Some(bounds.end())).await.map(Some)
    }

    /// Full states in the log, as far as it is kept here, newest first, at most `limit` (up to
    /// [`limits::LIST_ITEMS_MAX`]): each is a place worth going back to, and so is the seq before it.
    ///
    /// # Errors
    /// The store's.
    pub async fn restore_points(&self, limit: usize) -> Result<Vec<RestorePoint>, ReplicaError> {
        let inner = &self.inner;
        let (mut found, mut after) = (Vec::new(), None);
        let limit = limit.min(limits::LIST_ITEMS_MAX);
        while found.len() < limit {
            let points = Drawer::Points.collection();
            let page = inner.store.heads(inner.places.desk, &points, after.as_ref(), limit).await?;
            after = page.heads.last().map(|(key, _)| key.clone());
            for seq in page.heads.iter().filter_map(|(key, _)| Drawer::seq_of_point(key)) {
                // One of a history that this copy no longer is of names another op, or none.
                let point = inner.logged(seq).await?.and_then(|logged| point_of(&logged));
                found.extend(point.filter(|_| found.len() < limit));
            }
            if !page.more {
                break;
            }
        }
        Ok(found)
    }
}

fn point_of(logged: &LoggedOp) -> Option<RestorePoint> {
    let op = logged.op.read().ok()?;
    let (seq, accepted_at) = (logged.seq, logged.accepted_at);
    Some(RestorePoint { seq, op: op.id(), kind: op.full_state()?, replica: op.replica(), hlc: op.hlc(), accepted_at })
}

/// What the rule found.
enum Written {
    Done(Identity, Box<Entry>),
    /// The desk is not as remembered.
    Stale,
    /// The copy is no longer of the history that the state is of.
    Moved,
    /// Something was added that was not to be covered.
    Added,
    Refused(DraftError),
}

impl Inner {
    /// The op at a seq, when it is kept.
    pub(super) async fn logged(&self, seq: Seq) -> Result<Option<LoggedOp>, ReplicaError> {
        let one = PageLimit::ops(1).unwrap_or_default();
        let page = self.store.ops_after(self.places.mirror, seq.before(), one).await?;
        Ok(page.ops.into_iter().next().filter(|logged| logged.seq == seq))
    }

    /// Writes a state that the log had, if the copy still ends at `end`, where one is given.
    async fn write_state(&self, past: &Past, end: Option<Cursor>) -> Result<Receipt, ReplicaError> {
        past.is_whole()?;
        let payload = Payload::Plain(past.state.to_bytes());
        let pass = self.enter().await?;
        let mut written = self.try_write_state(past, &payload, end).await?;
        if matches!(written, Written::Stale) {
            self.reload().await?;
            written = self.try_write_state(past, &payload, end).await?;
        }
        let entry = match written {
            Written::Done(identity, entry) => {
                let mut memory = lock(&self.memory);
                memory.identity = identity;
                memory.pending.add(&entry);
                entry
            }
            Written::Refused(error) => return Err(error.into()),
            Written::Stale => return Err(ReplicaError::TakenOver),
            Written::Moved => return Err(ReplicaError::Gap(Gap::Diverged)),
            Written::Added => return Err(ReplicaError::NothingToUndo),
        };
        let receipt = self.receipt(&entry);
        drop(pass);
        self.moved([&*entry]);
        self.edited.ring();
        Ok(receipt)
    }

    async fn try_write_state(
        &self,
        past: &Past,
        payload: &Payload,
        end: Option<Cursor>,
    ) -> Result<Written, ReplicaError> {
        let env = self.env.env();
        let (identity, waits) = {
            let memory = lock(&self.memory);
            (memory.identity.clone(), memory.pending.len() > 0)
        };
        if end.is_some() && waits {
            return Ok(Written::Added);
        }
        let places = self.places;
        let mirror = Reads { anchors: vec![past.cursor.seq], ..Reads::default() };
        let desk = Reads { heads: vec![Identity::key()], ..Reads::default() };
        let scope = Scope::logs(vec![(places.mirror, mirror), (places.desk, desk)]);
        let scope = scope.map_err(|_| lost_answer(&*self.store))?;
        let (cursor, schema_version) = (past.cursor, past.schema_version.max(self.options.schema_version));
        let payload = payload.clone();
        let rule = move |view: &View| {
            let desk = view.log(places.desk);
            let found = desk.heads.get(&Identity::key()).and_then(Head::live_state).cloned();
            let Some(desk) = desk.bounds.clone().filter(|_| found == Some(identity.to_bytes())) else {
                return Choice::Done(Written::Stale, None);
            };
            let mirror = view.log(places.mirror);
            let Some(bounds) = &mirror.bounds else { return Choice::Done(Written::Moved, None) };
            if Gap::check(cursor, Some(bounds), mirror.anchors.get(&cursor.seq).copied()).is_some() {
                return Choice::Done(Written::Moved, None);
            }
            if end.is_some_and(|end| end != bounds.end()) {
                return Choice::Done(Written::Added, None);
            }
            let mut identity = identity.clone();
            identity.hlc = identity.hlc.tick(env.now);
            let no = identity.next;
            identity.next = WriteNo(no.0 + 1);
            let draft = Draft {
                id: OpId::from_bytes(env.uuid7("restore")),
                replica: identity.replica,
                subject: Subject::Log,
                kind: OpKind::FullState(FullStateKind::Recovery),
                clock: bounds.clock.clone(),
                hlc: identity.hlc,
                schema_version,
                precondition: Precondition::Version(bounds.last),
                payload: payload.clone(),
            };
            let op = match draft.seal() {
                Ok(op) => op,
                Err(error) => return Choice::Done(Written::Refused(error), None),
            };
            let entry = Entry { no, batch: None, base: Base::Any, seen: bounds.last, fate: Queued::Waiting, op };
            let heads = vec![
                (Drawer::Queue.key(no.get()), note(entry.to_bytes())),
                (Identity::key(), note(identity.to_bytes())),
            ];
            let writes = LogWrites { heads, ..LogWrites::new(places.desk, desk) };
            Choice::Done(Written::Done(identity, Box::new(entry)), Some(writes.alone()))
        };
        Ok(self.change(scope, rule).await?)
    }

    /// Drops a restore that waits here with nothing written after it; whether there was one.
    async fn drop_unsent(&self) -> Result<bool, ReplicaError> {
        let _pass = self.enter().await?;
        let no = {
            let memory = lock(&self.memory);
            let newest = memory.pending.newest_state().map(|(no, _)| no);
            let Some(no) = newest.filter(|no| *no >= WriteNo::FIRST) else { return Ok(false) };
            if memory.pending.first_after(no).next().is_some() {
                return Err(ReplicaError::NothingToUndo);
            }
            if memory.new.iter().any(|sent| sent.items.iter().any(|item| item.no == no)) {
                return Err(ReplicaError::UnderWay(no));
            }
            no
        };
        let entry = self.entry(no).await?;
        let gone = vec![Drawer::Queue.key(no.get())];
        // Whoever does not hear whether it is gone looks for it.
        lock(&self.memory).dropping = Some(no);
        self.change_desk(DeskChange { gone, ..DeskChange::default() }).await?;
        {
            let mut memory = lock(&self.memory);
            memory.dropping = None;
            memory.pending.remove(no, std::iter::empty());
            memory.lost.retain(|lost| *lost != no);
        }
        self.receipts.tell(no, Fate::Discarded);
        self.moved(&entry);
        Ok(true)
    }

    /// A full state that comes next, made to name the log's end as it is now if only this device's own writes came in
    /// since it was made. `None` if others wrote: it is then put down as lost, to be asked about.
    pub(super) async fn on_own_writes(&self, entry: Entry) -> Result<Option<Entry>, ReplicaError> {
        let Precondition::Version(at) = entry.op.precondition() else { return Ok(Some(entry)) };
        let (seen, clock) = self.seen_now().await?;
        if at == seen {
            return Ok(Some(entry));
        }
        if at < seen && self.only_own(at).await? {
            let draft = Draft { clock, precondition: Precondition::Version(seen), ..entry.op.draft().clone() };
            return Ok(Some(Entry { op: draft.seal()?, seen, ..entry }));
        }
        let fate = Queued::Lost { reason: crate::oplog::ConflictReason::VersionMismatch, head: None };
        let no = entry.no;
        let lost = Entry { fate, ..entry };
        let puts = vec![(Drawer::Queue.key(no.get()), lost.to_bytes())];
        self.change_desk(DeskChange { puts, ..DeskChange::default() }).await?;
        lock(&self.memory).lost.push(no);
        Ok(None)
    }

    /// Whether everything after a seq was written here.
    async fn only_own(&self, mut after: Seq) -> Result<bool, ReplicaError> {
        let own = lock(&self.memory).identity.replica;
        loop {
            let page = self.store.ops_after(self.places.mirror, after, PageLimit::default()).await?;
            if page.bounds.is_some_and(|bounds| bounds.first.before() > after) {
                return Ok(false);
            }
            let Some(last) = page.ops.last() else { return Ok(true) };
            after = last.seq;
            if !page.ops.iter().all(|logged| logged.op.read().is_ok_and(|op| op.replica() == own)) {
                return Ok(false);
            }
        }
    }
}
