//! What a plan's events do.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use syncline::Seq;
use syncline::access::Access;
use syncline::store::{MemoryStore, StoreExt as _};

use crate::house::{House, Image, LOG, Room};
use crate::menu::Kind;
use crate::plan::Event;
use crate::schedule::{Group, Runner, lock, now_or};
use crate::way::Way;

/// Devices there may be.
const DEVICES_MAX: usize = 7;

impl House {
    pub(crate) fn happen(self: &Arc<Self>, event: &Event, runner: &mut Runner) {
        let rooms = self.rooms();
        let who = usize::try_from(event.who).unwrap_or_default();
        let Some(room) = rooms.get(who % rooms.len().max(1)) else { return };
        if event.kind == Kind::Act {
            self.act(room, event.span, event.with);
            return;
        }
        if self.is_to(event, room, runner) {
            self.weather.count_event(event.kind);
            let numbers = [11, event.kind as u64, event.who, event.with, event.span];
            let (kind, with, span) = (event.kind.name(), event.with, event.span);
            self.weather.note(&numbers, format_args!("{kind} (device {}, {with}, {span} ms)", room.number));
        }
    }

    /// Does it, where it can be done; whether it was.
    fn is_to(self: &Arc<Self>, event: &Event, room: &Arc<Room>, runner: &mut Runner) -> bool {
        let until = self.weather.now() + event.span;
        match event.kind {
            Kind::Act => false,
            Kind::Kill => {
                self.kill(room, runner);
                self.boot(room, event.span);
                true
            }
            Kind::KillTwice => {
                self.kill(room, runner);
                self.boot(room, event.span);
                self.kill_again(room, event.span + event.with % 20);
                true
            }
            Kind::Offline => {
                room.mute_until.fetch_max(until, Ordering::Relaxed);
                room.deaf_until.fetch_max(until, Ordering::Relaxed);
                if event.with.is_multiple_of(2) {
                    room.tell(false);
                    self.tell_later(room, event.span);
                }
                true
            }
            Kind::Mute => {
                room.mute_until.fetch_max(until, Ordering::Relaxed);
                true
            }
            Kind::Deaf => {
                room.deaf_until.fetch_max(until, Ordering::Relaxed);
                true
            }
            Kind::Clock => {
                room.clock.set(event.with.cast_signed());
                true
            }
            Kind::ServerClock => {
                self.server_clock.set(event.with.cast_signed());
                true
            }
            Kind::Rights => {
                let access = (event.with % 2 == 1).then_some(Access::Read);
                *lock(&room.rights) = Some((until, access));
                self.tell_later(room, event.span);
                true
            }
            Kind::Upgrade => {
                room.version.fetch_add(1, Ordering::Relaxed);
                self.kill(room, runner);
                self.boot(room, event.span);
                true
            }
            Kind::Rotate => self.rotate(room),
            Kind::PutSnapshot => {
                let (house, room) = (Arc::clone(self), Arc::clone(room));
                self.weather.schedule.begin(Group::Device(room.number), async move { house.put_snapshot(room).await });
                true
            }
            Kind::BackUp => {
                let image = Image { kept: room.disk.kept().fork(), writes: lock(&room.writes).clone() };
                *lock(&room.image) = Some(image);
                true
            }
            Kind::PutBack => {
                let Some((kept, writes)) =
                    lock(&room.image).as_ref().map(|image| (image.kept.fork(), image.writes.clone()))
                else {
                    return false;
                };
                // As a wiped one.
                if !self.has_log() && !has_log(&kept) {
                    return false;
                }
                self.double(room);
                self.replace_disk(room, kept, writes, event.span, runner);
                true
            }
            Kind::Wipe => {
                // Whoever comes first to an empty server without anything makes another log: a choice, not a fault.
                if !self.has_log() {
                    return false;
                }
                self.replace_disk(room, MemoryStore::new(), BTreeSet::new(), event.span, runner);
                true
            }
            Kind::Clone => {
                if self.rooms().len() >= DEVICES_MAX {
                    return false;
                }
                self.double(room);
                let copy = self.add(room.disk.kept().fork(), lock(&room.writes).clone(), Some(room));
                self.boot(&copy, event.span);
                true
            }
            Kind::KillServer => {
                let number = usize::try_from(event.who).unwrap_or_default() % self.plan.servers;
                self.kill_server(number, event.span, runner);
                true
            }
            Kind::BackUpServer => {
                *lock(&self.image) = Some(self.store.kept().fork());
                true
            }
            Kind::PutBackServer => {
                let Some(kept) = lock(&self.image).as_ref().map(MemoryStore::fork) else { return false };
                // A log that is begun anew must find those who had it.
                if !has_log(&kept) && !self.everybody_has_some() {
                    return false;
                }
                self.replace_store(kept, event.span, runner);
                true
            }
            Kind::EmptyServer => {
                if !self.everybody_has_some() {
                    return false;
                }
                self.replace_store(MemoryStore::new(), event.span, runner);
                true
            }
            Kind::Prune => self.prune(event.with, event.span),
        }
    }

    fn kill(&self, room: &Room, runner: &mut Runner) {
        runner.kill(Group::Device(room.number));
        *lock(&room.replica) = None;
        *lock(&room.network) = None;
    }

