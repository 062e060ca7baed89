//! Everything works again: how one knows that all is at rest, and what must hold then.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use syncline::access::Caller;
use syncline::call::{Call, Reply};
use syncline::client::{CallError, Phase, Replica, Transport, Unreadable};
use syncline::oplog::{Collection, ConflictPolicy, EntityKey, LogBounds, Op, Payload};
use syncline::seal::{self, LogKeyring, SealContext};
use syncline::store::{MemoryStore, PageLimit, Store, StoreExt as _};
use syncline::time::EnvSource;
use syncline::{Anchor, Cursor, EntityId, ReplicaId, Seq};

use crate::draw::Draw;
use crate::house::{Clock, House, LOG, Room};
use crate::reference::{self, Stood};
use crate::schedule::{Runner, lock, now_or};

/// What everybody shows, entity by entity.
type Shown = BTreeMap<EntityKey, Option<bytes::Bytes>>;

/// Ops without effect on a device.
struct Unfit {
    device: usize,
    known_from: Seq,
    ops: BTreeSet<Seq>,
}

impl House {
    /// Ends every fault: links, disks and servers work, everybody may do everything, has every key and the newest version.
    pub(crate) fn heal(self: &Arc<Self>, runner: &mut Runner) {
        self.weather.calm_down();
        self.weather.note(&[20], format_args!("everything works again"));
        let rooms = self.rooms();
        let newest = rooms.iter().map(|room| room.version.load(Ordering::Relaxed)).max().unwrap_or(1);
        for room in &rooms {
            *lock(&room.rights) = None;
            for epoch in 1..=self.epoch.load(Ordering::Relaxed) {
                self.give_key(&room.keys, epoch);
            }
            if room.version.swap(newest, Ordering::Relaxed) != newest {
                runner.kill(crate::schedule::Group::Device(room.number));
                *lock(&room.replica) = None;
                self.boot(room, 0);
            }
        }
        let updated = self.version.swap(newest, Ordering::Relaxed) != newest;
        for number in 0..self.plan.servers {
            if updated {
                runner.kill(crate::schedule::Group::Server(number));
            }
            if updated || lock(&self.servers).get(number).is_some_and(Option::is_none) {
                self.start_server(number);
            }
        }
        self.encourage();
    }

    /// What an application does whose user presses the button again: where it says that it waits for somebody. What goes
    /// on by itself must do so.
    pub(crate) fn encourage(&self) {
        for room in self.rooms() {
            let Some(device) = room.device() else { continue };
            let by_itself = matches!(device.replica.status().phase, Some(Phase::Live | Phase::Backoff { .. }));
            if !by_itself {
                device.replica.keys_changed();
                room.tell(true);
            }
        }
    }

    fn bounds(&self) -> Option<LogBounds> {
        now_or(self.store.kept().bounds(LOG)).and_then(Result::ok).flatten()
    }

    /// Who is not at rest, and how they stand; `None` when everybody is.
    pub(crate) fn restless(&self) -> Option<String> {
        let end = self.bounds().map_or(Cursor::START, |bounds| bounds.end());
        for room in self.rooms() {
            let Some(replica) = lock(&room.replica).clone() else {
                return Some(format!("device {} is not open", room.number));
            };
            let status = replica.status();
            let cursor = now_or(room.disk.kept().bounds(LOG)).and_then(Result::ok).flatten();
            let cursor = cursor.map_or(Cursor::START, |bounds| bounds.end());
            let in_step = cursor == end || (cursor.seq == Seq::ZERO && end.seq == Seq::ZERO);
            if status.phase != Some(Phase::Live) || status.unsynced > 0 || !in_step {
                return Some(format!(
                    "device {}: {:?}, {} unsynced, at {} of {}, {}",
                    room.number,
                    status.phase,
                    status.unsynced,
                    cursor.seq,
                    end.seq,
                    status.error.unwrap_or_default()
                ));
            }
        }
        None
    }

    /// How many unsynced writes the devices have that are opened anew from these disks. It has a clock of its own, so that
    /// what one looks at is not changed by the look.
    pub(crate) fn unsynced_on_disks(&self) -> String {
        let on_disk = |room: Arc<Room>| {
            let env = Clock::new(&self.weather, self.weather.draw(&[15, room.number as u64]));
            let disk = Arc::new(room.disk.kept().fork());
            match now_or(Replica::open(disk as Arc<dyn Store>, LOG, env, self.options(&room))) {
                Some(Ok(replica)) => replica.status().unsynced.to_string(),
                Some(Err(error)) => error.to_string(),
                None => "?".to_owned(),
            }
        };
        self.rooms().into_iter().map(on_disk).collect::<Vec<_>>().join(", ")
    }

