//! A device's process: opens its replica, keeps it in step, does what the application does. It is killed by dropping it.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use futures_channel::mpsc::{UnboundedReceiver, unbounded};
use futures_util::StreamExt as _;
use syncline::client::{Input, Replica, ReplicaError, ReplicaOptions, Retain, Transport as _};
use syncline::store::{Signal, SignalSource, Store, StoreErrorKind};
use syncline::time::EnvSource;

use crate::draw::Draw;
use crate::house::{House, LOG, Room};
use crate::schedule::{Group, lock};
use crate::way::Way;

/// How long a failure of the local store is left alone, and a socket that broke.
const STORE_AGAIN_MS: u64 = 5_000;
const LISTEN_AGAIN_MS: u64 = 10_000;
/// How far apart things are done once everything works.
const BETWEEN_ACTS_MS: u64 = 150;
/// How long one waits without a look at the clock: it may have been set meanwhile.
const LOOK_AGAIN_MS: u64 = 60_000;

impl House {
    /// Starts a device's process in a while.
    pub(crate) fn boot(self: &Arc<Self>, room: &Arc<Room>, after_ms: u64) {
        let (house, room) = (Arc::clone(self), Arc::clone(room));
        self.weather.schedule.begin(Group::Device(room.number), async move {
            house.weather.sleep(after_ms).await;
            house.live(room).await;
        });
    }

    async fn live(self: Arc<Self>, room: Arc<Room>) {
        let (network, mut news) = unbounded();
        *lock(&room.network) = Some(network);
        let replica = loop {
            let disk = Arc::clone(&room.disk) as Arc<dyn Store>;
            let env = Arc::clone(&room.clock) as Arc<dyn EnvSource>;
            match Replica::open(disk, LOG, env, self.options(&room)).await {
                Ok(replica) => break replica,
                Err(error) => self.judge(room.number, "open", &error),
            }
            self.weather.sleep(STORE_AGAIN_MS).await;
        };
        self.weather.note(&[8, room.number as u64], format_args!("device {} is open", room.number));
        room.life.fetch_add(1, Ordering::Relaxed);
        room.note_name(&replica);
        *lock(&room.replica) = Some(replica.clone());
        loop {
            if let Err(error) = self.converse(&room, &replica, &mut news).await {
                self.judge(room.number, "sync", &error);
            }
            self.weather.sleep(STORE_AGAIN_MS).await;
        }
    }

    pub(crate) fn options(&self, room: &Room) -> ReplicaOptions {
        let mut options = ReplicaOptions::default();
        let version = room.version.load(Ordering::Relaxed);
        options.schema = self.world.schema.clone().understood_up_to(version);
        options.schema_version = version;
        options.retain = self.plan.retain.map_or(Retain::Everything, |ops| Retain::Window { ops, ms: 0 });
        if self.plan.sealed {
            options.sealer = Some(Arc::new(room.keys.clone()));
            options.sealing = Some(syncline::oplog::Sealing::Required);
        }
        options
    }

    /// The conversation, driven as a program does that stays.
    async fn converse(
        self: &Arc<Self>,
        room: &Arc<Room>,
        replica: &Replica,
        news: &mut UnboundedReceiver<bool>,
    ) -> Result<(), ReplicaError> {
        let way = Way { house: Arc::clone(self), room: Arc::clone(room) };
        let env = &room.clock;
        let mut session = replica.session().await?;
        let mut edits = replica.edits();
        session.handle(Input::Online, env.env());
        let mut wakes: Option<Box<dyn SignalSource>> = None;
        let mut listen_at = 0;
        loop {
            let until = replica.advance(&mut session, &way).await;
            room.note_name(replica);
            let until = until?;
            if wakes.is_none() && self.weather.now() >= listen_at {
                wakes = way.wakes(LOG).await.ok().flatten();
                listen_at = self.weather.now() + LISTEN_AGAIN_MS;
            }
            let wait = until.map(|until| until.ms().saturating_sub(env.env().now.ms()).min(LOOK_AGAIN_MS));
            let input = {
                let mut edited = pin!(replica.edited_since(edits));
                let mut woken = pin!(next(&mut wakes));
                let mut told = pin!(news.next());
                let mut timer = pin!(self.weather.sleep(wait.unwrap_or(u64::MAX / 2)));
                poll_fn(|context| {
                    if edited.as_mut().poll(context).is_ready() {
                        return Poll::Ready(Heard::Edit);
                    }
                    if let Poll::Ready(signal) = woken.as_mut().poll(context) {
                        return Poll::Ready(Heard::Signal(signal));
                    }
                    if let Poll::Ready(Some(online)) = told.as_mut().poll(context) {
                        return Poll::Ready(Heard::Network(online));
                    }
                    timer.as_mut().poll(context).map(|()| Heard::Time)
                })
                .await
            };
            let input = match input {
                Heard::Edit => {
                    edits = replica.edits();
                    Input::Edited
                }
                Heard::Signal(Some(Signal::Wake { seq, .. })) => Input::Wake(seq),
                Heard::Signal(Some(_)) => continue,
                Heard::Signal(None) => {
                    wakes = None;
                    Input::Tick
                }
                Heard::Network(true) => Input::Online,
                Heard::Network(false) => Input::Offline,
                Heard::Time => Input::Tick,
            };
            session.handle(input, env.env());
        }
    }