    /// Once more, from a task of nobody's: a kill is the runner's, so it is asked for.
    fn kill_again(self: &Arc<Self>, room: &Arc<Room>, after_ms: u64) {
        let (house, room) = (Arc::clone(self), Arc::clone(room));
        self.weather.schedule.begin(Group::Wire, async move {
            house.weather.sleep(after_ms).await;
            if !house.weather.is_calm() {
                lock(&house.to_kill).push(room.number);
            }
        });
    }

    /// Kills what was asked for.
    pub(crate) fn kill_asked(self: &Arc<Self>, runner: &mut Runner) {
        let asked = std::mem::take(&mut *lock(&self.to_kill));
        for number in asked {
            if let Some(room) = self.rooms().get(number) {
                self.kill(room, runner);
                self.boot(room, 100);
            }
        }
    }

    fn tell_later(self: &Arc<Self>, room: &Arc<Room>, after_ms: u64) {
        let (house, room) = (Arc::clone(self), Arc::clone(room));
        self.weather.schedule.begin(Group::Wire, async move {
            house.weather.sleep(after_ms).await;
            room.tell(true);
        });
    }

    /// Two selves of a device go by its names from here on: a server that knows no better takes what both write.
    fn double(&self, room: &Room) {
        lock(&self.doubled).extend(lock(&room.names).iter().copied());
    }

    fn replace_disk(
        self: &Arc<Self>,
        room: &Arc<Room>,
        kept: MemoryStore,
        writes: BTreeSet<usize>,
        down_ms: u64,
        runner: &mut Runner,
    ) {
        self.kill(room, runner);
        room.disk.replace(kept);
        *lock(&room.writes) = writes;
        room.era.fetch_add(1, Ordering::Relaxed);
        now_or(self.settle_losses());
        self.boot(room, down_ms);
    }

    fn kill_server(self: &Arc<Self>, number: usize, down_ms: u64, runner: &mut Runner) {
        runner.kill(Group::Server(number));
        if let Some(place) = lock(&self.servers).get_mut(number) {
            *place = None;
        }
        let house = Arc::clone(self);
        self.weather.schedule.begin(Group::Wire, async move {
            house.weather.sleep(down_ms).await;
            // Whoever heals starts what is down.
            if !house.weather.is_calm() {
                house.start_server(number);
            }
        });
    }

    fn replace_store(self: &Arc<Self>, kept: MemoryStore, down_ms: u64, runner: &mut Runner) {
        for number in 0..self.plan.servers {
            self.kill_server(number, down_ms, runner);
        }
        self.store.replace(kept);
        for room in self.rooms() {
            room.era.fetch_add(1, Ordering::Relaxed);
        }
        now_or(self.settle_losses());
    }

    fn has_log(&self) -> bool {
        has_log(&self.store.kept())
    }

    fn everybody_has_some(&self) -> bool {
        self.rooms().iter().all(|room| has_log(&room.disk.kept()))
    }

    /// Up to so far, or up to the newest full state, itself and then the one after it.
    fn prune(self: &Arc<Self>, permille: u64, near: u64) -> bool {
        let Some(bounds) = now_or(self.store.kept().bounds(LOG)).and_then(Result::ok).flatten() else { return false };
        let (first, last) = (bounds.first.get(), bounds.last.get());
        let state = bounds.full_state.as_ref().map(|mark| mark.seq.get()).filter(|_| near > 0);
        let at = state.map_or(first + last.saturating_sub(first) * permille / 1_000, |state| state + near - 1);
        let before = Seq::new(at.min(last)).unwrap_or(bounds.first);
        let house = Arc::clone(self);
        self.weather.schedule.begin(Group::Server(0), async move {
            let mut draw = house.weather.draw(&[12, before.get()]);
            let Some((_, process)) = house.a_server(&mut draw) else { return };
            let pruned = process.server.prune(LOG, before).await;
            house.weather.note(&[12, before.get()], format_args!("the server prunes: {pruned:?}"));
        });
        true
    }

    /// The application makes a new key, gives the log its next epoch, and brings the key to the others in a while.
    fn rotate(self: &Arc<Self>, room: &Arc<Room>) -> bool {
        let Some(device) = room.device() else { return false };
        let (house, room) = (Arc::clone(self), Arc::clone(room));
        self.weather.schedule.begin(Group::Device(room.number), async move {
            let epoch = room.keys.epochs().last().copied().unwrap_or(1) + 1;
            house.epoch.fetch_max(epoch, Ordering::Relaxed);
            house.give_key(&room.keys, epoch);
            let way = Way { house: Arc::clone(&house), room: Arc::clone(&room) };
            if let Err(error) = device.replica.rotate_keys(&way, epoch).await {
                house.judge(room.number, "rotate", &error);
            }
            let mut draw = house.weather.draw(&[13, room.number as u64, u64::from(epoch)]);
            for other in house.rooms() {
                let (at, after) = (Arc::clone(&house), draw.below(60_000));
                house.weather.schedule.begin(Group::Wire, async move {
                    at.weather.sleep(after).await;
                    at.give_key(&other.keys, epoch);
                    if let Some(device) = other.device() {
                        device.replica.keys_changed();
                    }
                });
            }
        });
        true
    }
}

fn has_log(kept: &MemoryStore) -> bool {
    let bounds = now_or(kept.bounds(LOG)).and_then(Result::ok).flatten();
    bounds.is_some_and(|bounds| bounds.last > Seq::ZERO)
}
