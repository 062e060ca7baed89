//! Random runs: the same commands to this store and to the memory store must give the same answers and leave the same log.
//!
//! Every run has a log of its own, so one store serves them all. A failing run is shrunk by proptest before it is shown.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::author::{Author, entity_subject};
use super::rewrite::{Rewrite, rewrite};
use super::support::{env, schema};
use crate::clock::VectorClock;
use crate::decide::{self, Choice, DeleteLog, LogWrites, Reads, Scope, Upload, Uploaded};
use crate::id::{BucketId, LogId, LogKey, RequestId};
use crate::oplog::{Collection, Draft, FullStateKind, LogState, Op, OpKind, Payload, Precondition, Subject};
use crate::seq::{Cursor, Seq};
use crate::store::{MemoryStore, PageLimit, Store, StoreErrorKind, StoreExt};

const RUNS: u32 = 48;
pub(super) const COLLECTIONS: [&str; 4] = ["causal", "merge", "precondition", "append"];

#[derive(Debug, Clone)]
enum Command {
    Push { ops: Vec<OpPlan>, atomic: bool, request: Option<u8>, cursor: Option<u64> },
    Repeat(usize),
    Rewrite(Rewrite),
    Delete,
}

#[derive(Debug, Clone)]
struct OpPlan {
    author: usize,
    collection: usize,
    entity: u8,
    kind: u8,
    precondition: u8,
    catches_up: bool,
    size: usize,
}

fn op_plan() -> impl Strategy<Value = OpPlan> {
    (0..3_usize, 0..4_usize, 0..4_u8, 0..8_u8, 0..6_u8, prop::bool::weighted(0.7), 0..300_usize).prop_map(
        |(author, collection, entity, kind, precondition, catches_up, size)| OpPlan {
            author,
            collection,
            entity,
            kind,
            precondition,
            catches_up,
            size,
        },
    )
}

fn command() -> impl Strategy<Value = Command> {
    let push = (vec(op_plan(), 1..6), any::<bool>(), prop::option::of(0..6_u8), prop::option::of(0..12_u64))
        .prop_map(|(ops, atomic, request, cursor)| Command::Push { ops, atomic, request, cursor });
    prop_oneof![
        8 => push,
        2 => (0..8_usize).prop_map(Command::Repeat),
        2 => rewrite().prop_map(Command::Rewrite),
        1 => Just(Command::Delete),
    ]
}

/// The executable specification decides.
pub async fn random_runs_agree_with_the_memory_store(store: Arc<dyn Store>) {
    let mut runner = TestRunner::default();
    for run in 0..RUNS {
        let mut tree = vec(command(), 1..24).new_tree(&mut runner).expect("a plan");
        let mut attempt = 0;
        let Err(mut fault) = agree(&*store, log_of(run, attempt), &tree.current()).await else { continue };
        let mut plan = tree.current();
        let mut smaller = tree.simplify();
        while smaller && attempt < 400 {
            attempt += 1;
            match agree(&*store, log_of(run, attempt), &tree.current()).await {
                Err(found) => {
                    (fault, plan) = (found, tree.current());
                    smaller = tree.simplify();
                }
                Ok(()) => smaller = tree.complicate(),
            }
        }
        unreachable!("the stores disagree: {fault}\nafter {plan:#?}");
    }
}

fn log_of(run: u32, attempt: u32) -> LogKey {
    let mut id = [0x55; 16];
    id[..4].copy_from_slice(&run.to_be_bytes());
    id[4..8].copy_from_slice(&attempt.to_be_bytes());
    LogKey { bucket: BucketId::from_bytes([5; 16]), log: LogId::from_bytes(id) }
}

async fn agree(store: &dyn Store, log: LogKey, plan: &[Command]) -> Result<(), String> {
    let model = MemoryStore::new();
    let mut authors: Vec<Author> = (1..=3).map(Author::new).collect();
    let mut sent: Vec<Upload> = Vec::new();
    for (step, command) in plan.iter().enumerate() {
        let at = u64::try_from(step).unwrap_or(0);
        match command {
            Command::Push { ops, atomic, request, cursor } => {
                let clock = model.bounds(log).await.unwrap().map_or_else(VectorClock::new, |bounds| bounds.clock);
                let ops: Vec<Op> = ops.iter().map(|plan| make(&mut authors, plan, &clock)).collect();
                let request = request.map(|id| (RequestId::from_bytes([id; 16]), Upload::fingerprint(*atomic, &ops)));
                let cursor = match cursor {
                    Some(seq) => Some(cursor_at(&model, log, *seq).await),
                    None => None,
                };
                let upload = Upload { log, request, cursor, atomic: *atomic, ops: Arc::from(ops) };
                same_answer(store, &model, &upload, at).await?;
                sent.push(upload);
            }
            Command::Repeat(index) => {
                if let Some(upload) = sent.get(*index) {
                    same_answer(store, &model, &upload.clone(), at).await?;
                }
            }
            Command::Rewrite(rewrite) => {
                if let Some(writes) = rewrite.writes(&model, log).await {
                    same_outcome(store, &model, &writes).await?;
                }
            }
            Command::Delete => delete_both(store, &model, log).await,
        }
        same_log(store, &model, log).await.map_err(|fault| format!("step {step}: {fault}"))?;
    }
    Ok(())
}

