//! The replica: one log on one device, readable and writable whether there is a network or not.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::conflict::Conflict;
use super::deferred::Deferred;
use super::desk::{Drawer, Identity, Lane, Places, Sent, note, number};
use super::entry::{Entry, Fate, WriteNo};
use super::error::ReplicaError;
use super::gate::{Bell, Gate, Pass, lock};
use super::memory::{Memory, Opens, Receipts};
use super::mirror::Means;
use super::parsed::{Parsed, Upto};
use super::retain::Retain;
use super::sealer::Sealer;
use super::shown::{Seen, Shown};
use crate::call::Page;
use crate::decide::{Choice, LogWrites, Reads, Scope, View};
use crate::id::{LogKey, ReplicaId};
use crate::limits;
use crate::oplog::{Change, EntityKey, Head, LogBounds, Part, Schema, Sealing};
use crate::seq::{Origin, Seq};
use crate::store::{Store, StoreError, StoreErrorKind, StoreExt};
use crate::time::{EnvSource, Hlc, Timestamp};

/// How a replica is opened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ReplicaOptions {
    /// The rules of its collections. They should be the server's; by default the newest edit of each field wins.
    pub schema: Schema,
    /// Encrypts payloads; none are encrypted without.
    pub sealer: Option<Arc<dyn Sealer>>,
    /// What the application wants of the log, whatever a server says of it: with [`Sealing::Required`] nothing leaves this
    /// device unsealed and nothing unsealed has an effect here, and a log that is not there yet is made so, where this
    /// device may make logs. `None` takes the log as it is, and seals if there is a sealer.
    pub sealing: Option<Sealing>,
    /// The schema version its ops say they have.
    pub schema_version: u32,
    /// Asked before a log's content comes onto a device that has none yet.
    pub confirm: Option<Arc<dyn Confirm>>,
    /// How much history is kept beside the state.
    pub retain: Retain,
    /// The entities that a replica is begun with; `None` for all. Of one that was begun before, what it holds by now stays
    /// what it holds: see [`Replica::part`].
    pub part: Option<Part>,
}

impl Default for ReplicaOptions {
    fn default() -> Self {
        Self {
            schema: Schema::default(),
            sealer: None,
            sealing: None,
            schema_version: 1,
            confirm: None,
            retain: Retain::default(),
            part: None,
        }
    }
}

/// An application's say in a first download.
pub trait Confirm: std::fmt::Debug + Send + Sync + 'static {
    /// Whether the log, which ends at this seq, may come onto this device.
    fn confirm(&self, end: Seq) -> bool;
}

/// A copy of one log on this device. Clones are handles to the same one.
#[derive(Debug, Clone)]
pub struct Replica {
    pub(super) inner: Arc<Inner>,
}

/// What all handles share.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) store: Arc<dyn Store>,
    pub(super) places: Places,
    pub(super) options: ReplicaOptions,
    pub(super) schema: Arc<Schema>,
    pub(super) env: Arc<dyn EnvSource>,
    /// Whoever changes the desk holds it.
    pub(super) gate: Gate,
    pub(super) memory: Mutex<Memory>,
    /// Whoever makes an edit from what it saw holds it until that is written.
    pub(super) editing: Gate,
    pub(super) receipts: Receipts,
    /// What is remembered may not be what the desk says; it is read again before anything else.
    pub(super) doubtful: AtomicBool,
    /// Odd while what is read may be half old, half new. In its upper half it counts plain writes, which only add.
    pub(super) version: AtomicU64,
    pub(super) shown: Mutex<Shown>,
    pub(super) parsed: Mutex<Parsed>,
    /// Rings when something was written here.
    pub(super) edited: Bell,
    /// Rings when what is read may have changed.
    pub(super) changed: Bell,
    /// Ops that came and cannot be applied before the rest of their batch.
    pub(super) ahead: Mutex<Option<Page>>,
    pub(super) watchers: super::events::Watchers,
    pub(super) conversation: Mutex<super::status::Conversation>,
    pub(super) sealing: Mutex<super::sealing::Heard>,
    pub(super) said: Mutex<Option<super::holding::Said>>,
}

