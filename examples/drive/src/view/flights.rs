//! Placeholders whose bytes are on their way, and who waits for them: what [`Hydration`] says, for each of them.
//!
//! What must hold: however many wait for a file, it is brought once; who waits hears of its end, whatever that is; nobody gets
//! bytes of a content that the server has given up before they were here.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::io::Errno;
use syncline::EntityId;
use syncline::files::{Act, Around, Body, Happening, Held, Hydration};
use tokio::sync::{Notify, oneshot};

use super::window::Both;

/// Files whose bytes are on their way.
#[derive(Debug, Default)]
pub(super) struct Flights {
    all: HashMap<EntityId, Flight>,
    begun: u64,
}

/// A file whose bytes are on their way.
#[derive(Debug)]
pub(super) struct Flight {
    state: Hydration,
    /// What is brought, and where to.
    pub(super) held: Held,
    pub(super) folder: Arc<OwnedFd>,
    /// Which download this is.
    number: u64,
    /// How often it was begun anew.
    pub(super) round: u64,
    /// Something was changed: whoever brings it looks again.
    pub(super) changed: Arc<Notify>,
    waiters: Vec<Waiter>,
}

type Waiter = oneshot::Sender<Result<(), Errno>>;

/// What whoever wants a placeholder's bytes does.
#[derive(Debug)]
pub(super) enum Asked {
    /// Waits for them; `Some`: and begins to bring them, under this number.
    Wait(oneshot::Receiver<Result<(), Errno>>, Option<u64>),
    /// Goes on with what is there.
    Serve,
    /// Gets an error.
    Refused,
}

impl Flights {
    /// A file's state, if its bytes are on their way.
    pub(super) fn state(&self, id: EntityId) -> Option<Hydration> {
        self.all.get(&id).map(|flight| flight.state)
    }

    pub(super) fn get(&self, id: EntityId, number: u64) -> Option<&Flight> {
        self.all.get(&id).filter(|flight| flight.number == number)
    }

    fn next(&mut self) -> u64 {
        self.begun += 1;
        self.begun
    }

    /// Ends a download: tells who waits, and whoever brings it.
    fn end(&mut self, id: EntityId, with: Result<(), Errno>) {
        let Some(flight) = self.all.remove(&id) else { return };
        flight.changed.notify_one();
        for waiter in flight.waiters {
            // Who gave up waiting need not hear it.
            let _ = waiter.send(with);
        }
    }
}

impl Both {
    /// Somebody wants the bytes of a placeholder that would lie in an open folder, to read them ([`Happening::Read`]), or to
    /// write a part of them ([`Happening::Wrote`]).
    pub(super) fn want(&mut self, id: EntityId, folder: OwnedFd, what: Happening) -> Asked {
        let held = self.placeholder(id);
        let state = self.flights.state(id).or(held.as_ref().map(|_| Hydration::Placeholder)).unwrap_or(Hydration::Gone);
        let (next, act) = state.on(what, Around::default());
        if next == Hydration::Gone && self.fact(id).is_some_and(|held| held.body == Body::Here) {
            return Asked::Serve;
        }
        let (tell, told) = oneshot::channel();
        match (act, held) {
            (Act::Fetch, Some(held)) => {
                let number = self.flights.next();
                let (folder, changed) = (Arc::new(folder), Arc::new(Notify::new()));
                let flight = Flight { state: next, held, folder, number, round: 0, changed, waiters: vec![tell] };
                self.flights.all.insert(id, flight);
                Asked::Wait(told, Some(number))
            }
            (Act::Join, _) => match self.flights.all.get_mut(&id) {
                Some(flight) => {
                    flight.state = next;
                    flight.waiters.push(tell);
                    Asked::Wait(told, None)
                }
                None => Asked::Refused,
            },
            (Act::Serve, _) => Asked::Serve,
            _ => Asked::Refused,
        }
    }

    /// Something else stands where a placeholder stood: if its bytes are on their way, they are not needed any more, and who
    /// waited for them finds what stands there now.
    pub(super) fn replaced(&mut self, id: EntityId) {
        let state = self.flights.state(id).unwrap_or(Hydration::Placeholder);
        if state.on(Happening::Emptied, Around::default()).1 == Act::Cancel {
            self.flights.end(id, Ok(()));
        }
    }

    /// A placeholder was deleted, by its user or at the server.
    pub(super) fn deleted(&mut self, id: EntityId) {
        let state = self.flights.state(id).unwrap_or(Hydration::Placeholder);
        if state.on(Happening::Deleted, Around::default()).1 == Act::Abandon {
            self.flights.end(id, Err(Errno::NOENT));
        }
    }

    /// A download came to an end: `Ok`, its bytes are here and the right ones.
    pub(super) fn ended(&mut self, (id, number): (EntityId, u64), with: Result<(), Errno>) {
        let happening = if with.is_ok() { Happening::Verified } else { Happening::Failed };
        let Some(flight) = self.flights.get(id, number) else { return };
        match flight.state.on(happening, Around::default()).1 {
            Act::Serve => self.flights.end(id, Ok(())),
            Act::Fail => self.flights.end(id, Err(with.err().unwrap_or(Errno::IO))),
            _ => {}
        }
    }

    /// What the engine shows is otherwise: tells the downloads whose files were changed or deleted.
    pub(super) fn news_for_flights(&mut self) {
        let ids: Vec<EntityId> = self.flights.all.keys().copied().collect();
        for id in ids {
            let Some(held) = self.placeholder(id) else {
                self.deleted(id);
                continue;
            };
            let Some(flight) = self.flights.all.get_mut(&id) else { continue };
            let is_same = flight.held.content.zip(held.content).is_some_and(|(a, b)| a.is_same(&b));
            if is_same {
                continue;
            }
            let (next, act) = flight.state.on(Happening::Changed, Around::default());
            flight.state = next;
            if act == Act::Restart {
                let (content, content_seq) = (held.content, held.content_seq);
                flight.held = Held { content, content_seq, ..flight.held.clone() };
                flight.round += 1;
                flight.changed.notify_one();
            }
        }
    }
}
