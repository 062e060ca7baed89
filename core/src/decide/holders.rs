//! Acknowledgements: a replica says up to where it holds a log, and hears what all of them hold.
//!
//! What must hold: only a place in this very history counts, checked by its anchor; the cost is one note of bounded size
//! beside the log, whatever its history, and nothing is written while nothing is new.

use super::{Choice, Reads, View, set_note};
use crate::id::{EntityId, LogKey, ReplicaId};
use crate::oplog::{Collection, EntityKey, Gap, Head, Holders, LogBounds};
use crate::seq::{Cursor, Seq};
use crate::time::Timestamp;

/// What a replica says it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "arguments of one rule")]
pub struct Acknowledge {
    /// Of which log.
    pub log: LogKey,
    /// Who.
    pub replica: ReplicaId,
    /// Everything up to here, durably.
    pub cursor: Cursor,
}

/// The outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "every outcome needs its own answer")]
pub enum Acknowledged {
    /// Heard; who holds what, as far as it is kept.
    Done(Box<Holders>),
    /// The place is not one of this log's history.
    Gap(Gap, Option<Box<LogBounds>>),
    /// What is kept of the holders does not read.
    Unreadable,
}

impl Acknowledge {
    /// What the rule reads.
    #[must_use]
    pub fn reads(&self) -> Reads {
        Reads { heads: vec![holders_key()], anchors: vec![self.cursor.seq], ..Reads::default() }
    }
}

/// The note beside a log that says who holds it.
#[must_use]
pub fn holders_key() -> EntityKey {
    EntityKey { collection: Collection::system("sys.holders"), entity: EntityId::from_bytes([0; 16]) }
}

/// The holders of a log by its note; none without one. `None` when it does not read.
#[must_use]
pub fn holders_of(note: Option<&Head>) -> Option<Holders> {
    match note.and_then(Head::live_state) {
        None => Some(Holders::default()),
        Some(bytes) => Holders::from_bytes(bytes.clone()).ok(),
    }
}

/// Keeps what a replica says. Needs [`Acknowledge::reads`]. Who holds nothing is not waited for.
#[must_use]
pub fn acknowledge(said: &Acknowledge, now: Timestamp, view: &View) -> Choice<Acknowledged> {
    let log = view.log(said.log);
    let known = log.anchors.get(&said.cursor.seq).copied();
    // Without its anchor a place proves nothing.
    let bare = said.cursor.anchor.is_none() && said.cursor.seq > Seq::ZERO;
    let gap = Gap::check(said.cursor, log.bounds.as_ref(), known).or(bare.then_some(Gap::Diverged));
    if let Some(gap) = gap {
        return Choice::Done(Acknowledged::Gap(gap, log.bounds.clone().map(Box::new)), None);
    }
    let Some(mut holders) = holders_of(log.heads.get(&holders_key())) else {
        return Choice::Done(Acknowledged::Unreadable, None);
    };
    let writable = log.bounds.as_ref().is_some_and(|bounds| !bounds.damaged);
    let heard = writable && said.cursor.seq > Seq::ZERO && holders.hear(said.replica, said.cursor.seq, now);
    let bytes = holders.to_bytes();
    let answer = Acknowledged::Done(Box::new(holders));
    if !heard {
        return Choice::Done(answer, None);
    }
    match set_note(said.log, &holders_key(), &bytes, view) {
        Choice::Read(more) => Choice::Read(more),
        Choice::Done(_, writes) => Choice::Done(answer, writes),
    }
}
