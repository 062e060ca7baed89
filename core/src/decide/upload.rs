//! A batch of ops → one verdict each: the rule everything else stands on.
//!
//! What must hold: the batch is judged in order, each op against what the ops before it left; an op id has one
//! effect for ever; a receipt is written with the effects it reports and only for a final answer; an atomic batch
//! is accepted whole or leaves no trace but its receipt; the work depends on the batch, never on the log.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::sealing::admit;
use super::{Choice, LogWrites, Reads, Receipt, View};
use crate::codec::{DecodeError, Reader, Writer};
use crate::digest::Digest;
use crate::id::{EntityId, LogKey, OpId, ReplicaId, RequestId};
use crate::limits;
use crate::oplog::{
    Collection, ConflictPolicy, ConflictReason, Counters, EntityKey, FullStateKind, FullStateMark, Gap, Head,
    HeadState, LogBounds, LoggedOp, Op, OpKind, Precondition, RejectReason, Ruling, Schema, Subject, Verdict,
    arbitrate,
};
use crate::seq::{Cursor, Origin, Seq};
use crate::time::{Env, Timestamp};

/// Receipts past their time go each time the log has grown by so many ops.
const RECEIPT_SWEEP_OPS: u64 = 256;

/// What a client wants to add to a log.
#[derive(Debug, Clone)]
#[allow(clippy::exhaustive_structs, reason = "arguments of one rule")]
pub struct Upload {
    /// Where to.
    pub log: LogKey,
    /// The request's id and what it asked, when the answer is to be remembered.
    pub request: Option<(RequestId, Digest)>,
    /// Where the author stands; a rolled-back, forked or foreign log is found out before anything is written.
    pub cursor: Option<Cursor>,
    /// All or nothing.
    pub atomic: bool,
    /// The ops, in the order they were written.
    pub ops: Arc<[Op]>,
}

/// The outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "every outcome needs its own answer")]
pub enum Uploaded {
    /// Judged.
    Done {
        /// One per op.
        verdicts: Vec<Verdict>,
        /// The end of the log just before this upload; equal to `after` in a replayed answer.
        before: Cursor,
        /// The end of the log afterwards.
        after: Cursor,
        /// The answer is a remembered one.
        replayed: bool,
    },
    /// The author's cursor does not fit this log; nothing was written.
    Gap(Gap, Option<Box<LogBounds>>),
    /// The request id was used for something else.
    RequestReused,
    /// The log contradicts itself and takes no writes.
    Damaged,
}

impl Upload {
    /// What an upload's request id stands for: the ops in order and whether they are one.
    #[must_use]
    pub fn fingerprint(atomic: bool, ops: &[Op]) -> Digest {
        let mut out = Writer::with_capacity(16 + ops.len() * 32);
        out.fixed(b"push\0");
        out.u8(u8::from(atomic));
        ops.iter().for_each(|op| out.fixed(op.digest().as_bytes()));
        Digest::of(&[&out.finish()])
    }

    /// What the rule reads whatever it finds.
    #[must_use]
    pub fn reads(&self) -> Reads {
        let mut heads: Vec<EntityKey> = self.ops.iter().flat_map(|op| op.subject().keys()).collect();
        heads.sort_unstable();
        heads.dedup();
        Reads {
            ops: self.ops.iter().map(Op::id).collect(),
            heads,
            receipts: self.request.iter().map(|(request, _)| *request).collect(),
            ..Reads::default()
        }
    }
}

