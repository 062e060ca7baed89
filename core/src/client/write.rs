//! Writing: durable on this device before it returns, in one transaction, with or without a server.

use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::Poll;

use super::desk::{Drawer, Identity, note};
use super::entry::{Base, Entry, Fate, WriteNo};
use super::error::ReplicaError;
use super::gate::{Flight, lock};
use super::receipt::Receipt;
use super::replica::{Inner, Replica};
use crate::decide::{Choice, LogWrites, Reads, Scope, View};
use crate::id::OpId;
use crate::limits;
use crate::oplog::{
    ConflictPolicy, Draft, DraftError, EntityKey, Head, HeadState, OpKind, Payload, Precondition, Subject,
};
use crate::seq::Seq;
use crate::store::{StoreError, StoreExt};

/// One write, as an application means it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "arguments of one call")]
pub struct Write {
    /// What it changes.
    pub key: EntityKey,
    /// How.
    pub kind: OpKind,
    /// What must hold in the log. In a collection that needs preconditions, [`Precondition::None`] means the version
    /// that this device shows.
    pub precondition: Precondition,
    /// The content, readable.
    pub payload: Payload,
}

impl Replica {
    /// Writes one thing.
    ///
    /// # Errors
    /// When it breaks a limit or the store fails; nothing is written then.
    pub async fn write(&self, write: Write) -> Result<Receipt, ReplicaError> {
        let mut receipts = self.inner.write(vec![write], false).await?;
        receipts.pop().ok_or(ReplicaError::BatchSize { given: 0 })
    }

    /// Writes several things that apply everywhere together or nowhere: one receipt each, in order.
    ///
    /// # Errors
    /// When there are none or more than [`limits::BATCH_OPS_MAX`], when together they are larger than
    /// [`limits::BATCH_BYTES_MAX`], [`ReplicaError::TwiceInBatch`], or as [`Replica::write`]; nothing is written then.
    pub async fn write_batch(&self, writes: Vec<Write>) -> Result<Vec<Receipt>, ReplicaError> {
        self.inner.write(writes, true).await
    }
}

/// A write with everything but its time.
struct Meant {
    no: WriteNo,
    key: EntityKey,
    draft: Draft,
    base: Base,
}

/// What the rule found on the desk.
enum Written {
    Done(Vec<Entry>),
    /// The desk is not as remembered.
    Stale,
    Refused(DraftError),
}

type Deciding<'s> = Pin<Box<dyn Future<Output = Result<Written, StoreError>> + Send + 's>>;

/// Writes on their way to the desk. What is remembered counts on them already, so that the next can follow at once.
struct Going<'i> {
    inner: &'i Inner,
    before: Identity,
    after: Identity,
    promised: Vec<(WriteNo, EntityKey)>,
    landed: bool,
    /// Ends after everything above was put right.
    flight: Option<Flight<'i>>,
}

impl Inner {
    async fn write(&self, writes: Vec<Write>, atomic: bool) -> Result<Vec<Receipt>, ReplicaError> {
        let given = writes.len();
        let bytes: usize = writes.iter().map(|write| write.payload.bytes().len()).sum();
        if given == 0 || given > limits::BATCH_OPS_MAX || (atomic && bytes > limits::BATCH_BYTES_MAX / 2) {
            return Err(ReplicaError::BatchSize { given });
        }
        if atomic && let Some(twice) = self.written_twice(&writes) {
            return Err(ReplicaError::TwiceInBatch(twice.collection.clone()));
        }
        if let Some(receipts) = self.write_behind(&writes, atomic).await? {
            return Ok(receipts);
        }
        // In doubt the desk is read again here, and nobody is ahead any more.
        let _pass = self.enter().await?;
        let (deciding, going) = self.begin(&writes, atomic)?;
        going.land(deciding.await)?.ok_or(ReplicaError::TakenOver)
    }

