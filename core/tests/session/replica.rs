//! The conversation with the real server over the memory store: whatever happens on the way, it comes to rest in step,
//! and no op that was written here is lost or doubled.
//!
//! How: a device of the simplest kind drives the session. What happens is drawn: edits, others' writes, wakes, lost calls
//! and lost answers, the network going and coming, and servers put back to an earlier state, which others then write on.
//! In the end everything works: within a bounded number of steps the device is live with an empty queue, its history is
//! the server's, and every op it ever wrote is in the log once.

use std::io::Error;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use syncline::access::Caller;
use syncline::call::{ErrorCode, Page, Push, Pushed, Refusal};
use syncline::client::{CallError, Came, Input, Kept, Output, Phase, Session, SessionOptions};
use syncline::conformance::author::Author;
use syncline::conformance::support::{all_ops, env, log, schema};
use syncline::oplog::{Collection, EntityKey, Op, OpKind, Payload, Subject};
use syncline::server::Server;
use syncline::store::{MemoryFanout, MemoryStore, Store, StoreExt};
use syncline::{Cursor, EntityId, Env, LogKey, OpId, ReplicaId, RequestId, Seq, Timestamp, limits};

use crate::common::poll_to_end;

const LOG: LogKey = log(1);

/// What happens to a call.
#[derive(Debug, Clone, Copy)]
enum Way {
    Good,
    Unreachable,
    /// Done, and the answer lost.
    Interrupted,
    Busy,
}

#[derive(Debug, Clone)]
enum Event {
    Edit(usize),
    Remote(usize),
    Wake,
    Online,
    Offline,
    Tick,
    /// The server is put back to its first ops, this many of 8 parts.
    Rollback(usize),
    /// The conversation goes on, each call on its way.
    Steps(Vec<Way>),
}

fn events() -> impl Strategy<Value = Event> {
    use Way::{Busy, Good, Interrupted, Unreachable};
    let way = prop::sample::select(vec![Good, Good, Good, Good, Unreachable, Interrupted, Busy]);
    prop_oneof![
        4 => (1..5_usize).prop_map(Event::Edit),
        3 => (1..5_usize).prop_map(Event::Remote),
        2 => Just(Event::Wake),
        2 => Just(Event::Online),
        1 => Just(Event::Offline),
        3 => Just(Event::Tick),
        1 => (0..8_usize).prop_map(Event::Rollback),
        8 => vec(way, 1..8).prop_map(Event::Steps),
    ]
}

/// An op on an entity of its own: it meets no conflict, so that only the conversation decides what becomes of it.
fn write(author: &mut Author) -> Op {
    let collection = Collection::new("causal").expect("a good name");
    let mut draft = author.draft(OpKind::Create, Subject::Log, Payload::Json("{}".into()));
    let key = EntityKey { collection, entity: EntityId::from_bytes(*draft.id.as_bytes()) };
    draft.subject = Subject::Entity { key, also: Vec::new() };
    draft.seal().expect("a good draft")
}

/// The server, and those who write to it from elsewhere.
struct World {
    store: Arc<MemoryStore>,
    server: Server,
    others: u8,
}

impl World {
    fn new() -> Self {
        let store = Arc::new(MemoryStore::new());
        let server = Server::new(store.clone(), Arc::new(MemoryFanout::new()), schema());
        Self { store, server, others: 1 }
    }

    fn ask(&self, call: syncline::call::Call) -> Result<syncline::call::Reply, Refusal> {
        // Always the same world: a log that is made again by a put-back server has the origin it had.
        poll_to_end(self.server.handle(&Caller::operator(LOG.bucket), call, env(0)))
    }

    fn push(&self, ops: Vec<Op>) {
        let push = Push { log: LOG.log, request: None, cursor: None, atomic: false, ops };
        self.ask(syncline::call::Call::Push(push)).expect("accepted");
    }

    /// Somebody else writes, each time another: their counters do not survive a server that was put back.
    fn remote(&mut self, ops: usize) {
        self.others += 1;
        let mut author = Author::new(self.others);
        self.push((0..ops).map(|_| write(&mut author)).collect());
    }

    fn ops(&self) -> Vec<Op> {
        let store: &dyn Store = self.store.as_ref();
        poll_to_end(all_ops(store, LOG)).iter().map(|logged| logged.op.read().expect("an op")).collect()
    }

    fn end(&self) -> Option<Cursor> {
        poll_to_end(self.store.bounds(LOG)).expect("bounds").map(|bounds| bounds.end())
    }

