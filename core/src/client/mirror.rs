//! Applying what the server sent to the copy of its log, as a pure rule: ops in, rows out.
//!
//! What must hold: a seq is applied once and in order; ops and cursor move in one write; an op that cannot be
//! understood is kept and named, and hinders nothing behind it; an op that needs a key which is not here stops the
//! reading in front of it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::desk::Places;
use super::sealer::{Sealer, Unopened};
use super::sealing::epoch_of;
use crate::call::{LeftOut, PageOp};
use crate::clock::VectorClock;
use crate::codec::DecodeError;
use crate::decide::{Forget, LogView, LogWrites};
use crate::id::{OpId, ReplicaId};
use crate::oplog::{
    Change, EntityKey, FullStateMark, Head, HeadState, LogBounds, LoggedOp, Op, OpKind, Part, Payload, Schema, Sealing,
    Snapshot, StateEntities, Subject,
};
use crate::seq::{Cursor, Origin, Seq};
use crate::time::Timestamp;

/// What reading and reducing take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Means<'a> {
    pub(super) places: Places,
    pub(super) schema: &'a Schema,
    pub(super) sealer: Option<&'a dyn Sealer>,
    /// What payloads are to be like.
    pub(super) policy: Sealing,
    /// The entities to keep; `None` for all.
    pub(super) part: Option<&'a Part>,
}

/// Why an op that is in the log has no effect here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unreadable {
    /// A format, kind, schema version or way of sealing from a newer author.
    Unknown,
    /// Sealed, and not what was sealed.
    Tampered,
    /// Its content does not fit its collection.
    Unfit,
    /// Readable in a log that requires sealing, or sealed in one that forbids it: no honest server took it.
    Sealing,
    /// It, or an earlier op of the same entity, can never apply: everybody leaves it out. Found when the entity's state was
    /// put together anew; its handle says more ([`SharedText::left_out`](super::SharedText::left_out)).
    LeftOut,
}

impl Unreadable {
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Unknown => 0,
            Self::Tampered => 1,
            Self::Unfit => 2,
            Self::Sealing => 3,
            Self::LeftOut => 4,
        }
    }

    pub(super) const fn from_code(code: u8) -> Self {
        match code {
            1 => Self::Tampered,
            2 => Self::Unfit,
            3 => Self::Sealing,
            4 => Self::LeftOut,
            _ => Self::Unknown,
        }
    }
}

impl Means<'_> {
    /// What an op says, readable. A sealed op without a sealer needs a key.
    pub(super) fn open(&self, op: &Op) -> Result<Payload, Unopened> {
        match (op.payload(), self.sealer) {
            (Payload::Sealed(_), Some(sealer)) => sealer.open(self.places.mirror, op),
            (Payload::Sealed(_), None) => Err(Unopened::KeyNeeded { epoch: epoch_of(op.payload()).unwrap_or(0) }),
            (readable, _) => Ok(readable.clone()),
        }
    }

    /// What an op says, readable, or why it has no effect here.
    ///
    /// # Errors
    /// When a key is missing: then nothing is judged.
    pub(super) fn read(&self, op: &Op) -> Result<Result<Payload, Unreadable>, Unopened> {
        if !self.understands(op) {
            return Ok(Err(Unreadable::Unknown));
        }
        if !self.admits(op.payload()) {
            return Ok(Err(Unreadable::Sealing));
        }
        match self.open(op) {
            Ok(payload) => Ok(Ok(payload)),
            Err(Unopened::Tampered) => Ok(Err(Unreadable::Tampered)),
            Err(Unopened::Unknown) => Ok(Err(Unreadable::Unknown)),
            Err(needed) => Err(needed),
        }
    }

    /// Whether a payload is as the log's policy wants it.
    pub(super) fn admits(&self, payload: &Payload) -> bool {
        match self.policy {
            Sealing::Optional => true,
            Sealing::Required => payload.is_sealed(),
            Sealing::Forbidden => !payload.is_sealed(),
        }
    }

    /// Whether this build knows what the op means.
    pub(super) fn understands(&self, op: &Op) -> bool {
        !matches!(op.kind(), OpKind::Other(_)) && op.schema_version() <= self.schema.version_max()
    }
}

