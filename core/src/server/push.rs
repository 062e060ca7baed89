//! Push: judge a batch, make it durable, wake the readers, hand back what is new.

use std::sync::Arc;

use super::{Server, refuse_store};
use crate::access::Caller;
use crate::call::{ErrorCode, Page, Push, Pushed, Refusal, Reply};
use crate::decide::{Scope, Upload, Uploaded, upload};
use crate::id::LogKey;
use crate::limits;
use crate::seq::Cursor;
use crate::store::{PageLimit, Signal, StoreExt};
use crate::time::Env;

impl Server {
    pub(super) async fn push(&self, caller: &Caller, log: LogKey, push: Push, env: Env) -> Result<Reply, Refusal> {
        check_batch(caller, &push)?;
        let cursor = push.cursor;
        let rule_input = Upload {
            log,
            request: push.request.map(|request| (request, Upload::fingerprint(push.atomic, &push.ops))),
            cursor,
            atomic: push.atomic,
            ops: Arc::from(push.ops),
        };
        let (verdicts, before, after, replayed) = match self.upload(rule_input, env).await? {
            Uploaded::Done { verdicts, before, after, replayed } => (verdicts, before, after, replayed),
            Uploaded::Gap(gap, bounds) => return Err(self.refuse_gap(log, gap, bounds.as_deref()).await),
            Uploaded::RequestReused => {
                return Err(Refusal::new(ErrorCode::RequestIdReused, "the request id was used for another request"));
            }
            Uploaded::Damaged => {
                return Err(Refusal::new(ErrorCode::LogDamaged, "the log is damaged and takes no writes"));
            }
        };
        if !replayed && before != after {
            self.wake(log, after).await;
        }
        let newer = match cursor {
            // The author had everything before its own ops: there is nothing to read back.
            Some(cursor) if cursor == before && !replayed => Some(only_own(after)),
            Some(cursor) => self.pull(log, cursor, PageLimit::default()).await.ok(),
            None => None,
        };
        Ok(Reply::Pushed(Pushed { verdicts, replayed, accepted_at: env.now, newer }))
    }

    pub(super) async fn upload(&self, input: Upload, env: Env) -> Result<Uploaded, Refusal> {
        let scope = Scope::log(input.log, input.reads());
        let schema = Arc::clone(&self.schema);
        self.store.decide(scope, move |view| upload(&input, &schema, &env, view)).await.map_err(refuse_store)
    }

    /// A wake that cannot be sent only delays: readers ask from time to time. So its failure is not the author's.
    pub(super) async fn wake(&self, log: LogKey, end: Cursor) {
        let _ = self.fanout.publish(Signal::Wake { log, seq: end.seq }).await;
    }
}

/// An empty page that moves the author's cursor past its own ops.
fn only_own(after: Cursor) -> Page {
    Page { ops: Vec::new(), left_out: Vec::new(), next: after, end: after.seq, more: false }
}

fn check_batch(caller: &Caller, push: &Push) -> Result<(), Refusal> {
    let count = push.ops.len();
    if count == 0 || count > limits::BATCH_OPS_MAX {
        let detail = format!("a batch has 1 to {} ops, this one has {count}", limits::BATCH_OPS_MAX);
        return Err(Refusal::new(ErrorCode::BatchSize, detail));
    }
    let bytes: usize = push.ops.iter().map(|op| op.bytes().len()).sum();
    if bytes > limits::BATCH_BYTES_MAX {
        let detail = format!("a batch has at most {} bytes of ops, this one has {bytes}", limits::BATCH_BYTES_MAX);
        return Err(Refusal::new(ErrorCode::BatchSize, detail));
    }
    let entities: usize = push.ops.iter().map(|op| op.subject().keys().count()).sum();
    if entities > limits::BATCH_ENTITIES_MAX {
        let detail = format!("a batch touches at most {} entities, this one {entities}", limits::BATCH_ENTITIES_MAX);
        return Err(Refusal::new(ErrorCode::BatchSize, detail));
    }
    let forged = |replica| replica == crate::id::ReplicaId::SERVER || caller.replica.is_some_and(|own| own != replica);
    match push.ops.iter().position(|op| forged(op.replica())) {
        None => Ok(()),
        Some(index) => {
            let detail = "the op is written as a replica that is not the caller's";
            Err(Refusal::new(ErrorCode::ForbiddenReplica, detail).at_op(index))
        }
    }
}