    /// Everything that must hold at rest.
    pub(crate) async fn check_rest(self: &Arc<Self>) {
        // For newcomers to begin from; a server makes its own where it can read.
        if let Some(room) = self.rooms().last() {
            self.put_snapshot(Arc::clone(room)).await;
        }
        let log = self.check_log().await;
        // Of what was pruned, somebody wrote it here, or it is in the state that stands in for it.
        let keys = reference::keys(&log).into_iter().chain(lock(&self.ledger).keys());
        let collections: BTreeSet<Collection> = keys.map(|key| key.collection).collect();
        let mut first: Option<(String, Shown)> = None;
        let mut unfit = Vec::new();
        for room in self.rooms() {
            let Some(device) = room.device() else { continue };
            unfit.extend(self.unfit(&room, &device.replica).await);
            let shown = self.shown(&device.replica, &collections).await;
            self.alike(&mut first, format!("device {}", room.number), shown);
            self.check(&device).await;
        }
        self.alike_unfit(&unfit);
        if let Some((_, shown)) = &first {
            self.as_reckoned(&log, shown);
        }
        for from_start in [true, false] {
            if let Some(shown) = self.newcomer(from_start, &collections).await {
                self.alike(&mut first, format!("a newcomer (page by page: {from_start})"), shown);
            }
        }
        self.settle_fates(&log).await;
        let devices: Vec<_> = self.rooms().iter().filter_map(|room| room.device()).collect();
        for (name, check) in &self.world.at_rest {
            if let Err(how) = check(devices.clone()).await {
                self.weather.broke(name, how);
            }
        }
    }

    /// The ops that have no effect on a device because their content does not fit, and from which seq on it would know.
    async fn unfit(&self, room: &Room, replica: &Replica) -> Option<Unfit> {
        let unread = match replica.unread().await {
            Ok(unread) => unread,
            Err(error) => {
                self.weather.broke("what was not understood can be read", error.to_string());
                return None;
            }
        };
        // What can never apply is left out by everybody alike; what a newer build wrote is understood by now; and nobody
        // here alters anything, or goes against the log's policy on sealing.
        if let Some((seq, why)) = unread.iter().find(|(_, why)| !matches!(why, Unreadable::LeftOut | Unreadable::Unfit))
        {
            let how = format!("op {seq} is not on device {}: {why:?}", room.number);
            self.weather.broke("everything in the log is understood in the end", how);
        }
        let known_from = room.disk.kept().bounds(LOG).await.ok().flatten().map_or(Seq::FIRST, |bounds| bounds.first);
        let ops = unread.into_iter().filter(|(_, why)| *why == Unreadable::Unfit).map(|(seq, _)| seq).collect();
        Some(Unfit { device: room.number, known_from, ops })
    }

    /// Whoever read an op by itself says the same of it.
    fn alike_unfit(&self, all: &[Unfit]) {
        let Some((first, others)) = all.split_first() else { return };
        for other in others {
            let from = first.known_from.max(other.known_from);
            if !first.ops.range(from..).eq(other.ops.range(from..)) {
                let of =
                    |one: &Unfit| format!("{:?} on device {}", one.ops.range(from..).collect::<Vec<_>>(), one.device);
                let how = format!("{}, {}", of(first), of(other));
                self.weather.broke("what does not fit is left out by everybody alike", how);
            }
        }
    }

    fn alike(&self, first: &mut Option<(String, Shown)>, who: String, shown: Shown) {
        let Some((other, expected)) = first else {
            *first = Some((who, shown));
            return;
        };
        if *expected == shown {
            return;
        }
        let keys: BTreeSet<&EntityKey> = expected.keys().chain(shown.keys()).collect();
        let differs = keys.into_iter().find(|key| expected.get(*key) != shown.get(*key));
        let how = differs.map_or_else(String::new, |key| {
            let one = |shown: &Shown| match shown.get(key) {
                Some(Some(state)) => String::from_utf8_lossy(state).into_owned(),
                Some(None) => "nothing".to_owned(),
                None => "absent".to_owned(),
            };
            format!("{}/{} is {} on {other} and {} on {who}", key.collection, key.entity, one(expected), one(&shown))
        });
        self.weather.broke("all devices show the same in the end", how);
    }

    /// What an op says. The house has every key that anybody was given.
    fn opened(&self, seq: Seq, op: &Op) -> Payload {
        if !op.payload().is_sealed() {
            return op.payload().clone();
        }
        let mut keyring = LogKeyring::new();
        for epoch in 1..=self.epoch.load(Ordering::Relaxed) {
            // Each epoch once.
            let _ = keyring.add(epoch, &self.key(epoch));
        }
        seal::open(&keyring, &SealContext::of_op(LOG, op), op.payload()).unwrap_or_else(|error| {
            self.weather.broke("what is sealed opens with its key", format!("op {seq}: {error}"));
            op.payload().clone()
        })
    }