impl Replica {
    /// Opens the replica of `log` that is kept in `store`, or begins one: durable from now on, no server needed. Of two
    /// that open the same one, the later has it, and the earlier can no longer write.
    ///
    /// # Errors
    /// The store's, or that what it keeps does not read.
    pub async fn open(
        store: Arc<dyn Store>,
        log: LogKey,
        env: Arc<dyn EnvSource>,
        options: ReplicaOptions,
    ) -> Result<Self, ReplicaError> {
        let places = Places::of(log);
        let lease = env.env().bytes16("lease");
        let begin = Begin::TakeOver(options.part.as_ref());
        let memory = load(&store, places, &*env, lease, begin, opens(&options, places)).await?;
        let receipts = Receipts::default();
        receipts.stable_at(memory.identity.stable);
        let inner = Inner {
            store,
            places,
            schema: Arc::new(options.schema.clone()),
            options,
            env,
            gate: Gate::default(),
            memory: Mutex::new(memory),
            editing: Gate::default(),
            receipts,
            doubtful: AtomicBool::new(false),
            version: AtomicU64::new(0),
            shown: Mutex::default(),
            parsed: Mutex::default(),
            edited: Bell::default(),
            changed: Bell::default(),
            ahead: Mutex::default(),
            watchers: super::events::Watchers::default(),
            conversation: Mutex::default(),
            sealing: Mutex::default(),
            said: Mutex::default(),
        };
        inner.read_again().await?;
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The log.
    #[must_use]
    pub fn log(&self) -> LogKey {
        self.inner.places.mirror
    }

    /// The name under which this device writes. It changes when another copy of the device turns up.
    #[must_use]
    pub fn id(&self) -> ReplicaId {
        lock(&self.inner.memory).identity.replica
    }
}

impl Inner {
    pub(super) fn means(&self) -> Means<'_> {
        let sealer = self.options.sealer.as_deref();
        Means { places: self.places, schema: &self.schema, sealer, policy: self.policy(), part: None }
    }

    /// One queued write.
    pub(super) async fn entry(&self, no: WriteNo) -> Result<Option<Entry>, ReplicaError> {
        let head = self.store.head(self.places.desk, &Drawer::Queue.key(no.get())).await?;
        let bytes = head.as_ref().and_then(Head::live_state).cloned();
        bytes.map(|bytes| Entry::from_bytes(no, bytes)).transpose().map_err(ReplicaError::Corrupt)
    }

    /// Queued writes after one, in order.
    pub(super) async fn entries_after(&self, after: Option<WriteNo>, limit: usize) -> Result<Vec<Entry>, ReplicaError> {
        let queue = Drawer::Queue.collection();
        let after = after.map(|no| Drawer::Queue.key(no.get()));
        let page = self.store.heads(self.places.desk, &queue, after.as_ref(), limit).await?;
        let entries = page.heads.into_iter().filter_map(|(key, head)| {
            let bytes = head.live_state()?.clone();
            Some(Entry::from_bytes(WriteNo(number(&key)), bytes).map_err(ReplicaError::Corrupt))
        });
        entries.collect()
    }

