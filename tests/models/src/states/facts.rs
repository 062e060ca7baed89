//! What is looked at in every state: what a log and a device say, and whether it can be true.
//!
//! These are the promises: a log has no holes and its running hash fits; an op is in it once and counts once; a device
//! shows what its copy of the log gives, and nothing else; who wrote something finds it in the log, or on a device that
//! shows it, or put aside with the reason.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Deserialize;
use syncline::EntityId;
use syncline::client::Replica;
use syncline::crdt::{Content as _, Counter, CounterEdit};
use syncline::oplog::{EntityKey, Head, LogState, LoggedOp, Op, Subject};
use syncline::store::{MemoryStore, PageLimit, Store, StoreExt as _};

use super::fixed::{Draws, LOG, run, schema};
use super::process::options;

/// Writes by number, as bits.
pub(crate) type Writes = u32;

/// What a log holds.
#[derive(Debug, Clone, Default)]
pub(crate) struct LogFacts {
    /// The writes that are in it.
    pub(crate) held: Writes,
    /// Its ops, from its horizon on.
    pub(crate) ops: Vec<LoggedOp>,
    /// The same, as numbers of the writes that they say, where each says one.
    pub(crate) numbers: Vec<u8>,
    /// Its history begins here.
    pub(crate) first: u64,
}

/// What a device holds.
#[derive(Debug, Clone, Default)]
pub(crate) struct DeviceFacts {
    /// The writes that it has in one way or another.
    pub(crate) held: Writes,
    /// What its user sees of the three entities.
    pub(crate) shown: [String; 3],
    /// The causal write that its user sees.
    pub(crate) causal: Option<u8>,
    /// Its copy of the log, as numbers of writes.
    pub(crate) copy: Vec<u8>,
    /// Writes that its user sees and that are not in the copy.
    pub(crate) waiting: Vec<u8>,
    pub(crate) unsynced: u64,
    pub(crate) parked: u64,
}

const ENTITIES: [&str; 3] = ["counters", "maps", "causal"];

/// Reads a log and checks it.
pub(crate) fn log_facts(store: &MemoryStore) -> Result<LogFacts, String> {
    let Some(bounds) = run(store.bounds(LOG)).map_err(|error| error.to_string())? else {
        return Ok(LogFacts { first: 1, ..LogFacts::default() });
    };
    let mut ops: Vec<LoggedOp> = Vec::new();
    let (mut at, mut anchor, mut bytes) = (bounds.first.before(), bounds.base, 0_u64);
    let mut ids = BTreeSet::new();
    let page = run(store.ops_after(LOG, at, PageLimit::default())).map_err(|error| error.to_string())?;
    for logged in page.ops {
        if Some(logged.seq) != at.next() {
            return Err(format!("after op {at} comes op {}", logged.seq));
        }
        at = logged.seq;
        anchor = anchor.extend(logged.op.digest(), logged.accepted_at);
        if anchor != logged.anchor {
            return Err(format!("the running hash at op {at} does not fit"));
        }
        if !ids.insert(logged.op.id()) {
            return Err(format!("op {} is in the log twice", logged.op.id()));
        }
        bytes += logged.op.bytes().len() as u64;
        ops.push(logged);
    }
    if at != bounds.last || anchor != bounds.tip || bytes != bounds.bytes {
        return Err(format!("the log should end at {} and ends at {at}, or its hash or size do not fit", bounds.last));
    }
    let (mut held, mut digits, mut numbers) = (0, 0, Vec::new());
    for logged in &ops {
        let op = logged.op.read().map_err(|error| format!("op {}: {error}", logged.seq))?;
        let (writes, amount) = writes_of(&op);
        held |= writes;
        digits += amount;
        numbers.extend(one_by_one(writes | counted_or_more(amount)));
    }
    let counted = counted(digits)?;
    Ok(LogFacts { held: held | counted, ops, numbers, first: bounds.first.get() })
}

fn one_by_one(writes: Writes) -> impl Iterator<Item = u8> {
    (0..16).filter(move |number| writes & (1 << number) != 0)
}

/// The writes that an amount is made of.
fn counted(amount: i64) -> Result<Writes, String> {
    match (0..16).map(|number| (number, times(amount, number))).find(|(_, times)| *times > 1) {
        Some((number, times)) => Err(format!("write {number} counts {times} times")),
        None => Ok(counted_or_more(amount)),
    }
}

