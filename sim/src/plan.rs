//! What happens in a run: drawn from a seed, or read from a file that was kept of one that failed.
//!
//! What must hold: a plan and the world it is of make the run, down to the last poll; a plan reads back as it was written.

use std::fmt;
use std::str::FromStr;

use crate::draw::Draw;
use crate::menu::{Kind, Mishap};
use crate::world::World;

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

/// Something that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a line of a kept file")]
pub struct Event {
    /// When, in milliseconds since the beginning.
    pub at: u64,
    /// What.
    pub kind: Kind,
    /// To whom; of the devices or servers that there are then, counted round.
    pub who: u64,
    /// With which number: of an act its stream of chance, of a clock by how much.
    pub with: u64,
    /// For how long, in milliseconds; of an act which one; of pruning how near to the newest full state, 0 for anywhere.
    pub span: u64,
}

/// A run, before it is run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan {
    /// What is drawn for each message is drawn from it.
    pub seed: u64,
    /// Devices at the beginning.
    pub devices: usize,
    /// Server processes over one store.
    pub servers: usize,
    /// Ops that devices keep of the history; `None`: all.
    pub retain: Option<u64>,
    /// Whether payloads are sealed.
    pub sealed: bool,
    /// When everything begins to work again, in milliseconds since the beginning.
    pub heals_at: u64,
    /// How often mishaps happen, in a thousand.
    pub rates: Vec<(Mishap, u64)>,
    /// What happens, in order.
    pub events: Vec<Event>,
}

impl Plan {
    /// The plan of a seed. Which mishaps and events there are at all is drawn first (swarm testing; Groce et al., 2012): a
    /// run with few kinds of faults goes deeper into each.
    #[must_use]
    pub fn of(seed: u64, world: &World) -> Self {
        let draw = &mut Draw::of(seed, &[0]);
        let devices = draw.between(world.devices.0 as u64, world.devices.1 as u64);
        let heals_at = match draw.below(100) {
            0 => draw.between(DAY_MS, 10 * DAY_MS),
            1..=9 => draw.between(HOUR_MS, 6 * HOUR_MS),
            _ => draw.between(2 * MINUTE_MS, 40 * MINUTE_MS),
        };
        let sealed = world.may_seal && draw.chance(250);
        let kinds = draw_kinds(draw, world, sealed);
        let has = |kind| kinds.contains(&kind);
        // What a device let go of it cannot give back: that and a server that lost more than that is a known loss.
        let loses = has(Kind::PutBackServer) || has(Kind::EmptyServer);
        let retain = (!loses && draw.chance(300)).then(|| draw.between(5, 40));
        let mut rates = Vec::new();
        for mishap in Mishap::ALL {
            let on = draw.chance(500);
            let rate = draw.pick(&[2, 10, 30, 100, 300]).copied().unwrap_or_default();
            if on && world.takes(mishap.name()) {
                rates.push((*mishap, if is_of_disk(*mishap) { rate.min(30) } else { rate }));
            }
        }
        let mut plan = Self {
            seed,
            devices: usize::try_from(devices).unwrap_or(1),
            servers: usize::try_from(draw.between(1, 2)).unwrap_or(1),
            retain,
            sealed,
            heals_at,
            rates,
            events: Vec::new(),
        };
        let (acts, times) = (world.draw_acts(draw), draw.between(10, 120));
        for _ in 0..times {
            plan.push_act(draw, &acts);
        }
        let faults = draw.between(0, 24);
        for _ in 0..faults {
            if let Some(kind) = draw.pick(&kinds).copied() {
                plan.push(draw, kind);
            }
        }
        plan.events.sort_by_key(|event| event.at);
        plan
    }

    fn push_act(&mut self, draw: &mut Draw, acts: &[(usize, u64)]) {
        // Bursts: several acts at nearly the same time on different devices are what conflicts are made of.
        let at = match self.events.last() {
            Some(last) if draw.chance(600) => last.at + draw.below(3_000),
            _ => draw.below(self.heals_at),
        };
        let Some(act) = choose(draw, acts) else { return };
        let who = draw.below(self.devices as u64);
        self.events.push(Event { at, kind: Kind::Act, who, with: draw.number(), span: act as u64 });
    }

