//! A state of a world, and the model that stateright explores.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use stateright::{Model, Property};
use syncline::call::Call;
use syncline::store::MemoryStore;

use super::action::Action;
use super::facts::{DeviceFacts, Writes, device_facts};
use super::fixed::number;
use super::process::Told;
use super::scope::{Left, Scope, Start};
use super::server::Kept;
use super::settle::settle;

/// What a device keeps, and what is to be said of it.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) number: u64,
    pub(crate) facts: Result<DeviceFacts, String>,
}

impl Image {
    pub(crate) fn of(store: Arc<MemoryStore>) -> Arc<Self> {
        Arc::new(Self { number: store.fingerprint(), facts: device_facts(&store), store })
    }

    pub(crate) fn held(&self) -> Writes {
        self.facts.as_ref().map_or(0, |facts| facts.held)
    }
}

/// An open process: what it was opened on, what it was told since, and what it asks.
#[derive(Debug)]
pub(crate) struct Talk {
    pub(crate) opened_on: Arc<Image>,
    pub(crate) told: Vec<Told>,
    pub(crate) asks: Option<Call>,
    pub(crate) number: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct Device {
    /// Its name for randomness: another after it was put back to an image.
    pub(crate) actor: u64,
    pub(crate) now: Arc<Image>,
    pub(crate) talk: Option<Arc<Talk>>,
}

/// A call that nobody waits for any more.
#[derive(Debug)]
pub(crate) struct Late {
    pub(crate) call: Call,
    pub(crate) number: u64,
}

/// A state of a world.
#[derive(Debug, Clone)]
pub struct State {
    pub(crate) server: Arc<Kept>,
    pub(crate) backup: Option<Arc<Kept>>,
    pub(crate) late: Option<Arc<Late>>,
    pub(crate) devices: Vec<Device>,
    pub(crate) image: Option<Arc<Image>>,
    pub(crate) left: Left,
    /// Writes so far.
    pub(crate) written: u8,
    /// Those that must not be lost.
    pub(crate) expected: Writes,
    /// Actors so far.
    pub(crate) actors: u64,
    pub(crate) fault: Option<String>,
}

impl State {
    /// A number for all of it.
    #[must_use]
    pub fn number(&self) -> u64 {
        number(self)
    }

    /// The writes that are anywhere where they are not lost.
    pub(crate) fn held(&self) -> Writes {
        let server = self.server.facts.as_ref().map_or(0, |facts| facts.held);
        self.devices.iter().fold(server, |held, device| held | device.now.held())
    }

    /// What is wrong with it, if anything.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        if let Some(fault) = &self.fault {
            return Some(fault.clone());
        }
        if let Err(why) = &self.server.facts {
            return Some(format!("the server: {why}"));
        }
        for (index, device) in self.devices.iter().enumerate() {
            if let Err(why) = &device.now.facts {
                return Some(format!("device {index}: {why}"));
            }
        }
        let lost = self.expected & !self.held();
        (lost != 0).then(|| format!("writes are nowhere: {lost:#b}"))
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.number() == other.number()
    }
}

impl Hash for State {
    fn hash<H: Hasher>(&self, out: &mut H) {
        self.server.number.hash(out);
        self.backup.as_ref().map(|kept| kept.number).hash(out);
        self.late.as_ref().map(|late| late.number).hash(out);
        self.image.as_ref().map(|image| image.number).hash(out);
        for device in &self.devices {
            (device.actor, device.now.number, device.talk.as_ref().map(|talk| talk.number)).hash(out);
        }
        (self.left, self.written, self.expected, self.actors, self.fault.is_some()).hash(out);
    }
}

/// A scope, as something that can be explored.
#[derive(Debug, Clone)]
pub struct World {
    /// What may happen.
    pub scope: Scope,
    /// Which way is gone first, and of which states it is asked whether all ends well.
    pub seed: u64,
    /// One state in so many is asked whether all ends well from it.
    pub settle_every: u64,
}

impl World {
    pub(crate) fn first_state(&self) -> State {
        let devices = (0..u64::from(self.scope.devices)).map(|actor| {
            let now = Image::of(Arc::new(MemoryStore::new()));
            Device { actor: actor + 1, now, talk: None }
        });
        let state = State {
            server: Kept::empty(0),
            backup: None,
            late: None,
            devices: devices.collect(),
            image: None,
            left: self.scope.left,
            written: 0,
            expected: 0,
            actors: u64::from(self.scope.devices),
            fault: None,
        };
        match self.scope.start {
            Start::Nothing => state,
            Start::InStep => self.in_step(state),
        }
    }

    /// What is wrong in a state, or on the best way on from it.
    #[must_use]
    pub fn verdict(&self, state: &State) -> Option<String> {
        state.fault().or_else(|| settle(self, state).err())
    }
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.first_state()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.fault.is_some() {
            return;
        }
        self.may(state, actions);
        let here = number((self.seed, state));
        actions.sort_by_cached_key(|action| number((here, action)));
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        self.act(state, action)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(KEPT, |_, state: &State| state.fault().is_none()),
            Property::always(ENDS_WELL, |world: &Self, state: &State| {
                !number((world.seed, 1, state)).is_multiple_of(world.settle_every)
                    || state.fault().is_some()
                    || settle(world, state).is_ok()
            }),
        ]
    }
}

/// The name of what is looked at in every state.
pub(crate) const KEPT: &str = "logs are whole, devices show what their logs give, and no write is lost or counts twice";
/// The name of what is looked at on the way on from a state.
pub(crate) const ENDS_WELL: &str = "once everything works, all devices end alike with nothing left to send";
