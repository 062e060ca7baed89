//! Spends the counters that a log's history spent on ops that lost.
//!
//! An op that lost a conflict is not in the log, but its author's counter was spent on it, and the ops after it count
//! on that. A log is therefore not pushed again by pushing its ops: the op after the missing one would skip a counter
//! and be rejected. So an op that must lose, because it asks for a version no entity ever has, goes where each
//! missing one was. It spends the counter and leaves nothing else.

use std::collections::VecDeque;

use bytes::Bytes;
use syncline::oplog::{Collection, Draft, EntityKey, FullStateKind, Op, OpKind, Payload, Precondition, Subject};
use syncline::seal::EnvelopeHead;
use syncline::{EntityId, LogId, OpId, ReplicaId, Seq, VectorClock};

use crate::fault::Fault;
use crate::ids;

/// Fillers in one import; more is a log that was made up, or one that ought to be copied with its store.
const FILLERS_MAX: usize = 100_000;

/// The counters of a log as its ops are pushed.
#[derive(Debug)]
pub(crate) struct Counters {
    log: LogId,
    known: VectorClock,
    at_start: bool,
    fillers: usize,
}

impl Counters {
    /// Begins with what the log has seen.
    pub(crate) const fn new(log: LogId, known: VectorClock, last: Seq) -> Self {
        Self { log, known, at_start: last.get() == 0, fillers: 0 }
    }

    /// How many counters were filled.
    pub(crate) const fn fillers(&self) -> usize {
        self.fillers
    }

    /// The ops that have to go before `op`, in order.
    ///
    /// # Errors
    /// When the counters cannot be filled.
    pub(crate) fn before(&mut self, op: &Op) -> Result<VecDeque<Op>, Fault> {
        let mut fillers = VecDeque::new();
        // The op that seeds a log brings its counters with it.
        let seeds = self.at_start && op.full_state() == Some(FullStateKind::Initial);
        self.at_start = false;
        if !seeds {
            for (replica, counter) in op.clock().iter() {
                let upto = if replica == op.replica() { counter - 1 } else { counter };
                for counter in self.known.get(replica) + 1..=upto {
                    self.fillers += 1;
                    if self.fillers > FILLERS_MAX {
                        let why = format!("more than {FILLERS_MAX} counters of its authors are missing");
                        return Err(Fault::new(format!("the log cannot be pushed again: {why}")));
                    }
                    fillers.push_back(self.filler(replica, counter, op)?);
                }
            }
        }
        self.known.join(op.clock()).map_err(|error| Fault::new(error.to_string()))?;
        Ok(fillers)
    }

    fn filler(&self, replica: ReplicaId, counter: u64, next: &Op) -> Result<Op, Fault> {
        let collection = match next.subject() {
            Subject::Entity { key, .. } => Ok(key.collection.clone()),
            Subject::Log => Collection::new("spent"),
        };
        let collection = collection.map_err(|error| Fault::new(error.to_string()))?;
        let count = counter.to_be_bytes();
        let id = ids::uuid8("spent", &[self.log.as_bytes(), replica.as_bytes(), &count, next.id().as_bytes()]);
        let mut clock = VectorClock::new();
        clock.set(replica, counter).map_err(|error| Fault::new(error.to_string()))?;
        let draft = Draft {
            id: OpId::from_bytes(id),
            replica,
            subject: Subject::Entity { key: EntityKey { collection, entity: EntityId::from_bytes(id) }, also: vec![] },
            kind: OpKind::Update,
            clock,
            hlc: next.hlc(),
            schema_version: 1,
            precondition: Precondition::Version(Seq::MAX),
            payload: like(next.payload()),
        };
        draft.seal().map_err(|error| Fault::new(error.to_string()))
    }
}

/// A payload that the log takes where it takes this one: sealed if it is, under the same key epoch. Nobody will open it.
fn like(payload: &Payload) -> Payload {
    match payload {
        Payload::Sealed(sealed) => {
            let head = EnvelopeHead::read(sealed).map(EnvelopeHead::to_bytes);
            Payload::Sealed(head.map_or_else(Bytes::new, |head| Bytes::copy_from_slice(&head)))
        }
        _ => Payload::Json(Bytes::from_static(b"null")),
    }
}
