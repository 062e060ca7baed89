//! What a user says of their application: its rules, what is done on a device, and what must hold.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use syncline::OpId;
use syncline::client::{Receipt, Replica, ReplicaError, WriteNo};
use syncline::oplog::{EntityKey, Op, Schema};

use crate::draw::Draw;
use crate::house::Decided;
use crate::ledger::Aside;
use crate::schedule::lock;

/// A device as acts and checks see it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Device {
    /// Its copy of the log.
    pub replica: Replica,
    /// Which device, from 0.
    pub number: usize,
    /// How often its content was replaced by an older or another one: what it showed before says nothing about now.
    pub era: u64,
    pub(crate) decided: Arc<Mutex<Decided>>,
}

impl Device {
    /// Says that a write, parked or in a conflict record, is about to be decided by its user: its fate is followed no more.
    pub fn gives_up(&self, op: &Op) {
        lock(&self.decided).given_up.push(Aside { room: self.number, op: op.clone() });
    }

    /// Says that a restore which waited was taken back, and which is not known: an earlier process may have made it.
    pub fn took_a_restore_back(&self) {
        lock(&self.decided).taken_back.push(self.number);
    }

    /// Says that a parked write is about to be sent again: it keeps the time at which it was made, and so may come after
    /// younger ones.
    pub fn retries(&self, op: OpId) {
        lock(&self.decided).retried.insert(op);
    }
}

/// What an act wrote, so that its fate is followed: in the end it is in the log, parked, or in a conflict record.
#[derive(Debug, Default)]
pub struct Wrote {
    pub(crate) writes: Vec<(Receipt, Option<EntityKey>)>,
}

impl Wrote {
    /// Nothing whose fate matters.
    #[must_use]
    pub fn nothing() -> Self {
        Self::default()
    }

    /// A write on an entity: while it waits, a later one on the same entity may say all that it says, and be sent instead.
    #[must_use]
    pub fn on(key: &EntityKey, receipt: Receipt) -> Self {
        Self { writes: vec![(receipt, Some(key.clone()))] }
    }
}

impl From<Receipt> for Wrote {
    fn from(receipt: Receipt) -> Self {
        Self { writes: vec![(receipt, None)] }
    }
}

impl From<Vec<Receipt>> for Wrote {
    fn from(receipts: Vec<Receipt>) -> Self {
        Self { writes: receipts.into_iter().map(|receipt| (receipt, None)).collect() }
    }
}

impl From<Option<Receipt>> for Wrote {
    fn from(receipt: Option<Receipt>) -> Self {
        receipt.map_or_else(Self::nothing, Self::from)
    }
}

/// A write whose fate is followed.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) op: OpId,
    pub(crate) no: WriteNo,
    pub(crate) key: Option<EntityKey>,
    pub(crate) receipt: Receipt,
    /// Whose process wrote it, and which of that device's lives.
    pub(crate) room: usize,
    pub(crate) life: u64,
}

pub(crate) type ActFuture = Pin<Box<dyn Future<Output = Result<Wrote, ReplicaError>> + Send>>;
pub(crate) type CheckFuture = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

type Act = Box<dyn Fn(Device, Draw) -> ActFuture + Send + Sync>;
type Check = Box<dyn Fn(Device) -> CheckFuture + Send + Sync>;
type Together = Box<dyn Fn(Vec<Device>) -> CheckFuture + Send + Sync>;

/// An application and what may go wrong around it.
pub struct World {
    pub(crate) schema: Schema,
    pub(crate) devices: (usize, usize),
    pub(crate) may_seal: bool,
    acts: Vec<(String, u64, Act)>,
    pub(crate) invariants: Vec<(String, Check)>,
    pub(crate) at_rest: Vec<(String, Together)>,
    without: Vec<String>,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let acts: Vec<&str> = self.acts.iter().map(|(name, ..)| name.as_str()).collect();
        f.debug_struct("World").field("acts", &acts).field("devices", &self.devices).finish_non_exhaustive()
    }
}

impl Default for World {
    fn default() -> Self {
        Self {
            schema: Schema::default(),
            devices: (1, 4),
            may_seal: true,
            acts: Vec::new(),
            invariants: Vec::new(),
            at_rest: Vec::new(),
            without: Vec::new(),
        }
    }
}

impl World {
    /// The rules of its collections, for devices and servers alike.
    pub fn schema(&mut self, schema: Schema) -> &mut Self {
        self.schema = schema;
        self
    }

    /// How many devices there are at the beginning: at least `fewest`, and at least one, at most `most`.
    pub fn devices(&mut self, fewest: usize, most: usize) -> &mut Self {
        self.devices = (fewest.max(1), most.max(fewest).max(1));
        self
    }

    /// Whether payloads are sealed in some runs; they are unless one says otherwise.
    pub fn sealed_at_times(&mut self, yes: bool) -> &mut Self {
        self.may_seal = yes;
        self
    }

    /// Something that the application does on a device, `weight` times as often as an act of weight 1. It says what it
    /// wrote. An error is the application's to live with, and no finding, unless it says that something stored is damaged.
    /// Once everything works again each act is done once more; then an error is a finding, unless it says that what was asked
    /// for is not there.
    pub fn act<F, R>(&mut self, name: &str, weight: u64, act: F) -> &mut Self
    where
        F: Fn(Device, Draw) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Wrote, ReplicaError>> + Send + 'static,
    {
        self.acts.push((name.to_owned(), weight, Box::new(move |device, draw| Box::pin(act(device, draw)))));
        self
    }

    /// What must hold on each device at any time: looked at after each of its acts, and in the end.
    pub fn invariant<F, R>(&mut self, name: &str, check: F) -> &mut Self
    where
        F: Fn(Device) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.invariants.push((name.to_owned(), Box::new(move |device| Box::pin(check(device)))));
        self
    }

    /// What must hold of all devices together once everything works and nobody has anything to send or to hear.
    pub fn at_rest<F, R>(&mut self, name: &str, check: F) -> &mut Self
    where
        F: Fn(Vec<Device>) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.at_rest.push((name.to_owned(), Box::new(move |devices| Box::pin(check(devices)))));
        self
    }

    /// Leaves something out that could go wrong, by its [name](crate::Mishap::name): a fault that the application is known
    /// not to survive.
    pub fn without(&mut self, name: &str) -> &mut Self {
        self.without.push(name.to_owned());
        self
    }

    pub(crate) fn takes(&self, name: &str) -> bool {
        !self.without.iter().any(|without| without == name)
    }

    /// Which acts there are in a run: most of them, so that what one of them hides, a restore for example, is seen in runs
    /// without it.
    pub(crate) fn draw_acts(&self, draw: &mut Draw) -> Vec<(usize, u64)> {
        let all = self.acts.iter().enumerate().map(|(act, (_, weight, _))| (act, *weight));
        let some: Vec<_> = all.clone().filter(|_| draw.chance(600)).collect();
        if some.is_empty() { all.collect() } else { some }
    }

    pub(crate) fn named(&self, act: u64) -> &str {
        self.at(act).map_or("nothing", |(name, ..)| name.as_str())
    }

    pub(crate) fn acts(&self) -> u64 {
        self.acts.len() as u64
    }

    pub(crate) fn has(&self, act: u64) -> bool {
        self.at(act).is_some()
    }

    fn at(&self, act: u64) -> Option<&(String, u64, Act)> {
        self.acts.get(usize::try_from(act).ok()?)
    }

    pub(crate) fn begin(&self, act: u64, device: Device, draw: Draw) -> Option<ActFuture> {
        self.at(act).map(|(_, _, act)| act(device, draw))
    }
}
