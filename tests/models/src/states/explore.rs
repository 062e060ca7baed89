//! Visiting the states.

use std::time::Duration;

use stateright::{Checker as _, HasDiscoveries, Model as _};

use super::scope::Scope;
use super::world::World;

/// What came of it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Explored {
    /// Distinct states that were visited.
    pub states: u64,
    /// Steps between states that were taken.
    pub steps: u64,
    /// All states of the scope were visited.
    pub whole: bool,
    /// A way to a state that breaks a promise: which one, the steps, and in which way.
    pub found: Option<String>,
}

/// Visits the states of a scope, depth first, for a time at most. With `shortest` it goes breadth first, which takes more
/// memory and finds the shortest way to what is wrong.
#[must_use]
pub fn explore(scope: Scope, seed: u64, settle_every: u64, time: Duration, shortest: bool) -> Explored {
    let world = World { scope, seed, settle_every };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let builder = world.clone().checker().threads(threads).timeout(time).finish_when(HasDiscoveries::AnyFailures);
    let begun = std::time::Instant::now();
    let (states, steps, discoveries) = if shortest {
        let checker = builder.spawn_bfs().join();
        (checker.unique_state_count(), checker.state_count(), checker.discoveries())
    } else {
        let checker = builder.spawn_dfs().join();
        (checker.unique_state_count(), checker.state_count(), checker.discoveries())
    };
    let whole = begun.elapsed() < time;
    let found = discoveries.into_iter().next().map(|(property, path)| {
        let why = world.verdict(path.last_state()).unwrap_or_else(|| "it cannot be seen again".to_owned());
        let steps: Vec<String> = path.into_actions().iter().map(|action| format!("{action:?}")).collect();
        format!("{}: not true that {property}: {why}, after {}", scope.name, steps.join(", "))
    });
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    Explored { states: count(states), steps: count(steps), whole: whole && found.is_none(), found }
}
