//! Writing: durable on this device before it returns, in one transaction, with or without a server.

use super::desk::{Drawer, Identity, note};
use super::entry::{Base, Entry, Fate, WriteNo};
use super::error::ReplicaError;
use super::gate::lock;
use super::receipt::Receipt;
use super::replica::{Inner, Replica};
use crate::decide::{Choice, LogWrites, Reads, Scope, View};
use crate::id::OpId;
use crate::limits;
use crate::oplog::{
    ConflictPolicy, Draft, DraftError, EntityKey, Head, HeadState, OpKind, Payload, Precondition, Subject,
};
use crate::seq::Seq;
use crate::store::StoreExt;

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
    /// [`limits::BATCH_BYTES_MAX`], or as [`Replica::write`]; nothing is written then.
    pub async fn write_batch(&self, writes: Vec<Write>) -> Result<Vec<Receipt>, ReplicaError> {
        self.inner.write(writes, true).await
    }
}

/// A write with everything but its number and its time.
struct Meant {
    draft: Draft,
    base: Base,
}

/// What the rule found on the desk.
enum Written {
    Done(Identity, Vec<Entry>),
    /// The desk is not as remembered.
    Stale,
    Refused(DraftError),
}

impl Inner {
    async fn write(&self, writes: Vec<Write>, atomic: bool) -> Result<Vec<Receipt>, ReplicaError> {
        let given = writes.len();
        let bytes: usize = writes.iter().map(|write| write.payload.bytes().len()).sum();
        if given == 0 || given > limits::BATCH_OPS_MAX || (atomic && bytes > limits::BATCH_BYTES_MAX / 2) {
            return Err(ReplicaError::BatchSize { given });
        }
        let pass = self.gate.enter().await;
        let mut written = self.try_write(&writes, atomic).await?;
        if matches!(written, Written::Stale) {
            self.reload().await?;
            written = self.try_write(&writes, atomic).await?;
        }
        let (identity, entries) = match written {
            Written::Done(identity, entries) => (identity, entries),
            Written::Refused(error) => return Err(error.into()),
            Written::Stale => return Err(ReplicaError::TakenOver),
        };
        let receipts = entries.iter().map(|entry| self.receipt(entry.no)).collect();
        {
            let mut memory = lock(&self.memory);
            memory.identity = identity;
            entries.iter().for_each(|entry| memory.pending.add(entry));
        }
        drop(pass);
        self.moved(&entries);
        self.edited.ring();
        Ok(receipts)
    }

    pub(super) fn receipt(&self, no: WriteNo) -> Receipt {
        Receipt { no, watched: self.receipts.watch(no) }
    }

    async fn try_write(&self, writes: &[Write], atomic: bool) -> Result<Written, ReplicaError> {
        let env = self.env.env();
        let (identity, last) = {
            let memory = lock(&self.memory);
            let last = |key: &EntityKey| memory.pending.newest_of(key);
            (memory.identity.clone(), writes.iter().map(|write| last(&write.key)).collect::<Vec<_>>())
        };
        let meant: Vec<Meant> = (0_u32..)
            .zip(writes.iter().zip(last))
            .map(|(index, (write, last))| Meant {
                draft: Draft {
                    id: OpId::from_bytes(env.uuid7(&format!("op {index}"))),
                    replica: identity.replica,
                    subject: Subject::Entity { key: write.key.clone(), also: Vec::new() },
                    kind: write.kind,
                    clock: crate::VectorClock::new(),
                    hlc: crate::Hlc::default(),
                    schema_version: self.options.schema_version,
                    precondition: write.precondition,
                    payload: write.payload.clone(),
                },
                base: self.base(write, last),
            })
            .collect();
        let places = self.places;
        let mirror = Reads { heads: writes.iter().map(|write| write.key.clone()).collect(), ..Reads::default() };
        let desk = Reads { heads: vec![Identity::key()], ..Reads::default() };
        let scope = Scope::logs(vec![(places.mirror, mirror), (places.desk, desk)]);
        let scope = scope.map_err(|_| super::replica::lost_answer(&*self.store))?;
        let batch = (atomic && meant.len() > 1).then(|| u32::try_from(meant.len()).unwrap_or(u32::MAX));
        let rule = move |view: &View| {
            let desk = view.log(places.desk);
            let found = desk.heads.get(&Identity::key()).and_then(Head::live_state).cloned();
            let Some(bounds) = desk.bounds.clone().filter(|_| found == Some(identity.to_bytes())) else {
                return Choice::Done(Written::Stale, None);
            };
            let mirror = view.log(places.mirror);
            let clock = mirror.bounds.as_ref().map(|bounds| bounds.clock.clone()).unwrap_or_default();
            // Of what is not here, no more was seen than the newest state of everything.
            let blind_clock = mirror.bounds.as_ref().and_then(|bounds| bounds.full_state.as_ref());
            let blind_clock = blind_clock.map(|mark| mark.clock.clone()).unwrap_or_default();
            let seen = mirror.bounds.as_ref().map_or(Seq::ZERO, |bounds| bounds.last);
            let mut identity = identity.clone();
            identity.hlc = identity.hlc.tick(env.now);
            let first = identity.next;
            let mut entries = Vec::with_capacity(meant.len());
            for meant in &meant {
                let no = identity.next;
                identity.next = WriteNo(no.0 + 1);
                let Subject::Entity { key, .. } = &meant.draft.subject else { continue };
                let precondition = match (meant.draft.precondition, meant.base) {
                    (Precondition::None, Base::Stated) => shown(mirror.heads.get(key)),
                    (stated, _) => stated,
                };
                let blind = identity.part.as_ref().is_some_and(|part| !part.holds(key));
                let clock = if blind { &blind_clock } else { &clock };
                let draft = Draft { clock: clock.clone(), hlc: identity.hlc, precondition, ..meant.draft.clone() };
                let op = match draft.seal() {
                    Ok(op) => op,
                    Err(error) => return Choice::Done(Written::Refused(error), None),
                };
                let batch = batch.map(|count| (first, count));
                entries.push(Entry { no, batch, base: meant.base, seen, fate: Fate::Waiting, op });
            }
            let mut heads: Vec<_> =
                entries.iter().map(|entry| (Drawer::Queue.key(entry.no.get()), note(entry.to_bytes()))).collect();
            heads.push((Identity::key(), note(identity.to_bytes())));
            let writes = LogWrites { heads, ..LogWrites::new(places.desk, bounds) };
            Choice::Done(Written::Done(identity, entries), Some(writes.alone()))
        };
        Ok(self.store.decide(scope, rule).await?)
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

/// The precondition that says: what this device shows.
fn shown(head: Option<&Head>) -> Precondition {
    match head {
        Some(Head { state: HeadState::Live(_), version, .. }) if *version > Seq::ZERO => {
            Precondition::Version(*version)
        }
        _ => Precondition::Absent,
    }
}
