//! One way through a world, as somebody sees it who knows logs, copies and queues and nothing else.

use stateright::Model as _;

use super::action::Action;
use super::fixed::number;
use super::world::{State, World};

/// Who acted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Who {
    /// A device, by its number.
    Device(u8),
    /// Whoever keeps the server.
    Outside,
}

/// What is seen after a step. Ops are the numbers of their writes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Seen {
    /// Who acted.
    pub who: Who,
    /// The server's log.
    pub log: Vec<u8>,
    /// How many of its first ops were dropped.
    pub floor: u64,
    /// Each device's copy of it.
    pub copies: Vec<Vec<u8>>,
    /// What each device shows that is not in its copy.
    pub queues: Vec<Vec<u8>>,
}

const fn who(action: Action) -> Option<Who> {
    match action {
        Action::Write(index)
        | Action::Begin(index)
        | Action::BeginCut(index, _)
        | Action::Again(index)
        | Action::Answer(index)
        | Action::AnswerCut(index, _)
        | Action::LoseAnswer(index)
        | Action::LoseCall(index)
        | Action::Crash(index) => Some(Who::Device(index)),
        Action::Backup | Action::PutBack => Some(Who::Outside),
        _ => None,
    }
}

fn seen(who: Who, state: &State) -> Option<Seen> {
    let log = state.server.facts.as_ref().ok()?;
    let devices = state.devices.iter().map(|device| device.now.facts.as_ref().ok());
    let facts: Vec<_> = devices.collect::<Option<_>>()?;
    Some(Seen {
        who,
        log: log.numbers.clone(),
        floor: log.first.saturating_sub(1),
        copies: facts.iter().map(|facts| facts.copy.clone()).collect(),
        queues: facts.iter().map(|facts| facts.waiting.clone()).collect(),
    })
}

/// Goes so many steps, drawn by the world's seed, of those that a walk can show: not of late calls, images, emptied servers
/// and floors. The world should only write counters. Ends early where nothing more can happen.
///
/// # Errors
/// What is wrong in a state on the way.
pub fn walk(world: &World, steps: usize) -> Result<Vec<Seen>, String> {
    let mut state = world.first_state();
    let mut walked = Vec::new();
    for step in 0..steps {
        let mut actions = Vec::new();
        world.actions(&state, &mut actions);
        // A log that was never written to has no history to go back to.
        let empty = state.server.facts.as_ref().is_ok_and(|facts| facts.ops.is_empty());
        actions.retain(|action| !(empty && *action == Action::Backup));
        let turn = number((world.seed, step));
        actions.sort_by_key(|action| number((turn, action)));
        let next = actions.into_iter().find_map(|action| Some((who(action)?, world.next_state(&state, action)?)));
        let Some((who, next)) = next else { break };
        state = next;
        if let Some(fault) = state.fault() {
            return Err(format!("after step {step}: {fault}"));
        }
        walked.push(seen(who, &state).ok_or("a state without a fault is not to be seen")?);
    }
    Ok(walked)
}
