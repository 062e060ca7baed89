//! Syncline's core: everything that is a rule of a sync engine, and nothing that does I/O.
//!
//! Replicas write *ops* while they are apart; a server puts each into one totally ordered *log*, or says why not; every
//! reader gets the same ops in the same order and can prove it. Core has no sockets, files, threads, clocks or random
//! numbers: time and randomness come in as an [`Env`], bytes come and go through a [`store::Store`] and a transport.
//!
//! # The pipeline
//!
//! 1. An author fills in a [`Draft`](oplog::Draft); sealing checks it and fixes its bytes for ever: an [`Op`](oplog::Op).
//! 2. A [`Push`](call::Push) carries ops and the author's [`Cursor`] to [`Server::handle`](server::Server::handle).
//! 3. The store locks the log and runs [`decide::upload()`] on what it reads: a pure function, in one transaction.
//! 4. A cursor that does not fit the log is a [`Gap`](oplog::Gap) (rolled back, forked, another log) and writes nothing.
//! 5. Each op is judged against the [`Head`](oplog::Head) of its entity by [`arbitrate`](oplog::arbitrate), the one
//!    function in which collections differ: causal, merge, precondition, append.
//! 6. An accepted op gets the next [`Seq`] and extends the log's running hash, the [`Anchor`]; others get a reason.
//! 7. Ops, heads and the answer become durable together. Only then is the author told its [`Verdict`](oplog::Verdict)s.
//! 8. A wake goes out over the [`Fanout`](store::Fanout): a hint that may get lost, never the truth.
//! 9. Readers pull [`Page`](call::Page)s from their cursor, check that each follows, and apply it.
//! 10. Who comes late starts from a [`Snapshot`](oplog::Snapshot), which equals replay byte for byte.
//!
//! # Two replicas and a server
//!
//! ```
//! use std::{future::Future, pin::pin, sync::Arc, task::{Context, Poll, Waker}};
//! use syncline::access::Caller;
//! use syncline::call::{Call, Push, Reply};
//! use syncline::oplog::*;
//! use syncline::server::Server;
//! use syncline::store::{MemoryFanout, MemoryStore, PageLimit};
//! use syncline::*;
//!
//! /// The memory store never waits for anyone, so polling is all the runtime there is.
//! fn run<T>(future: impl Future<Output = T>) -> T {
//!     let mut future = pin!(future);
//!     loop {
//!         if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
//!             return value;
//!         }
//!     }
//! }
//!
//! struct Replica { id: ReplicaId, clock: VectorClock, cursor: Cursor, state: LogState }
//!
//! impl Replica {
//!     fn new(number: u8) -> Self {
//!         let id = ReplicaId::from_bytes([number; 16]);
//!         Self { id, clock: VectorClock::new(), cursor: Cursor::START, state: LogState::default() }
//!     }
//!
//!     /// Writes one op about the task, whoever has seen it or not.
//!     fn edit(&mut self, fields: &'static str, env: Env) -> Result<Op, Box<dyn std::error::Error>> {
//!         self.clock.set(self.id, self.clock.get(self.id) + 1)?;
//!         let draft = Draft {
//!             id: OpId::from_bytes(env.uuid7("op")),
//!             replica: self.id,
//!             subject: Subject::Entity { key: task()?, also: vec![] },
//!             kind: OpKind::Update,
//!             clock: self.clock.clone(),
//!             hlc: Hlc::default().tick(env.now),
//!             schema_version: 1,
//!             precondition: Precondition::None,
//!             payload: Payload::Json(fields.into()),
//!         };
//!         Ok(draft.seal()?)
//!     }
//!
//!     /// Reads on from the cursor and applies what follows it.
//!     fn pull(&mut self, server: &Server, caller: &Caller, env: Env) -> Result<(), Box<dyn std::error::Error>> {
//!         let call = Call::Pull { log: LOG.log, cursor: self.cursor, limit: PageLimit::default() };
//!         let Reply::Pulled(page) = run(server.handle(caller, call, env))? else { return Err("not a page".into()) };
//!         page.follows(LOG, self.cursor).map_err(|gap| format!("{gap:?}"))?;
//!         for op in &page.ops {
//!             self.clock.join(op.op.read()?.clock())?;
//!             let (seq, accepted_at, batch_rest, op) = (op.seq, op.accepted_at, op.batch_rest, op.op.clone());
//!             let anchor = page.next.anchor.ok_or("a page of ops has an anchor")?;
//!             self.state.apply(&LoggedOp { seq, anchor, accepted_at, batch_rest, op }, &schema())?;
//!         }
//!         self.cursor = page.next;
//!         Ok(())
//!     }
//! }
//!
//! const LOG: LogKey = LogKey { bucket: BucketId::from_bytes([1; 16]), log: LogId::from_bytes([2; 16]) };
//!
//! fn schema() -> Schema {
//!     Schema::new(Rules::of(ConflictPolicy::Causal))
//! }
//!
//! fn task() -> Result<EntityKey, CollectionError> {
//!     Ok(EntityKey { collection: Collection::new("task")?, entity: EntityId::from_bytes([3; 16]) })
//! }
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let server = Server::new(Arc::new(MemoryStore::new()), Arc::new(MemoryFanout::new()), schema());
//!     let caller = Caller::operator(LOG.bucket);
//!     let now = Timestamp::default().plus_ms(1_700_000_000_000);
//!     let env = |at: u8| Env { now: now.plus_ms(at.into()), entropy: [at; 32] };
//!     let push = |op: Op, at| -> Result<Verdict, Box<dyn std::error::Error>> {
//!         let push = Push { log: LOG.log, request: None, cursor: None, atomic: false, ops: vec![op] };
//!         match run(server.handle(&caller, Call::Push(push), env(at)))? {
//!             Reply::Pushed(mut pushed) => Ok(pushed.verdicts.remove(0)),
//!             other => Err(format!("not an answer to a push: {other:?}").into()),
//!         }
//!     };
//!
//!     let (mut phone, mut laptop) = (Replica::new(7), Replica::new(8));
//!     let first = phone.edit(r#"{"title":"Buy milk"}"#, env(1))?;
//!     assert_eq!(push(first, 2)?, Verdict::Accepted { seq: Seq::FIRST });
//!
//!     // The laptop has not read yet: its edit is concurrent with the phone's. It is told, reads, and writes anew.
//!     let unaware = laptop.edit(r#"{"done":true}"#, env(3))?;
//!     assert!(matches!(push(unaware, 4)?, Verdict::Conflict { reason: ConflictReason::Concurrent, .. }));
//!     laptop.pull(&server, &caller, env(5))?;
//!     let aware = laptop.edit(r#"{"done":true}"#, env(6))?;
//!     assert!(matches!(push(aware, 7)?, Verdict::Accepted { .. }));
//!
//!     phone.pull(&server, &caller, env(8))?;
//!     laptop.pull(&server, &caller, env(9))?;
//!     assert_eq!(phone.state, laptop.state);
//!     assert_eq!(phone.cursor, laptop.cursor, "the same running hash: the same history");
//!     assert_eq!(phone.state.get(&task()?), Some(&br#"{"done":true,"title":"Buy milk"}"#[..]));
//!     Ok(())
//! }
//! ```
//!
//! # Where to read on
//!
//! In layer order; a module knows those above it and none below.
//!
//! | layer | modules |
//! |---|---|
//! | foundations | [`id`], [`digest`], [`codec`], [`limits`], [`json`], [`seq`], [`time`] |
//! | causality | [`clock`] |
//! | types that merge without asking anyone | [`crdt`] |
//! | the log and its rules | [`oplog`]; who asks: [`access`] |
//! | files and folders | [`tree`] |
//! | a device's folder that follows them | [`files`] |
//! | payloads only clients can read | [`seal`]; the ciphers behind the feature `encryption` |
//! | decisions | [`decide`]: what a rule may read and write |
//! | the pluggable edge | [`store`], with a guide to writing one |
//! | the conversation as values | [`call`] |
//! | the two ends | [`server`], [`client`] |
//! | bytes | [`wire`] |
//! | proof for others | `arbitrary` and `conformance`, behind features of the same names |

// Foundations.
pub mod codec;
pub mod digest;
pub mod id;
pub mod in_process;
pub mod json;
pub mod limits;
pub mod seq;
pub mod time;

// Causality.
pub mod clock;

// Types that merge without asking anyone.
pub mod blob;
pub mod crdt;

// The log and its rules; who asks.
pub mod access;
pub mod oplog;

// Files and folders, and a device's folder that follows them.
pub mod files;
pub mod tree;

// What only clients can read.
pub mod seal;

// Decisions: what a rule may read and write.
pub mod decide;

// The pluggable edge.
pub mod store;

// The conversation as values.
pub mod call;

// The two ends, which do not know each other.
pub mod client;
pub mod server;

// Bytes.
pub mod wire;

// Proof for others.
#[cfg(feature = "arbitrary")]
pub mod arbitrary;
#[cfg(feature = "conformance")]
pub mod conformance;

pub use clock::{Causality, VectorClock};
pub use digest::Digest;
pub use id::{BucketId, EntityId, GroupId, LinkId, LogId, LogKey, OpId, ReplicaId, RequestId, TokenId};
pub use seq::{Anchor, Cursor, Origin, Seq};
pub use time::{Env, Hlc, Timestamp};
