//! A store's failure, as a client is told: one code per kind, and the backend's own words stay in the server.

use crate::*;
use async_trait::async_trait;
use syncline::call::Advice;
use syncline::decide::{Decision, Scope};
use syncline::oplog::{Collection, EntityKey, Sealing};
use syncline::store::{HeadPage, LogPage, LogSummary, NodePage, NodeQuery, StoreError, StoreErrorKind};
use syncline::tree::Revision;
use syncline::{BucketId, EntityId};

/// Fails at everything.
#[derive(Debug)]
struct Failing(StoreErrorKind);

impl Failing {
    fn error(&self) -> StoreError {
        StoreError::new(self.0, "failing", "anything").because("the disk at /var/lib/secret")
    }
}

#[async_trait]
impl Store for Failing {
    fn name(&self) -> &'static str {
        "failing"
    }

    async fn transact(&self, _: Scope, _: Decision) -> Result<bool, StoreError> {
        Err(self.error())
    }

    async fn ops_after(&self, _: LogKey, _: Seq, _: PageLimit) -> Result<LogPage, StoreError> {
        Err(self.error())
    }

    async fn heads(&self, _: LogKey, _: &Collection, _: Option<&EntityKey>, _: usize) -> Result<HeadPage, StoreError> {
        Err(self.error())
    }

    async fn snapshot(&self, _: LogKey, _: Seq) -> Result<Option<Snapshot>, StoreError> {
        Err(self.error())
    }

    async fn nodes(&self, _: LogKey, _: &NodeQuery, _: usize) -> Result<NodePage, StoreError> {
        Err(self.error())
    }

    async fn revisions(&self, _: LogKey, _: EntityId, _: Seq, _: usize) -> Result<Vec<Revision>, StoreError> {
        Err(self.error())
    }

    async fn logs(&self, _: BucketId, _: Option<LogId>, _: usize) -> Result<Vec<LogSummary>, StoreError> {
        Err(self.error())
    }
}

#[test]
fn every_failure_of_a_store_has_its_code_and_its_words_stay_here() {
    let rows = [
        (StoreErrorKind::Unavailable, ErrorCode::Unavailable, Advice::Retry),
        (StoreErrorKind::Locked, ErrorCode::Unavailable, Advice::Retry),
        (StoreErrorKind::Busy, ErrorCode::Busy, Advice::Retry),
        (StoreErrorKind::Timeout, ErrorCode::Timeout, Advice::Retry),
        (StoreErrorKind::OutcomeUnknown, ErrorCode::OutcomeUnknown, Advice::Retry),
        (StoreErrorKind::Full, ErrorCode::StorageFull, Advice::Operator),
        (StoreErrorKind::Corrupt, ErrorCode::LogDamaged, Advice::Operator),
        (StoreErrorKind::Unsupported, ErrorCode::Internal, Advice::Operator),
        (StoreErrorKind::Runaway, ErrorCode::Internal, Advice::Operator),
        (StoreErrorKind::Fault, ErrorCode::Internal, Advice::Operator),
    ];
    for (kind, code, advice) in rows {
        let world = World::over(Arc::new(Failing(kind)));
        let seen = Cursor::START;
        let calls = [
            Call::CreateLog { log: LOG.log, sealing: Sealing::Optional },
            Call::Status(LOG.log),
            Call::Logs { after: None, limit: 1 },
            Call::DeleteLog { log: LOG.log, seen },
            Call::Push(push(&edits(&mut Author::new(1), 1))),
            pull(LOG.log, Cursor::START),
            Call::GetSnapshot(LOG.log),
            Call::RestorePoints { log: LOG.log, limit: 1 },
            Call::Restore { log: LOG.log, to: Seq::FIRST, seen, request: request(1) },
            Call::UndoRestore { log: LOG.log, seen, request: request(1) },
            Call::RevokeToken(syncline::TokenId::from_bytes([1; 16])),
        ];
        for call in calls {
            let name = format!("{call:?}");
            let refusal = world.refused(call);
            assert_eq!((refusal.code, refusal.code.advice()), (code, advice), "{kind:?} {name}");
            assert!(!refusal.to_string().contains("secret"), "{refusal}");
            assert_eq!(refusal.source.as_ref().map(|source| source.kind()), Some(kind), "kept for the server's log");
        }
        assert_eq!(poll_to_end(world.server.ready()).map_err(|refusal| refusal.code), Err(code));
    }
    assert!(poll_to_end(World::new().server.ready()).is_ok());
}