    /// What is shown is what the log amounts to, reckoned without the product's merging.
    fn as_reckoned(&self, log: &[Stood], shown: &Shown) {
        for (key, expected) in reference::reckon(log, &self.world.schema) {
            self.reckoned.fetch_add(1, Ordering::Relaxed);
            let bytes = shown.get(&key).cloned().flatten();
            let value = bytes.as_deref().and_then(|bytes| serde_json::from_slice::<serde_json::Value>(bytes).ok());
            // A map without fields may still be one.
            let value = value.filter(|value| *value != serde_json::json!({}));
            if value != expected {
                let how = format!("{}/{} is {value:?}, and by its ops {expected:?}", key.collection, key.entity);
                self.weather.broke("what is shown is what the log amounts to", how);
            }
        }
    }

    /// The server's log: no hole, a chain that holds, causes before effects. Says what is in it.
    async fn check_log(&self) -> Vec<Stood> {
        let kept = self.store.kept();
        let mut log: Vec<Stood> = Vec::new();
        let Some(bounds) = self.bounds() else { return log };
        let mut at = bounds.first.before();
        let mut anchor: Option<Anchor> = (at == Seq::ZERO).then(|| Anchor::genesis(LOG, bounds.tip.origin));
        loop {
            let Ok(page) = kept.ops_after(LOG, at, PageLimit::default()).await else {
                self.weather.broke("the log reads", "a page does not");
                return log;
            };
            if page.ops.is_empty() {
                break;
            }
            anchor = anchor.or(page.anchor);
            for logged in &page.ops {
                if Some(logged.seq) != at.next() {
                    self.weather.broke("seqs have no holes", format!("{} follows {at}", logged.seq));
                }
                at = logged.seq;
                anchor = anchor.map(|anchor| anchor.extend(logged.op.digest(), logged.accepted_at));
                if anchor != Some(logged.anchor) {
                    self.weather.broke("the running hash covers every op", format!("not at {at}"));
                }
                match logged.op.read() {
                    Ok(op) => {
                        let payload = self.opened(at, &op);
                        log.push(Stood { seq: at, accepted_at: logged.accepted_at, op, payload });
                    }
                    Err(error) => self.weather.broke("the log reads", format!("{at}: {error}")),
                }
            }
        }
        if at != bounds.last {
            self.weather.broke("seqs have no holes", format!("the log ends at {at}, not at {}", bounds.last));
        }
        self.check_order(&log);
        self.check_restores(&log);
        log
    }

    /// Causes stand before effects, an author's ops in the order of its counters, and its edits of one thing in the order of
    /// their times.
    fn check_order(&self, log: &[Stood]) {
        let mut last: BTreeMap<(ReplicaId, EntityKey), &Stood> = BTreeMap::new();
        let mut counted: BTreeMap<ReplicaId, &Stood> = BTreeMap::new();
        // Two selves that go by one name do not know of each other's times, and what was set aside keeps the time at which it
        // was made.
        let (doubled, retried) = (lock(&self.doubled).clone(), lock(&self.decided).retried.clone());
        for (index, stood) in log.iter().enumerate() {
            let clock = stood.op.clock();
            let effect = |earlier: &&Stood| earlier.op.clock() != clock && earlier.op.clock().covers(clock);
            if let Some(effect) = log[..index].iter().find(effect).filter(|_| !clock.is_empty()) {
                let how = format!("{} after {}", stood.seq, effect.seq);
                self.weather.broke("what was seen stands before what was made of it", how);
            }
            let before = counted.insert(stood.op.replica(), stood);
            if let Some(before) = before.filter(|before| before.op.counter() >= stood.op.counter()) {
                let how = format!(
                    "{} is {}'s op {}, and {} after it the op {}",
                    before.seq,
                    stood.op.replica(),
                    before.op.counter(),
                    stood.seq,
                    stood.op.counter()
                );
                self.weather.broke("an author's ops stand in the order of its counters", how);
            }
            if doubled.contains(&stood.op.replica()) || retried.contains(&stood.op.id()) {
                continue;
            }
            for key in stood.op.subject().keys().filter(|key| self.policy(key) == ConflictPolicy::Merge) {
                let before = last.insert((stood.op.replica(), key), stood);
                let before = before.filter(|before| before.op.hlc() > stood.op.hlc());
                if let Some(before) = before {
                    let how =
                        format!("{} says {}, {} after it {}", before.seq, before.op.hlc(), stood.seq, stood.op.hlc());
                    self.weather.broke("a device's time only goes forward", how);
                }
            }
        }
    }