/// Judges a batch. Needs [`Upload::reads`] in the scope; asks for one anchor more when the cursor is not at an end.
#[must_use]
pub fn upload(upload: &Upload, schema: &Schema, env: &Env, view: &View) -> Choice<Uploaded> {
    let log = view.log(upload.log);
    if let Some((request, fingerprint)) = upload.request
        && let Some(receipt) = log.receipts.get(&request)
    {
        return Choice::Done(replay(receipt, fingerprint), None);
    }
    if log.bounds.as_ref().is_some_and(|bounds| bounds.damaged) {
        return Choice::Done(Uploaded::Damaged, None);
    }
    if let Some(cursor) = upload.cursor {
        if let Some(bounds) = &log.bounds
            && cursor.anchor.is_some()
            && cursor.seq <= bounds.last
            && Gap::anchor_from_bounds(cursor.seq, bounds).is_none()
            && !log.asked.anchors.contains(&cursor.seq)
        {
            let more = Reads { anchors: vec![cursor.seq], ..Reads::default() };
            return Choice::Read(vec![(upload.log, more)]);
        }
        match Gap::check(cursor, log.bounds.as_ref(), log.anchors.get(&cursor.seq).copied()) {
            // Being behind the horizon hinders reading, not writing: arbitration judges such ops like any other.
            None | Some(Gap::Pruned) => {}
            Some(gap) => return Choice::Done(Uploaded::Gap(gap, log.bounds.clone().map(Box::new)), None),
        }
    }
    let bounds =
        log.bounds.clone().unwrap_or_else(|| LogBounds::new(upload.log, Origin(env.bytes16("origin")), env.now));
    let before = bounds.end();
    let fresh = log.bounds.is_none();
    let mut batch = Batch::new(upload, schema, env.now, view, bounds.clone());
    let mut verdicts: Vec<Verdict> = upload.ops.iter().map(|op| batch.judge(op)).collect();
    if upload.atomic && verdicts.iter().any(|verdict| verdict.seq().is_none()) {
        batch = Batch::new(upload, schema, env.now, view, bounds);
        abort(&mut verdicts, before.seq);
    }
    let after = batch.writes_bounds().end();
    let mut writes = batch.into_writes(upload.atomic);
    if let Some((request, fingerprint)) = upload.request {
        let answer = encode_answer(&verdicts, after);
        writes.receipts.push(Receipt { request, fingerprint, answer, at: env.now });
        // Swept now and then, so that answers nobody can ask for any more do not pile up and no push pays for many.
        if before.seq.get() / RECEIPT_SWEEP_OPS != after.seq.get() / RECEIPT_SWEEP_OPS {
            writes.receipts_before = Some(env.now.minus_ms(limits::RECEIPT_KEPT_MS));
        }
    }
    // Nothing to remember and nothing changed: do not make a log, do not touch its row.
    let unchanged = writes.receipts.is_empty() && writes.bounds == log.bounds;
    let empty = fresh && writes.ops.is_empty();
    let writes = if unchanged || (empty && writes.receipts.is_empty()) { None } else { Some(writes.alone()) };
    Choice::Done(Uploaded::Done { verdicts, before, after, replayed: false }, writes)
}

fn replay(receipt: &Receipt, fingerprint: Digest) -> Uploaded {
    if receipt.fingerprint != fingerprint {
        return Uploaded::RequestReused;
    }
    match decode_answer(receipt) {
        Ok((verdicts, after)) => Uploaded::Done { verdicts, before: after, after, replayed: true },
        Err(_) => Uploaded::Damaged,
    }
}

/// An aborted batch names the ops at fault and says of the others only that they went down with them.
fn abort(verdicts: &mut [Verdict], last: Seq) {
    for verdict in verdicts {
        // A duplicate of an op in this very batch is nowhere either.
        if verdict.seq().is_some_and(|seq| seq > last) {
            *verdict = Verdict::Rejected { reason: RejectReason::BatchAborted };
        }
        // Nor is a head that an op of this batch would have made.
        if let Verdict::Conflict { head, .. } = verdict
            && head.as_ref().is_some_and(|head| head.version > last)
        {
            *head = None;
        }
    }
}

fn encode_answer(verdicts: &[Verdict], after: Cursor) -> bytes::Bytes {
    let mut out = Writer::default();
    out.len(verdicts.len());
    verdicts.iter().for_each(|verdict| verdict.encode(&mut out));
    out.u64(after.seq.get());
    out.fixed(&after.anchor.map_or([0; 48], crate::seq::Anchor::to_bytes));
    out.finish()
}

pub(super) fn decode_answer(receipt: &Receipt) -> Result<(Vec<Verdict>, Cursor), DecodeError> {
    const WHAT: &str = "a receipt";
    let mut input = Reader::new(receipt.answer.clone());
    let count = input.count(2, WHAT)?;
    let verdicts = (0..count).map(|_| Verdict::decode(&mut input)).collect::<Result<_, _>>()?;
    let seq = Seq::new(input.u64(WHAT)?).ok_or(DecodeError::NotCanonical(WHAT))?;
    let anchor = crate::seq::Anchor::from_bytes(input.fixed(WHAT)?);
    input.finish()?;
    Ok((verdicts, Cursor { seq, anchor: Some(anchor) }))
}