    /// Waits until nobody else changes anything and nothing is under way.
    pub(super) async fn enter(&self) -> Result<Pass<'_>, ReplicaError> {
        let pass = self.gate.enter().await;
        if self.doubtful.swap(false, Ordering::AcqRel) {
            self.reload().await?;
        }
        Ok(pass)
    }

    /// What is read now is of the desk as it is: in doubt that is read again first.
    pub(super) async fn settled(&self) -> Result<(), ReplicaError> {
        if self.doubtful.load(Ordering::Acquire) {
            drop(self.enter().await?);
        }
        Ok(())
    }

    /// The state of an entity as this device sees it: the log's, with what was written here and is not in it yet.
    pub(super) async fn visible(&self, key: &EntityKey) -> Result<Option<Vec<u8>>, ReplicaError> {
        Ok(self.seen(key).await?.0)
    }

    /// The same, and up to which write it is, where that says enough to go on from.
    pub(super) async fn seen(&self, key: &EntityKey) -> Result<(Option<Vec<u8>>, Option<Upto>), ReplicaError> {
        for _ in 0..READS_WITHOUT_GATE {
            self.settled().await?;
            let version = self.version.load(Ordering::Acquire);
            if version.is_multiple_of(2) {
                let seen = self.look(key, version).await?;
                // A plain write that came meanwhile is one that came after.
                let now = self.version.load(Ordering::Acquire);
                if now % PLAIN_WRITE == version % PLAIN_WRITE {
                    let upto = seen.applied.map(|applied| Upto { history: version % PLAIN_WRITE, applied });
                    return Ok((seen.keep(key, version, &mut lock(&self.shown)), upto));
                }
            }
        }
        let _pass = self.enter().await?;
        let version = self.version.load(Ordering::Acquire);
        Ok((self.look(key, version).await?.state, None))
    }

    async fn look(&self, key: &EntityKey, version: u64) -> Result<Seen, ReplicaError> {
        let (mut numbers, renew, instead) = {
            let memory = lock(&self.memory);
            if memory.identity.part.as_ref().is_some_and(|part| !part.holds(key)) {
                return Err(ReplicaError::NotHere(key.clone()));
            }
            let renew = memory.identity.renew;
            let instead = memory.pending.newest_state().filter(|(no, _)| !(renew && *no < WriteNo::FIRST));
            let instead = instead.map(|(no, state)| (no, Arc::clone(state)));
            (memory.pending.of(key).to_vec(), renew, instead)
        };
        let plain = instead.is_none() && !renew;
        let known = if plain { lock(&self.shown).find(key, version, numbers.len()) } else { None };
        let waiting = numbers.len();
        let before = match (known, &instead) {
            (Some((applied, state)), _) => {
                numbers.drain(..applied);
                state.map(|state| state.to_vec())
            }
            (None, Some((no, state))) => {
                numbers.retain(|later| later > no);
                state.get(key).map(<[u8]>::to_vec)
            }
            (None, None) => {
                let head = self.store.head(self.places.mirror, key).await?;
                if head.as_ref().is_some_and(Head::is_evicted) {
                    return Err(ReplicaError::NotHere(key.clone()));
                }
                head.as_ref().and_then(Head::live_state).map(|state| state.to_vec())
            }
        };
        let mut entries = self.entries_among(&numbers).await?;
        // One that is missing has come into the log meanwhile, and the version has changed; or it is on its way here.
        let whole = plain && entries.len() == numbers.len();
        // While the mirror shows the history that is offered again, it has those ops already.
        entries.retain(|entry| !(renew && entry.is_again()));
        Ok(Seen { state: self.show(key, before, &entries), applied: whole.then_some(waiting) })
    }

    /// The queued writes with these numbers, which ascend, as far as they are there. Writes on one entity often stand
    /// together, so what stands between two of them is read along, within reason.
    pub(super) async fn entries_among(&self, numbers: &[WriteNo]) -> Result<Vec<Entry>, ReplicaError> {
        let mut found = Vec::with_capacity(numbers.len());
        let mut left = numbers;
        while let Some(first) = left.first() {
            let Some(last) = left.get(1..).and_then(<[WriteNo]>::last) else {
                found.extend(self.entry(*first).await?);
                break;
            };
            let span = usize::try_from(last.get() - first.get()).unwrap_or(usize::MAX).saturating_add(1);
            let limit = span.min(2 * left.len()).min(limits::LIST_ITEMS_MAX);
            let page = self.entries_after(first.get().checked_sub(1).map(WriteNo), limit).await?;
            let upto = page.last().filter(|_| page.len() == limit).map_or(*last, |entry| entry.no);
            found.extend(page.into_iter().filter(|entry| left.binary_search(&entry.no).is_ok()));
            left = &left[left.partition_point(|no| *no <= upto)..];
        }
        Ok(found)
    }

    fn show(&self, key: &EntityKey, mut state: Option<Vec<u8>>, entries: &[Entry]) -> Option<Vec<u8>> {
        let reducer = &self.schema.rules(&key.collection).reducer;
        let means = self.means();
        for entry in entries {
            // An op offered again may be sealed; without its key it shows when it is back in the log. One from a newer build
            // had no effect here before, or one that is not as the log's policy wants it, and has none now.
            let payload = match means.read(&entry.op) {
                _ if !entry.is_again() => means.open(&entry.op).ok(),
                read => read.ok().and_then(Result::ok),
            };
            let Some(payload) = payload else { continue };
            // What does not apply here is refused by the reducer before anything changes.
            let _ = reducer.reduce(&mut state, &Change::opened(&entry.op, Timestamp::MAX, &payload));
        }
        state
    }
}

