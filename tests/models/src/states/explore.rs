//! Visiting the states.

use std::num::NonZero;
use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model as _};

use super::world::World;

/// How far to go.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::exhaustive_structs, reason = "callers write it out")]
pub struct Extent {
    /// Steps to take at most, roughly.
    pub steps: usize,
    /// For how long at most.
    pub time: Duration,
    /// Breadth first: the way to what is wrong is a shortest one, and all states that are still to be gone on from are in
    /// memory at once. Otherwise depth first.
    pub shortest: bool,
}

/// What came of it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Explored {
    /// Distinct states that were visited.
    pub states: u64,
    /// Steps between states that were taken.
    pub steps: u64,
    /// All states of the world were visited.
    pub whole: bool,
    /// A way to a state that breaks a promise: which one, the steps, and in which way.
    pub found: Option<String>,
}

/// Visits the states of a world, until all are visited, something is found, or the extent is reached.
#[must_use]
pub fn explore(world: &World, extent: Extent) -> Explored {
    let builder = world.clone().checker().finish_when(HasDiscoveries::AnyFailures);
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let builder = builder.threads(threads).target_state_count(extent.steps).timeout(extent.time);
    let begun = Instant::now();
    if extent.shortest {
        told(world, extent, begun, &builder.spawn_bfs().join())
    } else {
        told(world, extent, begun, &builder.spawn_dfs().join())
    }
}

fn told(world: &World, extent: Extent, begun: Instant, checker: &impl Checker<World>) -> Explored {
    let found = checker.discoveries().into_iter().next().map(|(property, path)| {
        let why = world.verdict(path.last_state()).unwrap_or_else(|| "it cannot be seen again".to_owned());
        let steps: Vec<String> = path.into_actions().iter().map(|action| format!("{action:?}")).collect();
        format!("{}: not true that {property}: {why}, after {}", world.scope.name, steps.join(", "))
    });
    let all = checker.state_count() < extent.steps && begun.elapsed() < extent.time;
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    Explored {
        states: count(checker.unique_state_count()),
        steps: count(checker.state_count()),
        whole: all && found.is_none(),
        found,
    }
}