fn counted_or_more(amount: i64) -> Writes {
    (0..16).filter(|number| times(amount, *number) > 0).fold(0, |writes, number| writes | 1 << number)
}

const fn times(amount: i64, number: u32) -> i64 {
    (amount >> (2 * number)) & 3
}

#[derive(Debug, Deserialize)]
struct Causal {
    hot: u8,
}

/// Writes that an op says, and by how much it counts.
fn writes_of(op: &Op) -> (Writes, i64) {
    let Subject::Entity { key, .. } = op.subject() else { return (0, 0) };
    let bytes = op.payload().bytes();
    match key.collection.as_str() {
        "counters" => match Counter::read_edit(bytes.clone()) {
            Ok(CounterEdit::Add(amount)) => (0, amount),
            _ => (0, 0),
        },
        "maps" => (named(&String::from_utf8_lossy(bytes)), 0),
        "causal" => (serde_json::from_slice(bytes).map_or(0, |said: Causal| 1 << said.hot), 0),
        _ => (0, 0),
    }
}

/// The writes whose fields are in a map.
fn named(map: &str) -> Writes {
    (0..16_u32).filter(|number| map.contains(&format!("\"w{number}\""))).fold(0, |writes, number| writes | 1 << number)
}

fn hot(collection: &str) -> EntityKey {
    EntityKey { collection: collection.parse().unwrap(), entity: EntityId::named("hot") }
}

/// Opens what a device keeps, as after a power cut, and looks at it. Nothing of it changes.
pub(crate) fn device_facts(store: &MemoryStore) -> Result<DeviceFacts, String> {
    let log = log_facts(store).map_err(|why| format!("its copy of the log: {why}"))?;
    shows_its_log(store, &log)?;
    let copy: Arc<dyn Store> = Arc::new(store.fork());
    let looking = async {
        let replica = Replica::open(copy, LOG, Arc::new(Draws::new(0, 0, 0)), options()).await?;
        let mut shown: [String; 3] = Default::default();
        for (text, name) in shown.iter_mut().zip(ENTITIES) {
            let state = replica.state(&hot(name)).await?;
            *text = state.map(|state| String::from_utf8_lossy(&state).into_owned()).unwrap_or_default();
        }
        let amount = replica.collection("counters")?.counter("hot")?.get().await?;
        let aside: Vec<Op> = {
            let conflicts = replica.conflicts().await?;
            let parked = replica.parked().await?;
            let conflicts = conflicts.iter().map(|conflict| conflict.mine().clone());
            conflicts.chain(parked.iter().map(|parked| parked.op().clone())).collect()
        };
        Ok::<_, syncline::client::ReplicaError>((shown, amount, aside, replica.status()))
    };
    let (shown, amount, aside, status) = run(looking).map_err(|error| format!("it cannot be looked at: {error}"))?;
    let causal = serde_json::from_str(&shown[2]).ok().map(|said: Causal| said.hot);
    let counts = counted(amount)?;
    let mut held = log.held | counts | named(&shown[1]) | causal.map_or(0, |number| 1 << number);
    for op in &aside {
        let (writes, amount) = writes_of(op);
        held |= writes | counted(amount)?;
    }
    let (copy, waiting) = (log.numbers, one_by_one(counts & !log.held).collect());
    Ok(DeviceFacts { held, shown, causal, copy, waiting, unsynced: status.unsynced, parked: status.parked })
}

/// Where the whole history is kept, the state beside it is what it gives.
fn shows_its_log(store: &MemoryStore, log: &LogFacts) -> Result<(), String> {
    if log.first != 1 {
        return Ok(());
    }
    let (schema, mut state) = (schema(), LogState::default());
    for logged in &log.ops {
        state.apply(logged, &schema).map_err(|stop| format!("its copy of the log does not replay: {stop}"))?;
    }
    for name in ENTITIES {
        let head = run(store.head(LOG, &hot(name))).map_err(|error| error.to_string())?;
        let kept = head.as_ref().and_then(Head::live_state).map(|state| state.to_vec());
        if kept.as_deref() != state.get(&hot(name)) {
            return Err(format!("its state of {name} is not what its copy of the log gives"));
        }
    }
    Ok(())
}