    /// The first to edit something after a restore, in merging and causal collections, has seen the restore; in causal ones,
    /// everybody has seen who edited it before.
    fn check_restores(&self, log: &[Stood]) {
        let mut restored: Option<&Stood> = None;
        let mut edited: BTreeMap<EntityKey, &Stood> = BTreeMap::new();
        for stood in log {
            // What a log begins with replaces nothing.
            if stood.op.full_state().is_some() && stood.seq > Seq::FIRST {
                restored = Some(stood);
                edited.clear();
            }
            let must = |key: &EntityKey| matches!(self.policy(key), ConflictPolicy::Merge | ConflictPolicy::Causal);
            for key in stood.op.subject().keys().filter(|key| !key.collection.is_system() && must(key)) {
                let blind = restored.filter(|restored| !stood.op.clock().covers(restored.op.clock()));
                if self.policy(&key) == ConflictPolicy::Causal
                    && let Some(before) = edited.get(&key).filter(|before| !stood.op.clock().covers(before.op.clock()))
                {
                    let how = format!("{} has not seen {}", stood.seq, before.seq);
                    self.weather.broke("a causal write has seen what it changes", how);
                }
                if let (None, Some(restored)) = (edited.insert(key, stood), blind) {
                    let how = format!("{} has not seen {}", stood.seq, restored.seq);
                    self.weather.broke("nobody writes over a restore without having seen it", how);
                }
            }
        }
    }

    fn policy(&self, key: &EntityKey) -> ConflictPolicy {
        self.world.schema.rules(&key.collection).policy
    }

    async fn shown(&self, replica: &Replica, collections: &BTreeSet<Collection>) -> Shown {
        let mut shown = Shown::new();
        for collection in collections.iter().filter(|collection| !collection.is_system()) {
            let Ok(entities) = replica.collection(collection.as_str()) else { continue };
            let mut after: Option<EntityId> = None;
            loop {
                let ids = match entities.ids(after, 500).await {
                    Ok(ids) => ids,
                    Err(error) => {
                        self.weather.broke("what is shown can be read", error.to_string());
                        break;
                    }
                };
                for id in &ids {
                    let key = EntityKey { collection: collection.clone(), entity: *id };
                    match replica.state(&key).await {
                        Ok(state) => drop(shown.insert(key, state)),
                        Err(error) => self.weather.broke("what is shown can be read", error.to_string()),
                    }
                }
                after = ids.last().copied();
                if ids.is_empty() {
                    break;
                }
            }
        }
        shown
    }

    /// What a device shows that has just been bought: brought by a snapshot, or page by page from the beginning.
    async fn newcomer(self: &Arc<Self>, from_start: bool, collections: &BTreeSet<Collection>) -> Option<Shown> {
        let room = Arc::clone(self.rooms().first()?);
        let disk = Arc::new(MemoryStore::new());
        let env = Arc::clone(&room.clock) as Arc<dyn EnvSource>;
        let way = Straight { house: Arc::clone(self), room, from_start };
        let options = self.options(&way.room);
        let replica = match Replica::open(disk as Arc<dyn Store>, LOG, env, options).await {
            Ok(replica) => replica,
            Err(error) => {
                self.weather.broke("a new device opens", error.to_string());
                return None;
            }
        };
        match replica.sync_once(&way).await {
            Ok(_) => Some(self.shown(&replica, collections).await),
            Err(error) => {
                self.weather.broke("a new device reads the log", error.to_string());
                None
            }
        }
    }
}

/// A way on which nothing happens.
struct Straight {
    house: Arc<House>,
    room: Arc<Room>,
    /// Nobody has made a snapshot.
    from_start: bool,
}

impl std::fmt::Debug for Straight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Straight({})", self.room.number)
    }
}

#[async_trait::async_trait]
impl Transport for Straight {
    async fn call(&self, call: Call) -> Result<Reply, CallError> {
        let pruned = self.house.bounds().is_some_and(|bounds| bounds.first > Seq::FIRST);
        if self.from_start && !pruned && matches!(call, Call::GetSnapshot(_)) {
            return Ok(Reply::Snapshot(None));
        }
        let mut draw = Draw::new(0);
        let Some((_, process)) = self.house.a_server(&mut draw) else {
            return Err(CallError::Unreachable("no server is up".into()));
        };
        let caller = Caller::operator(LOG.bucket);
        Ok(process.server.handle(&caller, call, self.house.server_clock.env()).await?)
    }
}
