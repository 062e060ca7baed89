//! What an application hears from its replica.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, Weak};

use super::entry::WriteNo;
use super::gate::{Bell, lock};
use super::parked::ParkReason;
use super::session::Halt;
use crate::limits;
use crate::oplog::EntityKey;
use crate::seq::Seq;

/// Something happened to what a replica shows, or to a write.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// These entities may read differently now, because of a write here or elsewhere.
    Changed(BTreeSet<EntityKey>),
    /// Anything may read differently now: a full state came, or more happened than this listener kept up with.
    Reset,
    /// A write was refused.
    Parked(WriteNo, ParkReason),
    /// A write met another one; see [`Replica::conflicts`](super::Replica::conflicts).
    Conflict(WriteNo),
    /// Syncing stopped for want of a key, or because the log's policy on sealed payloads is another.
    Halted(Halt),
    /// Everything up to here is on every device now.
    Stable(Seq),
    /// This device's clock differs from the server's by more than the engine lets count
    /// ([`limits::CLOCK_DRIFT_MS_MAX`]); positive when it is ahead.
    Skew {
        /// By how much.
        ms: i64,
    },
}

/// Listeners of one replica.
#[derive(Debug, Default)]
pub(super) struct Watchers(Mutex<Vec<Weak<Inbox>>>);

#[derive(Debug, Default)]
struct Inbox {
    events: Mutex<VecDeque<Event>>,
    bell: Bell,
}

/// Events from the moment it was asked for. Dropping it ends it.
#[derive(Debug)]
pub struct Events {
    inbox: Arc<Inbox>,
}

impl Watchers {
    pub(super) fn listen(&self) -> Events {
        let inbox = Arc::new(Inbox::default());
        lock(&self.0).push(Arc::downgrade(&inbox));
        Events { inbox }
    }

    pub(super) fn tell(&self, event: &Event) {
        let mut watchers = lock(&self.0);
        watchers.retain(|watcher| {
            let Some(inbox) = watcher.upgrade() else { return false };
            inbox.put(event.clone());
            true
        });
    }
}

impl Inbox {
    fn put(&self, event: Event) {
        let mut events = lock(&self.events);
        match (events.back_mut(), event) {
            (Some(Event::Changed(known)), Event::Changed(more)) => known.extend(more),
            (_, event) => events.push_back(event),
        }
        let held: usize = events.iter().map(Event::weight).sum();
        if held > limits::EVENTS_HELD_MAX {
            // Nothing is lost that cannot be read: whoever hears this reads anew.
            events.clear();
            events.push_back(Event::Reset);
        }
        drop(events);
        self.bell.ring();
    }
}

impl Event {
    fn weight(&self) -> usize {
        match self {
            Self::Changed(keys) => keys.len(),
            _ => 1,
        }
    }
}

impl Events {
    /// Waits for the next event.
    pub async fn next(&mut self) -> Event {
        loop {
            let rung = self.inbox.bell.times();
            if let Some(event) = self.try_next() {
                return event;
            }
            self.inbox.bell.rung_since(rung).await;
        }
    }

    /// The next event, if one is there.
    pub fn try_next(&mut self) -> Option<Event> {
        lock(&self.inbox.events).pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(index: usize) -> Event {
        let entity = crate::EntityId::named(&index.to_string());
        Event::Changed([EntityKey { collection: crate::oplog::Collection::system("sys.test"), entity }].into())
    }

    #[test]
    fn a_listener_that_does_not_listen_holds_so_much_and_then_reads_anew() {
        for (count, held) in
            [(limits::EVENTS_HELD_MAX - 1, true), (limits::EVENTS_HELD_MAX, true), (limits::EVENTS_HELD_MAX + 1, false)]
        {
            let watchers = Watchers::default();
            let mut events = watchers.listen();
            (0..count).for_each(|index| watchers.tell(&changed(index)));
            match events.try_next() {
                Some(Event::Changed(keys)) if held => assert_eq!(keys.len(), count),
                Some(Event::Reset) => assert!(!held),
                other => panic!("{other:?}"),
            }
        }
    }
}