    fn put_back(&mut self, parts: usize) {
        let ops = self.ops();
        let kept = ops.len() * parts / 8;
        let others = self.others;
        *self = Self { others, ..Self::new() };
        if kept > 0 {
            self.push(ops[..kept].to_vec());
        }
    }
}

/// A device: a history, a queue, and a batch that keeps its id until it is answered.
struct Device {
    author: Author,
    cursor: Cursor,
    history: Vec<(Op, Cursor)>,
    queue: Vec<Op>,
    batch: Option<(RequestId, usize)>,
    requests: u128,
    written: Vec<OpId>,
}

impl Device {
    fn edit(&mut self, ops: usize) {
        for _ in 0..ops {
            let op = write(&mut self.author);
            self.written.push(op.id());
            self.queue.push(op);
        }
    }

    fn prepare(&mut self) -> Option<Box<Push>> {
        if self.batch.is_none() && !self.queue.is_empty() {
            self.requests += 1;
            self.batch = Some((RequestId::from_bytes(self.requests.to_be_bytes()), self.queue.len().min(3)));
        }
        let (request, count) = self.batch?;
        let ops = self.queue[..count].to_vec();
        let cursor = Some(self.cursor);
        Some(Box::new(Push { log: LOG.log, request: Some(request), cursor, atomic: false, ops }))
    }

    fn keep(&mut self, came: Came) -> Kept {
        match came {
            Came::Verdicts(pushed) => self.verdicts(&pushed),
            Came::Page(page) => self.page(&page),
            Came::Rewind(common) => {
                let own = self.author.replica();
                let cut = self.history.iter().position(|(_, at)| at.seq > common).unwrap_or(self.history.len());
                self.queue.extend(self.history.drain(cut..).map(|(op, _)| op).filter(|op| op.replica() == own));
                self.queue.sort_by_key(Op::id);
                self.queue.dedup();
                self.batch = None;
                self.cursor = self.history.last().map_or(Cursor::START, |(_, at)| *at);
                Kept { cursor: self.cursor, more: true, gap: None }
            }
            other => panic!("not from this server: {other:?}"),
        }
    }

    fn verdicts(&mut self, pushed: &Pushed) -> Kept {
        let (_, count) = self.batch.take().expect("a batch was sent");
        let sent: Vec<Op> = self.queue.drain(..count).collect();
        for (op, verdict) in sent.iter().zip(&pushed.verdicts) {
            assert!(verdict.seq().is_some(), "{verdict:?} for {op:?}");
        }
        match &pushed.newer {
            None => Kept { cursor: self.cursor, more: true, gap: None },
            // Nobody else wrote: the author extends its own history.
            Some(page) if page.ops.is_empty() => {
                for op in sent {
                    if self.history.iter().all(|(known, _)| known.id() != op.id()) && self.cursor != page.next {
                        self.extend(op, page, pushed.accepted_at);
                    }
                }
                assert_eq!(self.cursor, page.next);
                Kept { cursor: self.cursor, more: page.more, gap: None }
            }
            Some(page) => self.page(page),
        }
    }

    fn extend(&mut self, op: Op, page: &Page, accepted_at: Timestamp) {
        let origin = page.next.anchor.expect("an anchor").origin;
        let anchor = self.cursor.anchor.unwrap_or_else(|| syncline::Anchor::genesis(LOG, origin));
        let seq = self.cursor.seq.next().expect("small");
        self.cursor = Cursor { seq, anchor: Some(anchor.extend(op.digest(), accepted_at)) };
        self.history.push((op, self.cursor));
    }

    fn page(&mut self, page: &Page) -> Kept {
        if let Err(gap) = page.follows(LOG, self.cursor) {
            return Kept { cursor: self.cursor, more: true, gap: Some(gap) };
        }
        for op in &page.ops {
            self.extend(op.op.read().expect("an op"), page, op.accepted_at);
        }
        self.cursor = page.next;
        Kept { cursor: self.cursor, more: page.more, gap: None }
    }

    fn probe(&self, place: Seq) -> Option<Cursor> {
        self.history.iter().map(|(_, at)| *at).find(|at| at.seq == place)
    }
}

struct Run {
    world: World,
    device: Device,
    session: Session,
    now: Timestamp,
    turns: u64,
}

impl Run {
    fn new(fresh: bool) -> Self {
        let device = Device {
            author: Author::new(1),
            cursor: Cursor::START,
            history: Vec::new(),
            queue: Vec::new(),
            batch: None,
            requests: 0,
            written: Vec::new(),
        };
        let poll_ms = limits::CLIENT_POLL_MS;
        let options = SessionOptions { log: LOG.log, fresh, confirm_first: true, poll_ms };
        let session = Session::new(options, Cursor::START);
        Self { world: World::new(), device, session, now: env(0).now, turns: 0 }
    }

