//! The server of a world.

use std::hash::{DefaultHasher, Hasher as _};
use std::sync::Arc;

use async_trait::async_trait;
use syncline::access::Caller;
use syncline::call::{Call, Refusal, Reply};
use syncline::decide::{Decision, Reads, Scope};
use syncline::oplog::{Collection, EntityKey, Snapshot};
use syncline::server::Server;
use syncline::store::{
    HeadPage, LogPage, LogSummary, MemoryFanout, MemoryStore, NodePage, NodeQuery, PageLimit, Store, StoreError,
    StoreExt as _,
};
use syncline::time::EnvSource as _;
use syncline::tree::Revision;
use syncline::{BucketId, EntityId, LogId, LogKey, RequestId, Seq};

use super::facts::{LogFacts, log_facts};
use super::fixed::{Draws, LOG, number, run, schema};
use super::plant::Plant;

/// The server's actor number; devices have others.
const SERVER: u64 = 1 << 32;

/// What a server keeps, and what is to be said of it.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) store: MemoryStore,
    pub(crate) number: u64,
    pub(crate) facts: Result<LogFacts, String>,
    /// How often it began with nothing: its randomness is another each time.
    life: u64,
}

/// What a call is answered.
pub(crate) type Answer = Result<Reply, Refusal>;

impl Kept {
    pub(crate) fn empty(life: u64) -> Arc<Self> {
        Self::of(MemoryStore::new(), life)
    }

    fn of(store: MemoryStore, life: u64) -> Arc<Self> {
        let facts = log_facts(&store);
        Arc::new(Self { number: number((store.fingerprint(), life)), store, facts, life })
    }

    /// The next life of it, with nothing.
    pub(crate) fn emptied(&self) -> Arc<Self> {
        Self::empty(self.life + 1)
    }

    /// Answers a call.
    pub(crate) fn handle(self: &Arc<Self>, call: Call, plant: Plant) -> (Arc<Self>, Answer) {
        self.ask(plant, |server, draws| run(server.handle(&Caller::operator(LOG.bucket), call, draws.env())))
    }

    /// Restores the log to its first op, or says `None` where that cannot be done.
    pub(crate) fn restore_log(self: &Arc<Self>) -> Option<Arc<Self>> {
        let bounds = run(self.store.bounds(LOG)).unwrap()?;
        let request = RequestId::from_bytes(u128::from(number(("restore", self.number))).to_be_bytes());
        let call = Call::Restore { log: LOG.log, to: bounds.first, seen: bounds.end(), request };
        let (after, answer) = self.handle(call, Plant::Nothing);
        answer.is_ok().then_some(after)
    }

    /// Drops what came before the newest full state.
    pub(crate) fn prune(self: &Arc<Self>) -> Option<Arc<Self>> {
        let bounds = run(self.store.bounds(LOG)).unwrap()?;
        let before = bounds.full_state.as_ref().map(|mark| mark.seq).filter(|seq| *seq > bounds.first)?;
        let (after, pruned) = self.ask(Plant::Nothing, |server, _| run(server.prune(LOG, before)));
        pruned.is_ok().then_some(after)
    }

    fn ask<T>(self: &Arc<Self>, plant: Plant, ask: impl FnOnce(&Server, &Draws) -> T) -> (Arc<Self>, T) {
        let store = Arc::new(self.store.fork());
        let served: Arc<dyn Store> =
            if plant == Plant::ServerForgets { Arc::new(Forgets(Arc::clone(&store))) } else { store.clone() };
        let mut rules = schema();
        if plant == Plant::ServerForgets {
            rules = rules.counters_held(syncline::oplog::Counters::Open);
        }
        let server = Server::new(served, Arc::new(MemoryFanout::new()), rules);
        // The first draw is for the name of a process, which a server has not.
        let draws = Draws::new(SERVER + self.life, self.number, 0);
        let _ = draws.env();
        let answer = ask(&server, &draws);
        if number((store.fingerprint(), self.life)) == self.number {
            return (Arc::clone(self), answer);
        }
        (Self::of(store.fork(), self.life), answer)
    }
}

/// A number for what prints the same.
pub(crate) fn debug_number(value: &impl std::fmt::Debug) -> u64 {
    struct Out(DefaultHasher);
    impl std::fmt::Write for Out {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            self.0.write(text.as_bytes());
            Ok(())
        }
    }
    let mut out = Out(DefaultHasher::new());
    std::fmt::Write::write_fmt(&mut out, format_args!("{value:?}")).unwrap();
    out.0.finish()
}

/// The planted mistake: nobody looks whether an op or a request was here before.
#[derive(Debug)]
struct Forgets(Arc<MemoryStore>);

#[async_trait]
impl Store for Forgets {
    fn name(&self) -> &'static str {
        "forgets"
    }

    async fn transact(&self, scope: Scope, decision: Decision) -> Result<bool, StoreError> {
        let parts = scope.parts().iter().map(|(log, reads)| {
            let reads = Reads { ops: Vec::new(), receipts: Vec::new(), ..reads.clone() };
            (*log, reads)
        });
        self.0.transact(Scope::logs(parts.collect()).unwrap(), decision).await
    }

    async fn ops_after(&self, log: LogKey, after: Seq, limit: PageLimit) -> Result<LogPage, StoreError> {
        self.0.ops_after(log, after, limit).await
    }

    async fn heads(
        &self,
        log: LogKey,
        collection: &Collection,
        after: Option<&EntityKey>,
        limit: usize,
    ) -> Result<HeadPage, StoreError> {
        self.0.heads(log, collection, after, limit).await
    }

    async fn snapshot(&self, log: LogKey, at: Seq) -> Result<Option<Snapshot>, StoreError> {
        self.0.snapshot(log, at).await
    }

    async fn nodes(&self, log: LogKey, asked: &NodeQuery, limit: usize) -> Result<NodePage, StoreError> {
        self.0.nodes(log, asked, limit).await
    }

    async fn revisions(
        &self,
        log: LogKey,
        node: EntityId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Revision>, StoreError> {
        self.0.revisions(log, node, after, limit).await
    }

    async fn logs(&self, bucket: BucketId, after: Option<LogId>, limit: usize) -> Result<Vec<LogSummary>, StoreError> {
        self.0.logs(bucket, after, limit).await
    }
}
