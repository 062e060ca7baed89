//! Spends the counters that a log's history spent on ops that lost: [`syncline::client::spend`] says how.

use std::collections::VecDeque;

use syncline::client::{spend, unspent};
use syncline::oplog::{FullStateKind, Op};
use syncline::{LogId, OpId, Seq, VectorClock};
use syncline_desk::Fault;

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
            for (replica, counter) in unspent(&self.known, op) {
                self.fillers += 1;
                if self.fillers > FILLERS_MAX {
                    let why = format!("more than {FILLERS_MAX} counters of its authors are missing");
                    return Err(Fault::new(format!("the log cannot be pushed again: {why}")));
                }
                let (count, next) = (counter.to_be_bytes(), op.id());
                let named = [self.log.as_bytes(), replica.as_bytes(), &count[..], next.as_bytes()];
                let id = OpId::from_bytes(ids::uuid8("spent", &named));
                let filler = spend(replica, counter, op, id);
                fillers.push_back(filler.ok_or_else(|| Fault::new(format!("counter {counter} cannot be spent")))?);
            }
        }
        self.known.join(op.clock()).map_err(|error| Fault::new(error.to_string()))?;
        Ok(fillers)
    }
}