/// The log as the ops judged so far have left it.
struct Batch<'v> {
    log: LogKey,
    schema: &'v Schema,
    now: Timestamp,
    view: &'v super::LogView,
    alone: bool,
    bounds: LogBounds,
    heads: BTreeMap<EntityKey, Head>,
    ops: Vec<LoggedOp>,
    judged: BTreeMap<OpId, (Digest, Verdict)>,
}

impl<'v> Batch<'v> {
    fn new(upload: &Upload, schema: &'v Schema, now: Timestamp, view: &'v View, bounds: LogBounds) -> Self {
        Self {
            log: upload.log,
            schema,
            now,
            view: view.log(upload.log),
            alone: upload.ops.len() == 1,
            bounds,
            heads: BTreeMap::new(),
            ops: Vec::with_capacity(upload.ops.len()),
            judged: BTreeMap::new(),
        }
    }

    const fn writes_bounds(&self) -> &LogBounds {
        &self.bounds
    }

    fn judge(&mut self, op: &Op) -> Verdict {
        if let Some(verdict) = self.known(op) {
            return verdict;
        }
        // Judged before the author's counter is spent: an op that is sealed again comes back as it was.
        let taken = admit(&self.bounds, op.payload()).map_err(rejected);
        let verdict = match taken.and_then(|epoch| self.rule(op).map(|()| epoch)) {
            Ok(epoch) => self.accept(op, epoch),
            Err(verdict) => verdict,
        };
        self.judged.insert(op.id(), (op.digest(), verdict.clone()));
        verdict
    }

    /// The verdict of an op whose id is spoken for.
    fn known(&self, op: &Op) -> Option<Verdict> {
        let reused = Verdict::Rejected { reason: RejectReason::OpIdReused };
        if let Some((digest, verdict)) = self.judged.get(&op.id()) {
            return Some(match verdict {
                _ if *digest != op.digest() => reused,
                Verdict::Accepted { seq } => Verdict::Duplicate { seq: *seq },
                other => other.clone(),
            });
        }
        let known = self.view.ops.get(&op.id())?;
        Some(if known.digest == op.digest() { Verdict::Duplicate { seq: known.seq } } else { reused })
    }

    fn rule(&mut self, op: &Op) -> Result<(), Verdict> {
        let system = matches!(op.subject(), Subject::Entity { key, .. } if key.collection.is_system());
        if system {
            return Err(rejected(RejectReason::ReservedCollection));
        }
        if op.full_state().is_some() && !self.alone {
            return Err(rejected(RejectReason::FullStateNotAlone));
        }
        self.rule_on_beginning(op)?;
        self.rule_on_clock(op)?;
        // From here on the author's counter is spent, whatever the verdict: an op that lost is written anew under
        // the next counter, and the ops behind it in the batch do not stumble over a missing one.
        self.see(op)?;
        match op.full_state() {
            Some(kind) => self.rule_on_full_state(kind, op),
            None => self.rule_on_entities(op),
        }
    }

    /// What a log begins with comes first. Later it is refused before anything of it is seen: its clock stands for ops that
    /// somebody may still bring.
    fn rule_on_beginning(&self, op: &Op) -> Result<(), Verdict> {
        let begins = op.full_state() == Some(FullStateKind::Initial) && op.precondition() == Precondition::Absent;
        if !begins || self.bounds.last == Seq::ZERO || self.schema.counters() == Counters::Open {
            return Ok(());
        }
        let seeded = self.bounds.full_state.is_some();
        let reason = if seeded { ConflictReason::AlreadySeeded } else { ConflictReason::Exists };
        Err(Verdict::Conflict { reason, head: None })
    }

