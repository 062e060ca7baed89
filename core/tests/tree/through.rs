//! The same commits through a real server over some store: it must answer and keep what the model does.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use crate::server::number_of;
use syncline::access::Caller;
use syncline::call::{Call, Commit, Committed as Answered, Reply};
use syncline::conformance::support::schema;
use syncline::decide::TREE_ROOT;
use syncline::oplog::Sealing;
use syncline::server::Server;
use syncline::store::{MemoryBlobs, MemoryFanout, NodeQuery, Store};
use syncline::tree::{self, Committed, Label, MemoryTree, TreeOp};
use syncline::{BucketId, Digest, EntityId, Env, LogId, OpId, ReplicaId, Seq, Timestamp};

/// Whose logs they are.
const BUCKET: BucketId = BucketId::from_bytes([5; 16]);

/// A log of a server.
pub(crate) struct Through {
    server: Server,
    log: LogId,
    asked: u64,
    sent: BTreeSet<Digest>,
}

/// Runs a future to its end on this thread; whatever it waits for wakes it from another one.
fn wait<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(done) => return done,
            Poll::Pending => thread::park(),
        }
    }
}

impl Through {
    /// A server over a store.
    pub(crate) fn server(store: Arc<dyn Store>) -> Server {
        Server::new(store, Arc::new(MemoryFanout::new()), schema()).with_blobs(Arc::new(MemoryBlobs::new()))
    }

    /// A fresh log of it.
    pub(crate) fn new(server: &Server, number: u64) -> Self {
        let mut log = [7; 16];
        log[8..].copy_from_slice(&number.to_be_bytes());
        let mut through = Self { server: server.clone(), log: LogId::from_bytes(log), asked: 0, sent: BTreeSet::new() };
        through.ask(Call::CreateLog { log: through.log, sealing: Sealing::default() });
        through
    }

    /// As a mirror of the model.
    pub(crate) fn mirror(mut self) -> crate::server::Mirror {
        Box::new(move |by, label, ops, expected, at, tree| self.commit(by, label, ops, expected, at, tree))
    }

    fn env(&mut self) -> Env {
        self.asked += 1;
        let mut entropy = [0; 32];
        entropy[..16].copy_from_slice(self.log.as_bytes());
        entropy[16..24].copy_from_slice(&self.asked.to_be_bytes());
        Env { now: Timestamp::from_ms(crate::server::NOW_MS).unwrap(), entropy }
    }

    fn ask(&mut self, call: Call) -> Reply {
        let env = self.env();
        wait(self.server.handle(&Caller::operator(BUCKET), call, env)).expect("an answer")
    }

    fn send(&mut self, ops: &[TreeOp]) {
        let contents = ops.iter().filter_map(TreeOp::content).filter(|content| !self.sent.contains(&content.blob));
        let blobs: std::collections::BTreeMap<_, _> =
            contents.map(|content| (content.blob, number_of(content).to_be_bytes().to_vec().into())).collect();
        if !blobs.is_empty() {
            self.sent.extend(blobs.keys().copied());
            let (env, blobs) = (self.env(), blobs.into_iter().collect());
            wait(self.server.put_blobs(&Caller::operator(BUCKET), self.log, blobs, env)).expect("stored");
        }
    }

    /// Commits what the model was asked, and holds against each other what came of it.
    fn commit(
        &mut self,
        by: ReplicaId,
        label: &str,
        ops: Vec<TreeOp>,
        expected: &Committed,
        at: Option<Seq>,
        tree: &MemoryTree,
    ) {
        self.send(&ops);
        let (label, ops) = (Label::new(label).unwrap(), Arc::new(tree::Commit::new(ops).unwrap()));
        let id = OpId::from_bytes(self.env().uuid7("commit"));
        let commit = Commit { log: self.log, id, replica: by, label, ops };
        let first = self.ask(Call::Commit(commit.clone()));
        let Reply::Committed(Answered::Done { seq, answers, .. }) = &first else { panic!("{first:?}") };
        assert_eq!(*seq, at, "another place in the log");
        let verdicts: Vec<_> = answers.iter().map(|answer| (&answer.verdict, answer.long_path)).collect();
        let expected: Vec<_> = expected.outcomes.iter().map(|outcome| (&outcome.verdict, outcome.long_path)).collect();
        assert_eq!(verdicts, expected, "the server answers something else");
        if at.is_some() {
            // An answer that was lost is given again, and nothing is done twice.
            let again = self.ask(Call::Commit(commit));
            assert!(matches!((&first, &again), (Reply::Committed(first), Reply::Committed(again)) if first == again));
        }
        let kept = self.nodes();
        let expected = tree.nodes().filter(|(id, _)| *id != TREE_ROOT).map(|(id, node)| (id, node.clone()));
        assert_eq!(kept, expected.collect::<Vec<_>>(), "the store keeps another tree");
    }

    fn nodes(&mut self) -> Vec<(EntityId, tree::Node)> {
        let asked = NodeQuery::All { after: None };
        match self.ask(Call::Nodes { log: self.log, asked, limit: syncline::limits::TREE_PAGE_NODES_MAX }) {
            Reply::Nodes(page) if !page.more => page.nodes.into_iter().filter(|(id, _)| *id != TREE_ROOT).collect(),
            other => panic!("{other:?}"),
        }
    }
}