/// The mirror's rows as one transaction leaves them.
#[derive(Debug)]
pub(super) struct MirrorWrite<'a> {
    means: Means<'a>,
    before: &'a LogView,
    bounds: LogBounds,
    begins: bool,
    cleared: bool,
    ops: Vec<LoggedOp>,
    /// What a full state put in place of everything, in key order; all of one version, and many.
    base: Vec<(EntityKey, Head)>,
    /// What changed after that.
    heads: BTreeMap<EntityKey, Head>,
    snapshot: Option<Snapshot>,
    /// Ops that have no effect here.
    pub(super) unread: Vec<(Seq, Unreadable)>,
    /// Full states among the ops.
    pub(super) points: Vec<Seq>,
    /// Entities that changed; `None` when all may have.
    pub(super) changed: Option<BTreeSet<EntityKey>>,
    /// The highest key epoch of which something was opened.
    pub(super) epoch: u32,
}

impl<'a> MirrorWrite<'a> {
    /// Goes on where the mirror ends.
    pub(super) fn go_on(means: Means<'a>, before: &'a LogView) -> Option<Self> {
        let bounds = before.bounds.clone()?;
        Some(Self::new(means, before, bounds, false))
    }

    /// Begins anew with the first op of a history.
    pub(super) fn from_start(means: Means<'a>, before: &'a LogView, origin: Origin, now: Timestamp) -> Self {
        let bounds = LogBounds::new(means.places.mirror, origin, now);
        Self { changed: None, ..Self::new(means, before, bounds, true) }
    }

    /// Begins anew with a snapshot's state, already readable.
    pub(super) fn from_snapshot(
        means: Means<'a>,
        before: &'a LogView,
        snapshot: Snapshot,
        state: Bytes,
        now: Timestamp,
    ) -> Option<Self> {
        let mut bounds = LogBounds::new(means.places.mirror, snapshot.anchor.origin, now);
        bounds.first = snapshot.seq.next()?;
        bounds.last = snapshot.seq;
        bounds.base = snapshot.anchor;
        bounds.tip = snapshot.anchor;
        bounds.clock = snapshot.clock.clone();
        bounds.snapshot = snapshot.seq;
        let mut write = Self { changed: None, ..Self::new(means, before, bounds, true) };
        write.replace(state, snapshot.seq, &snapshot.clock).ok()?;
        write.epoch = epoch_of(&snapshot.payload).unwrap_or(0);
        write.snapshot = Some(snapshot);
        Some(write)
    }