    fn push(&mut self, draw: &mut Draw, kind: Kind) {
        let at = draw.below(self.heals_at);
        let who = draw.below(4);
        let short = draw.between(0, 20_000);
        let long = draw.between(1_000, (self.heals_at / 3).max(2_000));
        let (with, span) = match kind {
            Kind::Kill | Kind::KillTwice | Kind::KillServer => (draw.below(200), short),
            Kind::Offline | Kind::Mute | Kind::Deaf => (0, if draw.chance(500) { short } else { long }),
            Kind::Rights => (draw.below(2), long),
            Kind::Clock | Kind::ServerClock => (draw_skew(draw, kind), 0),
            // Anywhere, or right at the newest full state.
            Kind::Prune => (draw.below(1_000), draw.below(4)),
            _ => (draw.below(1_000), short),
        };
        // Several links stop one by one and come back in another order.
        let all = kind == Kind::Offline && draw.chance(250);
        let many = if all { self.devices as u64 } else { 1 };
        for turn in 0..many {
            let who = if all { turn } else { who };
            let (at, span) = if all { (at + draw.below(5_000), span + draw.below(20_000)) } else { (at, span) };
            self.events.push(Event { at, kind, who, with, span });
        }
    }

    /// What of it cannot be in this world: a mishap or an event that the world is without, or an act that it has not.
    pub(crate) fn is_not_of(&self, world: &World) -> Option<String> {
        let mishaps = self.rates.iter().map(|(mishap, _)| mishap.name());
        let mut names = mishaps.chain(self.events.iter().map(|event| event.kind.name()));
        if let Some(name) = names.find(|name| !world.takes(name)) {
            return Some(format!("the world is without {name}"));
        }
        let mut acts = self.events.iter().filter(|event| event.kind == Kind::Act).map(|event| event.span);
        acts.find(|act| !world.has(*act)).map(|act| format!("the world has no act of the number {act}"))
    }

    /// How often this happens, in a thousand.
    pub(crate) fn rate(&self, mishap: Mishap) -> u64 {
        self.rates.iter().find(|(of, _)| *of == mishap).map_or(0, |(_, rate)| *rate)
    }
}

/// One of these, each as often as its weight says.
fn choose(draw: &mut Draw, acts: &[(usize, u64)]) -> Option<usize> {
    let mut at = draw.below(acts.iter().map(|(_, weight)| weight).sum());
    let chosen = acts.iter().find(|(_, weight)| {
        let here = at < *weight;
        at = at.saturating_sub(*weight);
        here
    });
    chosen.map(|(act, _)| *act)
}

fn draw_kinds(draw: &mut Draw, world: &World, sealed: bool) -> Vec<Kind> {
    let mut kinds: Vec<Kind> = Vec::new();
    for kind in Kind::ALL {
        let on = draw.chance(350);
        if on && *kind != Kind::Act && world.takes(kind.name()) && (sealed || *kind != Kind::Rotate) {
            kinds.push(*kind);
        }
    }
    // Nothing is set back that was never copied.
    for (back, copy) in [(Kind::PutBack, Kind::BackUp), (Kind::PutBackServer, Kind::BackUpServer)] {
        if kinds.contains(&back) && !kinds.contains(&copy) {
            kinds.push(copy);
        }
    }
    kinds
}

/// As the bits of an i64.
fn draw_skew(draw: &mut Draw, kind: Kind) -> u64 {
    let most = match draw.below(4) {
        0 => 10 * 365 * DAY_MS,
        1 => DAY_MS,
        _ => 10 * MINUTE_MS,
    };
    // A server that is years off is an operator's accident of its own.
    let most = if kind == Kind::ServerClock { most.min(DAY_MS) } else { most };
    let by = i64::try_from(draw.below(most)).unwrap_or_default();
    (if draw.chance(500) { by } else { -by }).cast_unsigned()
}

