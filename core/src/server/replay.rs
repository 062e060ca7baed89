//! The state of a log at a seq, from the nearest full state before it.

use std::future::poll_fn;
use std::task::Poll;

use super::restore::newest_full_state;
use super::{Server, refuse_store};
use crate::call::{ErrorCode, Refusal};
use crate::clock::VectorClock;
use crate::id::LogKey;
use crate::limits;
use crate::oplog::{Gap, LogBounds, LogState, Payload, ReplayStop, Snapshot};
use crate::seq::{Cursor, Seq};
use crate::store::PageLimit;

/// A replayed state and what its snapshot would say.
pub(super) struct Replayed {
    pub(super) state: LogState,
    pub(super) cursor: Cursor,
    pub(super) clock: VectorClock,
    pub(super) schema_version: u32,
}

impl Replayed {
    /// The state as a snapshot.
    pub(super) fn snapshot(&self) -> Option<Snapshot> {
        Some(Snapshot {
            seq: self.cursor.seq,
            anchor: self.cursor.anchor?,
            clock: self.clock.clone(),
            schema_version: self.schema_version,
            payload: Payload::Plain(self.state.to_bytes()),
        })
    }
}

impl Server {
    /// Replays to `to`, which must not be past the end. Reads pages, so memory is that of the state.
    pub(super) async fn replay(&self, log: LogKey, bounds: &LogBounds, to: Seq) -> Result<Replayed, Refusal> {
        let mut replayed = self.base(log, bounds, to).await?;
        let given = to.get() - replayed.cursor.seq.get();
        if given > limits::REPLAY_OPS_MAX {
            return Err(refuse_replay(&ReplayStop::TooManyOps { given }));
        }
        match self.advance(log, &mut replayed, to).await? {
            None => Ok(replayed),
            Some(stop) => Err(refuse_replay(&stop)),
        }
    }

    /// Replays as far towards `to` as one call may. What stopped it, if anything did; `replayed` stands before that
    /// and is good, but for [`ReplayStop::TooLarge`].
    pub(super) async fn advance(
        &self,
        log: LogKey,
        replayed: &mut Replayed,
        to: Seq,
    ) -> Result<Option<ReplayStop>, Refusal> {
        let given = to.get() - replayed.cursor.seq.get();
        let (mut ops, mut work) = (0, 0);
        while replayed.cursor.seq < to {
            let cursor = replayed.cursor;
            let page = self.store.ops_after(log, cursor.seq, PageLimit::default()).await.map_err(refuse_store)?;
            if let Some(gap) = page.gap(cursor) {
                return Err(self.refuse_gap(log, gap, page.bounds.as_ref()).await);
            }
            for logged in page.ops.iter().take_while(|logged| logged.seq <= to) {
                if ops >= limits::REPLAY_OPS_MAX || work >= limits::REPLAY_WORK_BYTES_MAX {
                    return Ok(Some(ReplayStop::TooManyOps { given }));
                }
                match replayed.state.apply_counted(logged, &self.schema) {
                    Ok(moved) => work += moved,
                    Err(stop) => return Ok(Some(stop)),
                }
                let Ok(op) = logged.op.read() else {
                    return Ok(Some(ReplayStop::Unknown(logged.seq)));
                };
                let _ = replayed.clock.join(op.clock());
                replayed.schema_version = replayed.schema_version.max(op.schema_version());
                replayed.cursor = logged.cursor();
                ops += 1;
            }
            let_others_run().await;
        }
        Ok(None)
    }

    /// The newest known state at or before `to`: a kept snapshot, a full-state op, or nothing at the log's start.
    pub(super) async fn base(&self, log: LogKey, bounds: &LogBounds, to: Seq) -> Result<Replayed, Refusal> {
        let kept = self.store.snapshot(log, to).await.map_err(refuse_store)?;
        let full = newest_full_state(self, log, bounds, to).await?;
        // A sealed snapshot is no base to replay from. It does not make the history sealed: ops that can be read still are.
        let sealed = kept.as_ref().filter(|kept| kept.payload.is_sealed()).map(|kept| kept.seq);
        if let Some(snapshot) = kept.filter(|kept| sealed.is_none() && full.is_none_or(|seq| kept.seq >= seq)) {
            let state = LogState::from_bytes(snapshot.payload.bytes().clone())
                .map_err(|_| Refusal::new(ErrorCode::LogDamaged, "a stored snapshot does not read"))?;
            let cursor = snapshot.cursor();
            return Ok(Replayed { state, cursor, clock: snapshot.clock, schema_version: snapshot.schema_version });
        }
        // A full-state op replaces whatever was before it, so replay may begin with it.
        let start = full.map_or(Seq::ZERO, Seq::before);
        if start < bounds.first.before() {
            let pruned = || Refusal::gap(Gap::Pruned, Some(bounds));
            return Err(sealed.map_or_else(pruned, |seq| refuse_replay(&ReplayStop::Sealed(seq))));
        }
        let cursor = Cursor { seq: start, anchor: None };
        // What came before the full state was seen too, though none of it is replayed.
        let mark = bounds.full_state.as_ref().filter(|mark| Some(mark.seq) == full);
        let clock = mark.map_or_else(VectorClock::new, |mark| mark.seen.clone());
        Ok(Replayed { state: LogState::default(), cursor, clock, schema_version: 1 })
    }
}

/// A long replay gives way between pages, whatever the runtime.
async fn let_others_run() {
    let mut gave_way = false;
    poll_fn(|context| {
        if gave_way {
            return Poll::Ready(());
        }
        gave_way = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

pub(super) fn refuse_replay(stop: &ReplayStop) -> Refusal {
    let code = match stop {
        ReplayStop::Sealed(_) => ErrorCode::SealedHistory,
        ReplayStop::Unknown(_) | ReplayStop::Unfit { .. } => ErrorCode::UnknownHistory,
        ReplayStop::TooLarge { .. } | ReplayStop::TooManyOps { .. } => ErrorCode::ReplayTooLarge,
    };
    Refusal::new(code, stop.to_string())
}