    /// Joins the op's clock into the log's. Foreign clients, whose counters are open, come back under new names for
    /// ever: when there are too many, a full state starts the log's clock afresh, and otherwise the names already
    /// known go on. What such a log says to have seen is then less than it has, never more.
    fn see(&mut self, op: &Op) -> Result<(), Verdict> {
        if self.bounds.clock.join(op.clock()).is_ok() {
            return Ok(());
        }
        match self.schema.counters() {
            Counters::Dense => return Err(rejected(RejectReason::TooManyReplicas)),
            Counters::Open if op.full_state().is_some() => self.bounds.clock = op.clock().clone(),
            Counters::Open => {
                for (replica, counter) in op.clock().iter() {
                    let known = self.bounds.clock.get(replica);
                    if known != 0 && known < counter {
                        // A name that is known and a counter that an op may carry: both are within their limits.
                        let _ = self.bounds.clock.set(replica, counter);
                    }
                }
            }
        }
        Ok(())
    }

    fn rule_on_clock(&self, op: &Op) -> Result<(), Verdict> {
        let seeds = op.full_state() == Some(FullStateKind::Initial) && self.bounds.last == Seq::ZERO;
        let by_server = op.replica() == ReplicaId::SERVER && op.full_state().is_some();
        if self.schema.counters() == Counters::Open || seeds || by_server {
            return Ok(());
        }
        let known = &self.bounds.clock;
        for (replica, counter) in op.clock().iter().filter(|(replica, _)| *replica != op.replica()) {
            match known.get(replica) {
                0 => return Err(rejected(RejectReason::UnknownReplica)),
                seen if counter > seen => return Err(rejected(RejectReason::ClockAhead)),
                _ => {}
            }
        }
        let last = known.get(op.replica());
        match op.counter() {
            0 if self.needs_counter(op) => Err(rejected(RejectReason::ReplicaMissingFromClock)),
            0 => Ok(()),
            counter if counter <= last => Err(rejected(RejectReason::CounterReused { last })),
            counter if counter > last + 1 => Err(rejected(RejectReason::CounterGap { expected: last + 1 })),
            _ => Ok(()),
        }
    }

    fn needs_counter(&self, op: &Op) -> bool {
        match op.subject() {
            Subject::Log => true,
            Subject::Entity { key, .. } => {
                matches!(self.schema.rules(&key.collection).policy, ConflictPolicy::Causal | ConflictPolicy::Merge)
            }
        }
    }

    fn rule_on_full_state(&self, kind: FullStateKind, op: &Op) -> Result<(), Verdict> {
        let conflict = |reason| Err(Verdict::Conflict { reason, head: None });
        if kind == FullStateKind::Initial && self.bounds.full_state.is_some() {
            return conflict(ConflictReason::AlreadySeeded);
        }
        match op.precondition() {
            Precondition::None if kind == FullStateKind::Repair => Err(rejected(RejectReason::PreconditionRequired)),
            Precondition::Absent if self.bounds.last > Seq::ZERO => conflict(ConflictReason::Exists),
            Precondition::Version(version) if version != self.bounds.last => conflict(ConflictReason::VersionMismatch),
            _ => Ok(()),
        }
    }

    fn rule_on_entities(&self, op: &Op) -> Result<(), Verdict> {
        // What a log begins with replaces nothing: it stands for a history, and an op that has not seen all of that was
        // written beside it. Foreign clients begin a log with what replaces whatever their devices have.
        let first = self.bounds.full_state.as_ref().filter(|mark| mark.seq == Seq::FIRST);
        let first = first.filter(|_| self.schema.counters() == Counters::Dense);
        let nothing = crate::VectorClock::new;
        let first = first.map(|mark| FullStateMark { seq: mark.seq, op: mark.op, clock: nothing(), seen: nothing() });
        let full_state = first.as_ref().or(self.bounds.full_state.as_ref());
        for key in op.subject().keys() {
            let head = self.head(&key);
            let policy = self.schema.rules(&key.collection).policy;
            match arbitrate(policy, head, full_state, op) {
                Ruling::Accept => {}
                Ruling::Reject(reason) => return Err(rejected(reason)),
                Ruling::Conflict(reason) => {
                    let head = head.map(|head| Box::new(head.summary()));
                    return Err(Verdict::Conflict { reason, head });
                }
            }
        }
        Ok(())
    }

    fn head(&self, key: &EntityKey) -> Option<&Head> {
        self.heads.get(key).or_else(|| self.view.heads.get(key))
    }