const fn is_of_disk(mishap: Mishap) -> bool {
    use Mishap::{DiskError, DiskFull, DiskUnknown, StoreAway, StoreFull, StoreUnknown};
    matches!(mishap, DiskError | DiskFull | DiskUnknown | StoreAway | StoreFull | StoreUnknown)
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}", self.seed)?;
        writeln!(f, "devices {}", self.devices)?;
        writeln!(f, "servers {}", self.servers)?;
        match self.retain {
            Some(ops) => writeln!(f, "retain {ops}")?,
            None => writeln!(f, "retain all")?,
        }
        writeln!(f, "sealed {}", if self.sealed { "yes" } else { "no" })?;
        writeln!(f, "heals {}", self.heals_at)?;
        for (mishap, rate) in &self.rates {
            writeln!(f, "rate {} {rate}", mishap.name())?;
        }
        for Event { at, kind, who, with, span } in &self.events {
            writeln!(f, "at {at} {} {who} {with} {span}", kind.name())?;
        }
        Ok(())
    }
}

/// Why a text is no plan.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlanError {
    /// A line that is none, or that stands there for the second time.
    Line(String),
    /// What a plan begins with is not all there. Nothing is made up for it: the run would be another one.
    Missing(&'static str),
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "not a line of a plan: {line}"),
            Self::Missing(name) => write!(f, "a plan without a line that begins with {name}"),
        }
    }
}

impl std::error::Error for PlanError {}

/// A plan whose text is being read.
#[derive(Debug, Default)]
struct Half {
    seed: Option<u64>,
    devices: Option<usize>,
    servers: Option<usize>,
    retain: Option<Option<u64>>,
    sealed: Option<bool>,
    heals_at: Option<u64>,
    rates: Vec<(Mishap, u64)>,
    events: Vec<Event>,
}

impl FromStr for Plan {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Self, PlanError> {
        let mut half = Half::default();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            half.read(line).ok_or_else(|| PlanError::Line(line.to_owned()))?;
        }
        let Half { seed, devices, servers, retain, sealed, heals_at, rates, events } = half;
        Ok(Self {
            seed: seed.ok_or(PlanError::Missing("seed"))?,
            devices: devices.ok_or(PlanError::Missing("devices"))?,
            servers: servers.ok_or(PlanError::Missing("servers"))?,
            retain: retain.ok_or(PlanError::Missing("retain"))?,
            sealed: sealed.ok_or(PlanError::Missing("sealed"))?,
            heals_at: heals_at.ok_or(PlanError::Missing("heals"))?,
            rates,
            events,
        })
    }
}

impl Half {
    fn read(&mut self, line: &str) -> Option<()> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let again = match words.as_slice() {
            ["seed", seed] => self.seed.replace(seed.parse().ok()?).is_some(),
            ["devices", count] => self.devices.replace(count.parse().ok()?).is_some(),
            ["servers", count] => self.servers.replace(count.parse().ok()?).is_some(),
            ["retain", "all"] => self.retain.replace(None).is_some(),
            ["retain", ops] => self.retain.replace(Some(ops.parse().ok()?)).is_some(),
            ["sealed", "yes"] => self.sealed.replace(true).is_some(),
            ["sealed", "no"] => self.sealed.replace(false).is_some(),
            ["heals", at] => self.heals_at.replace(at.parse().ok()?).is_some(),
            ["rate", name, rate] => {
                let mishap = Mishap::from_name(name)?;
                let again = self.rates.iter().any(|(known, _)| *known == mishap);
                self.rates.push((mishap, rate.parse().ok()?));
                again
            }
            ["at", at, name, who, with, span] => {
                self.events.push(Event {
                    at: at.parse().ok()?,
                    kind: Kind::from_name(name)?,
                    who: who.parse().ok()?,
                    with: with.parse().ok()?,
                    span: span.parse().ok()?,
                });
                false
            }
            _ => return None,
        };
        (!again).then_some(())
    }
}