    /// Writes right behind others that may still be under way: a store puts what is there at the same time into one
    /// commit. `None` when the desk is not as remembered.
    async fn write_behind(&self, writes: &[Write], atomic: bool) -> Result<Option<Vec<Receipt>>, ReplicaError> {
        let pass = self.gate.follow().await;
        if self.doubtful.load(Ordering::Acquire) {
            return Ok(None);
        }
        let (mut deciding, mut going) = self.begin(writes, atomic)?;
        // Once looked at, it stands in the store's line; whatever comes later stands behind it.
        let at_once = poll_fn(|context| Poll::Ready(deciding.as_mut().poll(context))).await;
        going.flight = Some(pass.fly());
        let written = match at_once {
            Poll::Ready(written) => written,
            Poll::Pending => deciding.await,
        };
        going.land(written)
    }

    pub(super) fn receipt(&self, entry: &Entry) -> Receipt {
        Receipt { no: entry.no, op: entry.op.id(), watched: self.receipts.watch(entry.no, entry.op.id()) }
    }

    /// Gives the writes their numbers, and the transaction that makes them durable.
    fn begin(&self, writes: &[Write], atomic: bool) -> Result<(Deciding<'_>, Going<'_>), ReplicaError> {
        let env = self.env.env();
        let mut memory = lock(&self.memory);
        let before = memory.identity.clone();
        let mut after = before.clone();
        after.hlc = before.hlc.tick(env.now);
        let mut meant = Vec::with_capacity(writes.len());
        for (index, write) in writes.iter().enumerate() {
            let no = after.next;
            after.next = WriteNo(no.0 + 1);
            let draft = Draft {
                id: OpId::from_bytes(env.uuid7(&format!("op {index}"))),
                replica: before.replica,
                subject: Subject::Entity { key: write.key.clone(), also: Vec::new() },
                kind: write.kind,
                clock: crate::VectorClock::new(),
                hlc: after.hlc,
                schema_version: self.options.schema_version,
                precondition: write.precondition,
                payload: write.payload.clone(),
            };
            let base = self.base(write, memory.pending.newest_of(&write.key));
            meant.push(Meant { no, key: write.key.clone(), draft, base });
        }
        let batch = (atomic && meant.len() > 1).then(|| u32::try_from(meant.len()).unwrap_or(u32::MAX));
        let batch = batch.map(|count| (before.next, count));
        let (scope, known, new) = (self.scope_of(&meant)?, before.to_bytes(), note(after.to_bytes()));
        let promised: Vec<_> = meant.iter().map(|meant| (meant.no, meant.key.clone())).collect();
        meant.iter().for_each(|meant| memory.pending.promise(meant.no, meant.draft.id, meant.key.clone()));
        let part = before.part.clone();
        memory.identity = after.clone();
        drop(memory);
        let places = self.places;
        let rule = move |view: &View| {
            let desk = view.log(places.desk);
            let found = desk.heads.get(&Identity::key()).and_then(Head::live_state);
            let Some(bounds) = desk.bounds.clone().filter(|_| found == Some(&known)) else {
                return Choice::Done(Written::Stale, None);
            };
            let mirror = view.log(places.mirror);
            let clock = mirror.bounds.as_ref().map(|bounds| bounds.clock.clone()).unwrap_or_default();
            // Of what is not here, no more was seen than the newest state of everything.
            let blind_clock = mirror.bounds.as_ref().and_then(|bounds| bounds.full_state.as_ref());
            let blind_clock = blind_clock.map(|mark| mark.clock.clone()).unwrap_or_default();
            let seen = mirror.bounds.as_ref().map_or(Seq::ZERO, |bounds| bounds.last);
            let mut entries = Vec::with_capacity(meant.len());
            for Meant { no, key, draft, base } in &meant {
                let precondition = match (draft.precondition, base) {
                    (Precondition::None, Base::Stated) => shown(mirror.heads.get(key)),
                    (stated, _) => stated,
                };
                let blind = part.as_ref().is_some_and(|part| !part.holds(key));
                let clock = if blind { &blind_clock } else { &clock };
                let op = match (Draft { clock: clock.clone(), precondition, ..draft.clone() }).seal() {
                    Ok(op) => op,
                    Err(error) => return Choice::Done(Written::Refused(error), None),
                };
                entries.push(Entry { no: *no, batch, base: *base, seen, fate: Fate::Waiting, op });
            }
            let mut heads: Vec<_> =
                entries.iter().map(|entry| (Drawer::Queue.key(entry.no.get()), note(entry.to_bytes()))).collect();
            heads.push((Identity::key(), new.clone()));
            let writes = LogWrites { heads, ..LogWrites::new(places.desk, bounds) };
            Choice::Done(Written::Done(entries), Some(writes.alone()))
        };
        Ok((
            self.store.decide(scope, rule),
            Going { inner: self, before, after, promised, landed: false, flight: None },
        ))
    }

