//! From a state on, everything works: all end alike.

use super::act::{Step, newcomer};
use super::process::Told;
use super::world::{State, World};

/// Calls that one conversation may need; more is going round in circles.
const CALLS_MAX: usize = 24;
/// Rounds in which every device syncs.
const ROUNDS: usize = 4;

/// A device ends the conversation it is in, or one that it begins.
fn sync(world: &World, state: &mut State, index: usize) -> Result<(), String> {
    let broken = || format!("device {index} cannot go on");
    if state.devices[index].talk.is_none() {
        world.step(state, index, Step::Begin, None).ok_or_else(broken)?;
    }
    for _ in 0..CALLS_MAX {
        if let Some(fault) = state.fault() {
            return Err(fault);
        }
        let Some(talk) = state.devices[index].talk.clone() else { return Ok(()) };
        let told = match &talk.asks {
            None => Told::Again,
            Some(call) => {
                let (server, answered) = state.server.handle(call.clone(), world.scope.plant);
                state.server = server;
                Told::Answer(answered)
            }
        };
        world.step(state, index, Step::Told(told), None).ok_or_else(broken)?;
    }
    Err(format!("device {index} does not come to an end"))
}

/// Every device syncs once.
pub(crate) fn sync_all(world: &World, state: &mut State) -> Result<(), String> {
    (0..state.devices.len()).try_for_each(|index| sync(world, state, index))
}

/// Lets everything work from a state on.
///
/// # Errors
/// In which way it does not end well.
pub(crate) fn settle(world: &World, state: &State) -> Result<(), String> {
    let mut state = state.clone();
    let expected = state.expected;
    for round in 0..ROUNDS {
        sync_all(world, &mut state)?;
        if let Some(late) = state.late.take().filter(|_| round == 0) {
            state.server = state.server.handle(late.call.clone(), world.scope.plant).0;
        }
    }
    let fresh = newcomer(&mut state);
    sync(world, &mut state, fresh)?;
    if let Some(fault) = state.fault() {
        return Err(format!("in the end: {fault}"));
    }
    let facts = |index: usize| state.devices[index].now.facts.as_ref().map_err(Clone::clone);
    let first = facts(0)?;
    for index in 0..state.devices.len() {
        let device = facts(index)?;
        if device.shown != first.shown {
            return Err(format!("device 0 ends with {:?} and device {index} with {:?}", first.shown, device.shown));
        }
        if device.unsynced + device.parked > 0 {
            return Err(format!("device {index} ends with {} unsent, {} parked", device.unsynced, device.parked));
        }
    }
    let lost = expected & !state.held();
    if lost == 0 { Ok(()) } else { Err(format!("writes are nowhere in the end: {lost:#b}")) }
}