/// What a plain write adds to the version.
pub(super) const PLAIN_WRITE: u64 = 1 << 32;

/// Reads that are tried before one waits for whoever changes things.
const READS_WITHOUT_GATE: usize = 4;

/// With what full states that wait are read.
pub(super) fn opens(options: &ReplicaOptions, places: Places) -> Opens {
    let sealer = options.sealer.clone().map(|sealer| (places.mirror, sealer));
    Opens { sealer, version_max: options.schema.version_max() }
}

/// How a desk is come to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Begin<'p> {
    /// Whoever holds it, it is taken over; one that is not there yet begins with this part.
    TakeOver(Option<&'p Part>),
    /// It is held already.
    Held,
}

/// Reads the desk.
pub(super) async fn load(
    store: &Arc<dyn Store>,
    places: Places,
    env: &dyn EnvSource,
    lease: [u8; 16],
    begin: Begin<'_>,
    opens: Opens,
) -> Result<Memory, ReplicaError> {
    let env = env.env();
    let fresh = Identity {
        lease,
        replica: ReplicaId::from_bytes(env.bytes16("replica")),
        counter: 0,
        hlc: Hlc::default(),
        next: WriteNo::FIRST,
        synced: false,
        renew: false,
        batch_max: u32::try_from(limits::BATCH_OPS_MAX).unwrap_or(u32::MAX),
        contact: Timestamp::default(),
        sealing: None,
        key_epoch: 0,
        newest: Seq::ZERO,
        stable: Seq::ZERO,
        part: match begin {
            Begin::TakeOver(part) => part.cloned().map(Arc::new),
            Begin::Held => None,
        },
    };
    let held = matches!(begin, Begin::Held);
    let reads =
        Reads { heads: vec![Identity::key(), Lane::Again.key(), Lane::New.key(), Deferred::key()], ..Reads::default() };
    let take = move |view: &View| {
        let desk = view.log(places.desk);
        let bytes = |key: &EntityKey| desk.heads.get(key).and_then(Head::live_state).cloned();
        let identity = match bytes(&Identity::key()).map(Identity::from_bytes).transpose() {
            Ok(found) if held && found.as_ref().is_none_or(|found| found.lease != lease) => {
                return Choice::Done(Err(ReplicaError::TakenOver), None);
            }
            Ok(found) => Identity { lease, ..found.unwrap_or_else(|| fresh.clone()) },
            Err(error) => return Choice::Done(Err(error.into()), None),
        };
        let sent = |lane: Lane| bytes(&lane.key()).map(Sent::from_bytes).transpose();
        let deferred = bytes(&Deferred::key()).map(Deferred::from_bytes).transpose();
        let under_way = match (sent(Lane::Again), sent(Lane::New), deferred) {
            (Ok(again), Ok(new), Ok(deferred)) => (again, new, deferred),
            (Err(error), ..) | (_, Err(error), _) | (.., Err(error)) => return Choice::Done(Err(error.into()), None),
        };
        let bounds = desk.bounds.clone();
        if bounds.is_none() && view.log(places.mirror).bounds.is_some() {
            return Choice::Done(Err(ReplicaError::NotAReplica), None);
        }
        let bounds = bounds.unwrap_or_else(|| LogBounds::new(places.desk, Origin(env.bytes16("desk")), env.now));
        let heads = vec![(Identity::key(), note(identity.to_bytes()))];
        let writes = LogWrites { heads, ..LogWrites::new(places.desk, bounds) };
        Choice::Done(Ok((identity, under_way)), Some(writes.alone()))
    };
    let scope = Scope::logs(vec![(places.mirror, Reads::default()), (places.desk, reads)]);
    let scope = scope.map_err(|_| lost_answer(&**store))?;
    let (identity, (again, new, deferred)) = store.decide(scope, take).await??;
    let mut memory = Memory::new(identity, opens);
    memory.set_sent(Lane::Again, again);
    memory.set_sent(Lane::New, new);
    memory.deferred = deferred;
    fill(store, places, &mut memory).await?;
    Ok(memory)
}

