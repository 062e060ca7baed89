//! Write sets for random runs that no push makes: heads forgotten, logs begun anew. Good ones and faulty ones.

use proptest::collection::vec;
use proptest::prelude::*;

use super::author::entity_key;
use super::model::COLLECTIONS;
use crate::clock::VectorClock;
use crate::decide::{Forget, LogWrites};
use crate::id::{LogKey, OpId, ReplicaId};
use crate::oplog::{EntityKey, Head, HeadState, LogBounds, LoggedOp, Payload, Snapshot};
use crate::seq::Seq;
use crate::store::{MemoryStore, PageLimit, Store};

/// What is written beside the ops.
#[derive(Debug, Clone)]
pub(super) struct Rewrite {
    gone: Gone,
    written: Vec<(usize, u8)>,
    base: Base,
}

/// Which log the writes leave.
#[derive(Debug, Clone)]
enum Base {
    /// The one there is.
    Same,
    /// It, without the ops after this seq; one behind its end is a fault.
    Cut(u64),
    Anew(Anew),
}

#[derive(Debug, Clone)]
enum Gone {
    Nothing,
    Heads(Vec<(usize, u8)>),
    All,
}

#[derive(Debug, Clone)]
struct Anew {
    horizon: u64,
    snapshot: Option<u64>,
}

pub(super) fn rewrite() -> impl Strategy<Value = Rewrite> {
    let key = || (0..COLLECTIONS.len(), 0..4_u8);
    let gone = prop_oneof![
        1 => Just(Gone::Nothing),
        3 => vec(key(), 0..5).prop_map(Gone::Heads),
        1 => Just(Gone::All),
    ];
    let anew = (0..12_u64, prop::option::of(0..12_u64)).prop_map(|(horizon, snapshot)| Anew { horizon, snapshot });
    let base = prop_oneof![2 => Just(Base::Same), 2 => (0..12_u64).prop_map(Base::Cut), 2 => anew.prop_map(Base::Anew)];
    let parts = (gone, vec(key(), 0..3), base);
    parts.prop_map(|(gone, written, base)| Rewrite { gone, written, base })
}

impl Rewrite {
    /// The write set in a log as the model has it; `None` when there is no such log.
    pub(super) async fn writes(&self, model: &MemoryStore, log: LogKey) -> Option<LogWrites> {
        let start = model.ops_after(log, Seq::ZERO, PageLimit::default()).await.expect("a page");
        let bounds = start.bounds?;
        let mut heads: Vec<(EntityKey, Head)> = Vec::new();
        for key in self.written.iter().map(key) {
            if heads.iter().all(|(other, _)| *other != key) {
                heads.push((key, head(bounds.last)));
            }
        }
        let forget = match &self.gone {
            Gone::Nothing => Forget::Nothing,
            Gone::Heads(gone) => Forget::Heads(gone.iter().map(key).collect()),
            Gone::All => Forget::AllHeads,
        };
        let writes = match &self.base {
            Base::Same => LogWrites::new(log, bounds),
            Base::Cut(to) => cut(log, bounds, &start.ops, Seq::new(*to).unwrap_or_default()),
            Base::Anew(anew) => anew.writes(log, &bounds, &start.ops),
        };
        Some(LogWrites { forget, heads, ..writes })
    }
}

/// The same log without the ops after `to`; before the first op that is kept it is a fault.
fn cut(log: LogKey, bounds: LogBounds, kept: &[LoggedOp], to: Seq) -> LogWrites {
    let tip = kept.iter().find(|logged| logged.seq == to).map_or(bounds.base, |logged| logged.anchor);
    let snapshot = if bounds.snapshot <= to { bounds.snapshot } else { Seq::ZERO };
    let bounds = LogBounds { last: to, tip, snapshot, ..bounds };
    LogWrites { rewind: Some(to), ..LogWrites::new(log, bounds) }
}

impl Anew {
    /// The same history from a later horizon on; behind the end it is the end.
    fn writes(&self, log: LogKey, bounds: &LogBounds, kept: &[LoggedOp]) -> LogWrites {
        let horizon = Seq::new(self.horizon).unwrap_or_default().clamp(bounds.first.before(), bounds.last);
        let anchor =
            |seq: Seq| kept.iter().find(|logged| logged.seq == seq).map_or(bounds.base, |logged| logged.anchor);
        let ops: Vec<LoggedOp> = kept.iter().filter(|logged| logged.seq > horizon).cloned().collect();
        // One that lies before the horizon is a fault.
        let snapshot = self.snapshot.and_then(Seq::new).map(|seq| seq.min(bounds.last)).map(|seq| Snapshot {
            seq,
            anchor: anchor(seq),
            clock: VectorClock::new(),
            schema_version: 1,
            payload: Payload::Plain("state".into()),
        });
        let bounds = LogBounds {
            first: horizon.next().expect("a short log"),
            base: anchor(horizon),
            snapshot: snapshot.as_ref().map_or(Seq::ZERO, |snapshot| snapshot.seq),
            bytes: ops.iter().map(|logged| logged.op.bytes().len() as u64).sum(),
            ..bounds.clone()
        };
        LogWrites { ops, snapshot, ..LogWrites::anew(log, bounds) }
    }
}

fn key(&(collection, entity): &(usize, u8)) -> EntityKey {
    entity_key(COLLECTIONS[collection], entity)
}

fn head(version: Seq) -> Head {
    let state = HeadState::Live(None);
    Head { version, op: OpId::from_bytes([0; 16]), replica: ReplicaId::SERVER, clock: VectorClock::new(), state }
}
