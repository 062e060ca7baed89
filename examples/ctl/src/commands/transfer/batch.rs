//! The batches in which a log is pushed again: atomic batches whole and alone, full states alone, the rest together.

use syncline::limits;
use syncline::oplog::{Op, Payload};
use syncline::seal::EnvelopeHead;
use syncline_desk::Fault;

use crate::archive::Entry;
use crate::commands::push::BATCH_BYTES;
use crate::counters::Counters;

/// One push. `spends[i]` says that op `i` is not of the log and only spends a counter.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) atomic: bool,
    pub(super) ops: Vec<Op>,
    pub(super) spends: Vec<bool>,
    /// The key epoch its ops are sealed under; `None` while none is.
    pub(super) epoch: Option<u32>,
}

impl Batch {
    /// Ops of the log in it.
    pub(super) fn of_log(&self) -> impl Iterator<Item = &Op> {
        self.ops.iter().zip(&self.spends).filter(|(_, spends)| !**spends).map(|(op, _)| op)
    }

    fn add(&mut self, op: Op, spends: bool) {
        self.epoch = self.epoch.max(epoch_of(&op));
        self.ops.push(op);
        self.spends.push(spends);
    }
}

/// The key epoch an op is sealed under.
fn epoch_of(op: &Op) -> Option<u32> {
    match op.payload() {
        Payload::Sealed(sealed) => EnvelopeHead::read(sealed).map(|head| head.epoch),
        _ => None,
    }
}

/// Puts entries together.
#[derive(Debug)]
pub(super) struct Batcher {
    counters: Counters,
    open: Batch,
    bytes: usize,
    ready: Vec<Batch>,
}

impl Batcher {
    pub(super) const fn new(counters: Counters) -> Self {
        let open = Batch { atomic: false, ops: Vec::new(), spends: Vec::new(), epoch: None };
        Self { counters, open, bytes: 0, ready: Vec::new() }
    }

    /// How many ops that only spend a counter were added.
    pub(super) const fn fillers(&self) -> usize {
        self.counters.fillers()
    }

    /// Takes the next entry; gives the batches that are whole.
    ///
    /// # Errors
    /// When counters cannot be filled, or an atomic batch is too large.
    pub(super) fn add(&mut self, entry: Entry) -> Result<Vec<Batch>, Fault> {
        let Entry { op, batch_rest } = entry;
        let alone = op.full_state().is_some();
        if !self.open.atomic {
            // Fillers never go into an atomic batch: they lose, and would take it down.
            for filler in self.counters.before(&op)? {
                self.make_room(&filler);
                self.put(filler, true);
            }
            if batch_rest > 0 || alone {
                self.close();
            } else {
                self.make_room(&op);
            }
            self.open.atomic = batch_rest > 0;
        } else if !self.counters.before(&op)?.is_empty() || self.open.ops.len() >= limits::BATCH_OPS_MAX {
            return Err(Fault::new("an atomic batch of the log cannot be pushed again as one"));
        }
        let last_of_batch = batch_rest == 0 && (self.open.atomic || alone);
        self.put(op, false);
        if last_of_batch {
            self.close();
        }
        Ok(std::mem::take(&mut self.ready))
    }

    /// What is left when there are no more entries.
    pub(super) fn finish(&mut self) -> Vec<Batch> {
        self.close();
        std::mem::take(&mut self.ready)
    }

    fn put(&mut self, op: Op, spends: bool) {
        self.bytes += op.bytes().len();
        self.open.add(op, spends);
    }

    fn make_room(&mut self, op: &Op) {
        // The log is brought to an op's epoch before its batch, so a batch has one.
        let rotated = epoch_of(op).is_some_and(|epoch| self.open.epoch.is_some_and(|open| open != epoch));
        if rotated || self.open.ops.len() >= limits::BATCH_OPS_MAX || self.bytes + op.bytes().len() > BATCH_BYTES {
            self.close();
        }
    }

    fn close(&mut self) {
        self.bytes = 0;
        let batch = std::mem::take(&mut self.open);
        if !batch.ops.is_empty() {
            self.ready.push(batch);
        }
    }
}