    /// What `begin` makes, with everything up to the first op that needs a key which is not here: the ops that count, what
    /// was passed between them, and what that one needs. A batch applies whole or not at all, so what came of it before a
    /// closed op does not count either.
    pub(super) fn applied<'o>(
        begin: impl Fn() -> Self,
        ops: &'o [PageOp],
        left_out: &'o [LeftOut],
    ) -> (Self, &'o [PageOp], &'o [LeftOut], Option<Unopened>) {
        let mut mirror = begin();
        let Some((closed, needed)) = mirror.run(ops, left_out) else { return (mirror, ops, left_out, None) };
        let ends =
            ops.iter().map(|op| (op.seq, op.batch_rest)).chain(left_out.iter().map(|op| (op.seq, op.batch_rest)));
        let ends = ends.filter(|(seq, rest)| *seq < closed && *rest == 0).map(|(seq, _)| seq);
        let whole = ends.max().unwrap_or(Seq::ZERO);
        let read = &ops[..ops.partition_point(|op| op.seq <= whole)];
        let passed = &left_out[..left_out.partition_point(|op| op.seq <= whole)];
        if mirror.end().seq > whole {
            mirror = begin();
            // They were opened a moment ago.
            let _ = mirror.run(read, passed);
        }
        (mirror, read, passed, Some(needed))
    }

    /// Applies ops and passes what is left out between them, in order; the place of the first that needs a key, and which.
    fn run(&mut self, ops: &[PageOp], left_out: &[LeftOut]) -> Option<(Seq, Unopened)> {
        let mut passed = left_out.iter().peekable();
        for op in ops {
            while let Some(other) = passed.next_if(|other| other.seq < op.seq) {
                self.pass(other);
            }
            if let Err(needed) = self.apply(op) {
                return Some((op.seq, needed));
            }
        }
        passed.for_each(|other| self.pass(other));
        None
    }

    fn new(means: Means<'a>, before: &'a LogView, bounds: LogBounds, begins: bool) -> Self {
        Self {
            means,
            before,
            bounds,
            begins,
            cleared: begins,
            ops: Vec::new(),
            base: Vec::new(),
            heads: BTreeMap::new(),
            snapshot: None,
            unread: Vec::new(),
            points: Vec::new(),
            changed: Some(BTreeSet::new()),
            epoch: 0,
        }
    }

    /// Where the mirror ends so far.
    pub(super) const fn end(&self) -> Cursor {
        self.bounds.end()
    }

    /// What the log has seen so far.
    pub(super) const fn clock(&self) -> &VectorClock {
        &self.bounds.clock
    }

    /// Applies the next op.
    ///
    /// # Errors
    /// When a key is missing; the op is then not applied, and nothing after it may be.
    pub(super) fn apply(&mut self, op: &PageOp) -> Result<(), Unopened> {
        let read = op.op.read();
        let concerns = |read: &Op| self.means.part.is_none_or(|part| part.touches(read.subject()));
        if let Ok(read) = &read
            && !concerns(read)
        {
            self.place(op);
            return Ok(());
        }
        let effect = match &read {
            Err(_) => Err(Unreadable::Unknown),
            Ok(read) => self.means.read(read)?.map(|payload| (read, payload)),
        };
        if let Ok((read, _)) = &effect {
            self.epoch = self.epoch.max(epoch_of(read.payload()).unwrap_or(0));
        }
        let outcome = effect.and_then(|(read, payload)| self.change(op, read, &payload));
        if let Err(why) = outcome {
            self.unread.push((op.seq, why));
        }
        self.place(op);
        Ok(())
    }

    /// Applies the next op again, to rebuild an earlier state of these entities; `None` for all.
    ///
    /// # Errors
    /// As [`MirrorWrite::apply`].
    pub(super) fn replay(&mut self, op: &PageOp, only: Option<&BTreeSet<EntityKey>>) -> Result<(), Unopened> {
        let concerns = |only: &BTreeSet<EntityKey>| {
            op.op.read().is_ok_and(|op| match op.subject() {
                Subject::Log => true,
                subject => subject.keys().any(|key| only.contains(&key)),
            })
        };
        if only.is_none_or(concerns) {
            self.apply(op)?;
        } else {
            self.place(op);
        }
        self.ops.clear();
        Ok(())
    }

    /// Forgets what a replay need not hold.
    pub(super) fn keep_only(&mut self, only: Option<&BTreeSet<EntityKey>>) {
        if let Some(only) = only {
            self.base.retain(|(key, _)| only.contains(key));
            self.heads.retain(|key, _| only.contains(key));
        }
    }

    /// What a replay led to.
    pub(super) fn into_state(self) -> (LogBounds, BTreeMap<EntityKey, Option<Head>>) {
        // Where both name an entity, the later counts.
        (self.bounds, self.base.into_iter().chain(self.heads).map(|(key, head)| (key, Some(head))).collect())
    }

    /// Goes past an op that concerns nothing of the part.
    pub(super) fn pass(&mut self, op: &LeftOut) {
        let known = self.bounds.clock.get(op.replica);
        let _ = self.bounds.clock.set(op.replica, op.counter.max(known));
        self.bounds.last = op.seq;
        self.bounds.tip = self.bounds.tip.extend(op.digest, op.accepted_at);
    }

    /// The op's place in the log, whatever its effect.
    fn place(&mut self, op: &PageOp) {
        if let Ok(read) = op.op.read() {
            // A log whose names are full takes no further ones, so this can only fail for a foreign log's clock.
            let _ = self.bounds.clock.join(read.clock());
        }
        let anchor = self.bounds.tip.extend(op.op.digest(), op.accepted_at);
        self.bounds.last = op.seq;
        self.bounds.tip = anchor;
        self.bounds.bytes += op.op.bytes().len() as u64;
        if self.means.part.is_some() {
            return;
        }
        let (seq, accepted_at, batch_rest, op) = (op.seq, op.accepted_at, op.batch_rest, op.op.clone());
        self.ops.push(LoggedOp { seq, anchor, accepted_at, batch_rest, op });
    }

    fn change(&mut self, at: &PageOp, op: &Op, payload: &Payload) -> Result<(), Unreadable> {
        let Subject::Entity { key, .. } = op.subject() else {
            self.replace(payload.bytes().clone(), at.seq, op.clock()).map_err(|_| Unreadable::Unfit)?;
            self.points.push(at.seq);
            let mut seen = self.bounds.clock.clone();
            let _ = seen.join(op.clock());
            self.bounds.full_state = Some(FullStateMark { seq: at.seq, op: op.id(), clock: op.clock().clone(), seen });
            return Ok(());
        };
        let reducer = &self.means.schema.rules(&key.collection).reducer;
        let change = Change::opened(op, at.accepted_at, payload);
        let (mut heads, mut found) = (Vec::new(), false);
        for key in op.subject().keys().filter(|key| self.means.part.is_none_or(|part| part.holds(key))) {
            if self.head(&key).is_some_and(Head::is_evicted) {
                // What it says is not known here; that it is another version is.
                let (clock, state) = (op.clock().clone(), HeadState::Live(None));
                heads.push((key, Head { version: at.seq, op: op.id(), replica: op.replica(), clock, state }));
                continue;
            }
            let mut state = self.head(&key).and_then(Head::live_state).map(|state| state.to_vec());
            let left_out = |state: &Option<Vec<u8>>| state.as_deref().map_or(0, |state| reducer.left_out(state));
            let before = left_out(&state);
            reducer.reduce(&mut state, &change).map_err(|_| Unreadable::Unfit)?;
            found |= left_out(&state) > before;
            let state = match state {
                Some(state) => HeadState::Live(Some(state.into())),
                None => HeadState::Tombstone(at.accepted_at),
            };
            let clock = op.clock().clone();
            heads.push((key, Head { version: at.seq, op: op.id(), replica: op.replica(), clock, state }));
        }
        if let Some(changed) = &mut self.changed {
            changed.extend(heads.iter().map(|(key, _)| key.clone()));
        }
        self.heads.extend(heads);
        if found {
            self.unread.push((at.seq, Unreadable::LeftOut));
        }
        Ok(())
    }

    /// A full state replaces everything.
    fn replace(&mut self, state: Bytes, seq: Seq, clock: &VectorClock) -> Result<(), DecodeError> {
        let head = |bytes: Bytes| Head {
            version: seq,
            op: OpId::from_bytes([0; 16]),
            replica: ReplicaId::SERVER,
            clock: clock.clone(),
            state: HeadState::Live(Some(bytes)),
        };
        let entities = StateEntities::read(state)?;
        let mut base = Vec::with_capacity(if self.means.part.is_none() { entities.len_at_most() } else { 0 });
        for entity in entities {
            let (key, bytes) = entity?;
            match self.means.part {
                None => base.push((key, head(bytes))),
                // Not a slice: the rest of the state is let go of.
                Some(part) if part.holds(&key) => base.push((key, head(Bytes::copy_from_slice(&bytes)))),
                Some(_) => {}
            }
        }
        self.cleared = true;
        self.changed = None;
        self.base = base;
        self.heads.clear();
        Ok(())
    }

    /// An entity's head as it stands now.
    pub(super) fn head(&self, key: &EntityKey) -> Option<&Head> {
        let base = || self.base.binary_search_by(|(known, _)| known.cmp(key)).ok().map(|at| &self.base[at].1);
        let before = || if self.cleared { None } else { self.before.heads.get(key) };
        self.heads.get(key).or_else(base).or_else(before)
    }

    /// The rows.
    pub(super) fn finish(mut self) -> LogWrites {
        let log = self.means.places.mirror;
        if self.means.part.is_some() {
            // Between what is kept there are holes, so nothing is kept: the horizon is the end.
            self.bounds.first = self.bounds.last.next().unwrap_or(Seq::MAX);
            self.bounds.base = self.bounds.tip;
            (self.bounds.snapshot, self.bounds.bytes) = (Seq::ZERO, 0);
            self.snapshot = None;
        }
        let past = self.means.part.filter(|_| !self.begins).map(|_| self.bounds.first);
        let (mut heads, changed) = (self.base, self.heads);
        heads.retain(|(key, _)| !changed.contains_key(key));
        heads.extend(changed);
        let writes = if self.begins { LogWrites::anew(log, self.bounds) } else { LogWrites::new(log, self.bounds) };
        let forget = if self.cleared && !self.begins { Forget::AllHeads } else { Forget::Nothing };
        let writes = LogWrites { prune_before: past, forget_pruned: past.is_some(), ..writes };
        LogWrites { ops: self.ops, heads, snapshot: self.snapshot, forget, ..writes }
    }
}

/// The entities whose heads applying these ops needs.
pub(super) fn keys_of(ops: &[PageOp]) -> BTreeSet<EntityKey> {
    ops.iter().filter_map(|op| op.op.read().ok()).flat_map(|op| op.subject().keys().collect::<Vec<_>>()).collect()
}