fn make(authors: &mut [Author], plan: &OpPlan, log_clock: &VectorClock) -> Op {
    let author = &mut authors[plan.author];
    if plan.catches_up {
        author.sees(log_clock);
    }
    let kind = [OpKind::Create, OpKind::Update, OpKind::Update, OpKind::Delete, OpKind::Move, OpKind::Batch]
        .get(usize::from(plan.kind))
        .copied()
        .unwrap_or(if plan.kind == 6 { OpKind::Other(99) } else { OpKind::FullState(FullStateKind::Recovery) });
    let (subject, payload) = match kind {
        OpKind::FullState(_) => (Subject::Log, Payload::Plain(LogState::default().to_bytes())),
        _ => (
            entity_subject(COLLECTIONS[plan.collection], plan.entity),
            Payload::Plain(vec![plan.entity; plan.size].into()),
        ),
    };
    let precondition = match plan.precondition {
        0..=2 => Precondition::None,
        3 => Precondition::Absent,
        other => Precondition::Version(Seq::new(u64::from(other)).unwrap_or(Seq::FIRST)),
    };
    let draft = author.draft(kind, subject, payload);
    Draft { precondition, ..draft }.seal().expect("a good draft")
}

async fn cursor_at(model: &MemoryStore, log: LogKey, seq: u64) -> Cursor {
    let seq = Seq::new(seq).unwrap_or(Seq::ZERO);
    let page = model.ops_after(log, seq, PageLimit::default()).await.expect("a page");
    Cursor { seq, anchor: page.anchor }
}

async fn run(store: &dyn Store, upload: &Upload, at: u64) -> Result<Uploaded, String> {
    let (env, schema, upload) = (env(at), schema(), upload.clone());
    let scope = Scope::log(upload.log, upload.reads());
    let decided = store.decide(scope, move |view| decide::upload(&upload, &schema, &env, view)).await;
    decided.map_err(|error| error.to_string())
}

async fn same_answer(store: &dyn Store, model: &MemoryStore, upload: &Upload, at: u64) -> Result<(), String> {
    let (ours, expected) = (run(store, upload, at).await?, run(model, upload, at).await?);
    if ours == expected { Ok(()) } else { Err(format!("answered {ours:?}, expected {expected:?}")) }
}

async fn put(store: &dyn Store, writes: &LogWrites) -> Option<StoreErrorKind> {
    let anchors = writes.rewind.into_iter().collect();
    let (scope, writes) = (Scope::log(writes.log, Reads { anchors, ..Reads::default() }), writes.clone());
    let outcome = store.decide(scope, move |_| Choice::Done((), Some(writes.clone().alone()))).await;
    outcome.err().map(|error| error.kind())
}

async fn same_outcome(store: &dyn Store, model: &MemoryStore, writes: &LogWrites) -> Result<(), String> {
    let (ours, expected) = (put(store, writes).await, put(model, writes).await);
    if ours == expected { Ok(()) } else { Err(format!("{writes:?} ended with {ours:?}, expected {expected:?}")) }
}

async fn delete_both(store: &dyn Store, model: &MemoryStore, log: LogKey) {
    let Some(bounds) = model.bounds(log).await.expect("bounds") else { return };
    let delete = DeleteLog { log, seen: bounds.end() };
    let stores: [&dyn Store; 2] = [store, model];
    for store in stores {
        let scope = Scope::log(log, Reads::default());
        store.decide(scope, move |view| decide::delete_log(&delete, view)).await.expect("deleted");
    }
}

async fn same_log(store: &dyn Store, model: &MemoryStore, log: LogKey) -> Result<(), String> {
    for after in [0, 3] {
        let after = Seq::new(after).unwrap_or(Seq::ZERO);
        let limit = PageLimit::ops(7).unwrap_or_default().bytes(900);
        let ours = store.ops_after(log, after, limit).await.map_err(|error| error.to_string())?;
        let expected = model.ops_after(log, after, limit).await.map_err(|error| error.to_string())?;
        if ours != expected {
            return Err(format!("after {after} reads {ours:?}, expected {expected:?}"));
        }
    }
    for name in COLLECTIONS.into_iter().chain(["sys.restore"]) {
        let name = Collection::new(name).expect("a good name");
        let ours = store.heads(log, &name, None, 3).await.map_err(|error| error.to_string())?;
        let expected = model.heads(log, &name, None, 3).await.map_err(|error| error.to_string())?;
        if ours != expected {
            return Err(format!("heads of {name:?} are {ours:?}, expected {expected:?}"));
        }
    }
    let ours = store.snapshot(log, Seq::MAX).await.map_err(|error| error.to_string())?;
    let expected = model.snapshot(log, Seq::MAX).await.map_err(|error| error.to_string())?;
    if ours != expected {
        return Err(format!("the snapshot is {ours:?}, expected {expected:?}"));
    }
    Ok(())
}