async fn fill(store: &Arc<dyn Store>, places: Places, memory: &mut Memory) -> Result<(), ReplicaError> {
    let mut after = None;
    loop {
        let page =
            store.heads(places.desk, &Drawer::Queue.collection(), after.as_ref(), limits::LIST_ITEMS_MAX).await?;
        for (key, head) in &page.heads {
            let Some(bytes) = head.live_state() else { continue };
            let entry = Entry::from_bytes(WriteNo(number(key)), bytes.clone()).map_err(ReplicaError::Corrupt)?;
            if matches!(entry.fate, Fate::Lost { .. }) {
                memory.lost.push(entry.no);
            }
            memory.pending.add(&entry);
        }
        after = page.heads.last().map(|(key, _)| key.clone());
        if !page.more {
            break;
        }
    }
    memory.parked = count(store, places, Drawer::Parked).await?;
    (memory.conflicts, memory.open) = count_conflicts(store, places).await?;
    memory.unread = count(store, places, Drawer::Unread).await?;
    Ok(())
}

/// How many conflicts are on record, and how many of them are open.
async fn count_conflicts(store: &Arc<dyn Store>, places: Places) -> Result<(u64, u64), ReplicaError> {
    let (mut count, mut open, mut after) = (0, 0, None);
    let drawer = Drawer::Conflicts.collection();
    loop {
        let page = store.heads(places.desk, &drawer, after.as_ref(), limits::LIST_ITEMS_MAX).await?;
        for (key, head) in &page.heads {
            let Some(bytes) = head.live_state() else { continue };
            let conflict = Conflict::from_bytes(WriteNo(number(key)), bytes.clone()).map_err(ReplicaError::Corrupt)?;
            (count, open) = (count + 1, open + u64::from(conflict.is_open()));
        }
        after = page.heads.last().map(|(key, _)| key.clone());
        if !page.more {
            return Ok((count, open));
        }
    }
}

async fn count(store: &Arc<dyn Store>, places: Places, drawer: Drawer) -> Result<u64, StoreError> {
    let (mut count, mut after) = (0, None);
    loop {
        let page = store.heads(places.desk, &drawer.collection(), after.as_ref(), limits::LIST_ITEMS_MAX).await?;
        count += page.heads.len() as u64;
        after = page.heads.last().map(|(key, _)| key.clone());
        if !page.more {
            return Ok(count);
        }
    }
}

/// Every queued write with one of these numbers that is still there.
pub(super) async fn entries_of(
    inner: &Inner,
    numbers: impl IntoIterator<Item = WriteNo>,
) -> Result<BTreeMap<WriteNo, Entry>, ReplicaError> {
    let mut entries = BTreeMap::new();
    for no in numbers {
        if let Some(entry) = inner.entry(no).await? {
            entries.insert(no, entry);
        }
    }
    Ok(entries)
}

/// The store ran a decision and says it did not.
pub(super) fn lost_answer(store: &dyn Store) -> StoreError {
    StoreError::new(StoreErrorKind::Fault, store.name(), "transact")
}