    fn scope_of(&self, meant: &[Meant]) -> Result<Scope, StoreError> {
        // Only a write that names the version it builds on has to read it.
        let stated = meant.iter().filter(|meant| meant.base == Base::Stated);
        let mirror = Reads { heads: stated.map(|meant| meant.key.clone()).collect(), ..Reads::default() };
        let desk = Reads { heads: vec![Identity::key()], ..Reads::default() };
        let scope = Scope::logs(vec![(self.places.mirror, mirror), (self.places.desk, desk)]);
        scope.map_err(|_| super::replica::lost_answer(&*self.store))
    }

    /// An entity that is written twice and whose writes name versions.
    fn written_twice<'w>(&self, writes: &'w [Write]) -> Option<&'w EntityKey> {
        let mut seen = BTreeSet::new();
        let keys = writes.iter().map(|write| &write.key);
        let mut versioned =
            keys.filter(|key| self.schema.rules(&key.collection).policy == ConflictPolicy::Precondition);
        versioned.find(|key| !seen.insert(*key))
    }

    /// Which version a write builds on, where its collection asks for one.
    fn base(&self, write: &Write, pending: Option<WriteNo>) -> Base {
        let policy = self.schema.rules(&write.key.collection).policy;
        let makes = write.kind == OpKind::Create;
        match (write.precondition, policy) {
            (Precondition::None, ConflictPolicy::Precondition) if !makes => pending.map_or(Base::Stated, Base::After),
            _ => Base::Any,
        }
    }
}

impl Going<'_> {
    /// Receipts for what is on the desk now; `None` when the desk was not as remembered.
    fn land(mut self, written: Result<Written, StoreError>) -> Result<Option<Vec<Receipt>>, ReplicaError> {
        let written = match written {
            Err(error) if error.kind().wrote_nothing() => {
                self.take_back();
                return Err(error.into());
            }
            written => written?,
        };
        match written {
            Written::Done(entries) => {
                self.landed = true;
                let receipts = entries.iter().map(|entry| self.inner.receipt(entry)).collect();
                self.inner.added(&entries);
                self.inner.edited.ring();
                Ok(Some(receipts))
            }
            Written::Refused(error) => {
                self.take_back();
                Err(error.into())
            }
            Written::Stale => Ok(None),
        }
    }

    /// Nothing was written. Where something follows already, that counted on it and will find the desk another.
    fn take_back(&mut self) {
        let mut memory = lock(&self.inner.memory);
        if memory.identity == self.after {
            memory.identity = self.before.clone();
            self.promised.drain(..).for_each(|(no, key)| memory.pending.remove(no, std::iter::once(key)));
            self.landed = true;
        }
    }
}

impl Drop for Going<'_> {
    fn drop(&mut self) {
        if !self.landed {
            // It failed, or nobody waited for how it ended: the desk knows.
            self.inner.doubtful.store(true, Ordering::Release);
        }
    }
}

/// The precondition that says: what this device shows.
fn shown(head: Option<&Head>) -> Precondition {
    match head {
        Some(Head { state: HeadState::Live(_), version, .. }) if *version > Seq::ZERO => {
            Precondition::Version(*version)
        }
        _ => Precondition::Absent,
    }
}