    /// What the application does on a device, once.
    pub(crate) fn act(self: &Arc<Self>, room: &Arc<Room>, act: u64, draw: u64) {
        let Some(device) = room.device() else { return };
        let (house, room) = (Arc::clone(self), Arc::clone(room));
        self.weather.schedule.begin(Group::Device(room.number), async move {
            let name = house.world.named(act);
            house.weather.note(&[9, room.number as u64, act], format_args!("device {}: {name}", room.number));
            let Some(doing) = house.world.begin(act, device.clone(), Draw::new(draw)) else { return };
            match doing.await {
                Ok(wrote) => lock(&house.ledger).follow(&room, wrote),
                Err(error) => house.judge(room.number, name, &error),
            }
            house.check(&device).await;
        });
    }

    /// Each act of the world once, on one device after the other, while everything works. What an act asks for
    /// may not be there; any other error is one that nothing explains any more.
    pub(crate) async fn do_everything(self: &Arc<Self>) {
        let rooms = self.rooms();
        for (act, room) in (0..self.world.acts()).zip(rooms.iter().cycle()) {
            let Some(device) = room.device() else { continue };
            let (name, draw) = (self.world.named(act), self.weather.draw(&[16, act]));
            self.weather.note(&[9, room.number as u64, act], format_args!("device {}: {name}", room.number));
            let Some(doing) = self.world.begin(act, device.clone(), draw) else { continue };
            match doing.await {
                Ok(wrote) => lock(&self.ledger).follow(room, wrote),
                Err(error) => self.judge_calm(room.number, name, &error),
            }
            self.check(&device).await;
            self.weather.sleep(BETWEEN_ACTS_MS).await;
        }
    }

    /// A device gives the server a snapshot.
    pub(crate) async fn put_snapshot(self: &Arc<Self>, room: Arc<Room>) {
        let Some(device) = room.device() else { return };
        let way = Way { house: Arc::clone(self), room: Arc::clone(&room) };
        let calm = self.weather.is_calm();
        match device.replica.put_snapshot(&way).await {
            Ok(cursor) => {
                let at = cursor.map_or(0, |cursor| cursor.seq.get());
                self.weather.note(&[17, at], format_args!("device {} put a snapshot at seq {at}", room.number));
            }
            Err(error) if calm => self.judge_calm(room.number, "put a snapshot", &error),
            Err(error) => self.judge(room.number, "put a snapshot", &error),
        }
    }

    fn judge_calm(&self, device: usize, doing: &str, error: &ReplicaError) {
        use ReplicaError::{
            Beyond, InsideBatch, List, NoSuchWrite, NotKept, NothingThere, NothingToUndo, Path, Text, Tree, UnderWay,
        };
        self.judge(device, doing, error);
        let asked_for_what_is_not_there = matches!(
            error,
            Beyond { .. }
                | InsideBatch(_)
                | List(_)
                | NoSuchWrite(_)
                | NotKept(_)
                | NothingThere
                | NothingToUndo
                | Path(_)
                | Text(_)
                | Tree(_)
                | UnderWay(_)
        );
        if !asked_for_what_is_not_there {
            let how = format!("device {device} cannot {doing}: {error}");
            self.weather.broke("everything can be done once everything works", how);
        }
    }

    /// What must hold on a device at any time.
    pub(crate) async fn check(&self, device: &crate::world::Device) {
        for (name, check) in &self.world.invariants {
            if let Err(how) = check(device.clone()).await {
                self.weather.broke(name, format!("on device {}: {how}", device.number));
            }
        }
    }

    /// Most errors are what a fault looks like; some say that something stored is damaged, which no fault here does.
    pub(crate) fn judge(&self, device: usize, doing: &str, error: &ReplicaError) {
        self.weather.note(&[10, device as u64], format_args!("device {device} cannot {doing}: {error}"));
        let damage = match error {
            ReplicaError::Corrupt(_) | ReplicaError::NotAReplica | ReplicaError::Unfit(_) => true,
            ReplicaError::Store(error) => {
                use StoreErrorKind::{Corrupt, Fault, Runaway};
                matches!(error.kind(), Corrupt | Fault | Runaway)
            }
            _ => false,
        };
        if damage {
            self.weather.broke("what is stored is never damaged", format!("device {device}, {doing}: {error}"));
        }
    }
}

enum Heard {
    Edit,
    Signal(Option<Signal>),
    Network(bool),
    Time,
}

async fn next(wakes: &mut Option<Box<dyn SignalSource>>) -> Option<Signal> {
    match wakes {
        Some(wakes) => wakes.next().await,
        None => std::future::pending().await,
    }
}