    fn hand_in(&mut self, input: Input) {
        self.turns += 1;
        self.session.handle(input, Env { now: self.now, ..env(self.turns) });
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Edit(ops) => {
                self.device.edit(ops);
                self.hand_in(Input::Edited);
            }
            Event::Remote(ops) => self.world.remote(ops),
            Event::Wake => {
                let seq = self.world.end().map_or(Seq::ZERO, |end| end.seq);
                self.hand_in(Input::Wake(seq));
            }
            Event::Online => self.hand_in(Input::Online),
            Event::Offline => self.hand_in(Input::Offline),
            Event::Tick => self.tick(),
            Event::Rollback(parts) => self.world.put_back(parts),
            Event::Steps(ways) => ways.into_iter().for_each(|way| self.step(way)),
        }
    }

    fn tick(&mut self) {
        if let Output::Wait(Some(until)) = self.session.poll() {
            self.now = self.now.max(until);
            self.hand_in(Input::Tick);
        }
    }

    /// One output and its outcome.
    fn step(&mut self, way: Way) {
        let input = match self.session.poll() {
            Output::Wait(_) => return,
            Output::Prepare => Input::Prepared(self.device.prepare()),
            Output::Keep(came) => Input::Kept(self.device.keep(came)),
            Output::Probe(place) => Input::Probed(self.device.probe(place)),
            Output::Confirm { .. } => Input::Confirmed(true),
            Output::Call(call) => match way {
                Way::Unreachable => Input::Failed(CallError::Unreachable(Box::new(Error::other("no route")))),
                Way::Busy => Input::Failed(Refusal::new(ErrorCode::Busy, "later").into()),
                Way::Good => match self.world.ask(call) {
                    Ok(reply) => Input::Replied(reply),
                    Err(refusal) => Input::Failed(refusal.into()),
                },
                Way::Interrupted => {
                    let _lost = self.world.ask(call);
                    Input::Failed(CallError::Interrupted(Box::new(Error::other("reset"))))
                }
            },
            other => panic!("not an output: {other:?}"),
        };
        self.hand_in(input);
    }

    /// From here on everything works. Returns the steps it took to be live.
    fn settle(&mut self) -> usize {
        for steps in 0..3_000 {
            match (self.session.poll(), self.session.phase()) {
                (Output::Wait(_), Phase::Live) => return steps,
                (Output::Wait(_), Phase::Offline) => self.hand_in(Input::Online),
                (Output::Wait(Some(_)), _) => self.tick(),
                (Output::Wait(None), phase) => panic!("stopped: {phase:?}"),
                _ => self.step(Way::Good),
            }
        }
        panic!("not live after 3000 steps: {:?}", self.session.poll());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Wakes may all have been lost: one poll later everything is in step.
    #[test]
    fn whatever_happened_it_comes_to_rest_in_step_with_the_server(
        fresh: bool,
        history in 0..12_usize,
        script in vec(events(), 0..60),
    ) {
        let mut run = Run::new(fresh);
        if history > 0 {
            run.world.remote(history);
        }
        for event in script {
            run.happen(event);
        }
        run.settle();
        run.tick();
        run.settle();
        prop_assert!(run.device.queue.is_empty());
        let ours: Vec<OpId> = run.device.history.iter().map(|(op, _)| op.id()).collect();
        let theirs: Vec<OpId> = run.world.ops().iter().map(Op::id).collect();
        prop_assert_eq!(&ours, &theirs);
        if let Some(end) = run.world.end().filter(|end| end.seq > Seq::ZERO) {
            prop_assert_eq!(run.device.cursor, end);
        }
        let own: ReplicaId = run.device.author.replica();
        let mut kept: Vec<OpId> =
            run.world.ops().iter().filter(|op| op.replica() == own).map(Op::id).collect();
        kept.sort_unstable();
        let mut written = run.device.written.clone();
        written.sort_unstable();
        prop_assert_eq!(kept, written, "every op written here is in the log, once");
    }
}

/// Prepare, pull, rest.
#[test]
fn in_step_and_undisturbed_a_poll_costs_one_call() {
    let mut run = Run::new(true);
    run.world.remote(5);
    let first = run.settle();
    run.tick();
    let again = run.settle();
    assert!(first < 12, "{first} steps to download five ops");
    assert_eq!(again, 2, "nothing to send, nothing new");
}