    fn accept(&mut self, op: &Op, key_epoch: u32) -> Verdict {
        let Some(seq) = self.bounds.last.next() else {
            return rejected(RejectReason::BatchAborted);
        };
        let anchor = self.bounds.tip.extend(op.digest(), self.now);
        for key in op.subject().keys() {
            let head = self.new_head(&key, seq, op);
            self.heads.insert(key, head);
        }
        if let Some(kind) = op.full_state() {
            self.bounds.full_state =
                Some(FullStateMark { seq, op: op.id(), clock: op.clock().clone(), seen: self.bounds.clock.clone() });
            let (key, head) = restore_point(seq, kind, op, self.now);
            self.heads.insert(key, head);
        }
        self.bounds.last = seq;
        self.bounds.tip = anchor;
        self.bounds.key_epoch = key_epoch;
        self.bounds.bytes += op.bytes().len() as u64;
        self.ops.push(LoggedOp { seq, anchor, accepted_at: self.now, batch_rest: 0, op: op.raw().clone() });
        Verdict::Accepted { seq }
    }

    fn new_head(&self, key: &EntityKey, seq: Seq, op: &Op) -> Head {
        let mut clock = op.clock().clone();
        if self.schema.rules(&key.collection).policy == ConflictPolicy::Merge
            && let Some(old) = self.head(key)
        {
            // Both are covered by the log's clock, which was just joined within its limit.
            let _ = clock.join(&old.clock);
        }
        let state = match op.kind() {
            OpKind::Delete => HeadState::Tombstone(self.now),
            _ => HeadState::Live(None),
        };
        Head { version: seq, op: op.id(), replica: op.replica(), clock, state }
    }

    fn into_writes(mut self, atomic: bool) -> LogWrites {
        if atomic {
            for (rest, logged) in self.ops.iter_mut().rev().enumerate() {
                logged.batch_rest = u32::try_from(rest).unwrap_or(u32::MAX);
            }
        }
        LogWrites { ops: self.ops, heads: self.heads.into_iter().collect(), ..LogWrites::new(self.log, self.bounds) }
    }
}

const fn rejected(reason: RejectReason) -> Verdict {
    Verdict::Rejected { reason }
}

/// Restore points are heads of their own collection, newest first in key order, so that listing them reads no history.
fn restore_point(seq: Seq, kind: FullStateKind, op: &Op, now: Timestamp) -> (EntityKey, Head) {
    let mut out = Writer::default();
    out.u8(OpKind::FullState(kind).code());
    out.u64(op.hlc().ms.ms());
    out.u64(op.hlc().counter.into());
    out.u64(now.ms());
    let state = HeadState::Live(Some(out.finish()));
    let head = Head { version: seq, op: op.id(), replica: op.replica(), clock: crate::VectorClock::new(), state };
    (restore_point_key(seq, [0; 8]), head)
}

fn restore_point_key(seq: Seq, tail: [u8; 8]) -> EntityKey {
    let mut entity = [0; 16];
    entity[..8].copy_from_slice(&(u64::MAX - seq.get()).to_be_bytes());
    entity[8..].copy_from_slice(&tail);
    EntityKey { collection: restore_points(), entity: EntityId::from_bytes(entity) }
}

/// The key after which restore points at or before `seq` stand, newest first; `None` for all of them.
#[must_use]
pub fn restore_point_before(seq: Seq) -> Option<EntityKey> {
    seq.next().map(|next| restore_point_key(next, [0xff; 8]))
}

/// The system collection of restore points.
#[must_use]
pub fn restore_points() -> Collection {
    Collection::system("sys.restore")
}

/// Reads a restore point back from its head.
#[must_use]
pub fn read_restore_point(head: &Head) -> Option<crate::oplog::RestorePoint> {
    let mut input = Reader::new(head.live_state()?.clone());
    let kind = match OpKind::from_code(input.u8("").ok()?) {
        OpKind::FullState(kind) => kind,
        _ => return None,
    };
    let ms = Timestamp::from_ms(input.u64("").ok()?)?;
    let counter = u16::try_from(input.u64("").ok()?).ok()?;
    let accepted_at = Timestamp::from_ms(input.u64("").ok()?)?;
    let hlc = crate::time::Hlc { ms, counter };
    Some(crate::oplog::RestorePoint { seq: head.version, op: head.op, kind, replica: head.replica, hlc, accepted_at })
}
