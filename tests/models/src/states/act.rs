//! What may happen in a state, and what it leads to.

use std::sync::Arc;

use syncline::call::Call;
use syncline::store::MemoryStore;

use super::action::Action;
use super::disk::let_go_of_history;
use super::fixed::number;
use super::plant::Plant;
use super::process::{Birth, Stands, Told, process, write_alone};
use super::scope::{Start, Wrote};
use super::server::debug_number;
use super::settle::sync_all;
use super::world::{Device, Image, Late, State, Talk, World};

/// Commits that one answer leads to, at most, as far as power cuts between them are tried.
const CUTS: u32 = 3;
/// Conversations that one process begins after the first, at most.
const AGAIN_MAX: usize = 2;

impl World {
    pub(crate) fn may(&self, state: &State, actions: &mut Vec<Action>) {
        let left = state.left;
        let more = usize::from(state.written) < self.scope.writes.len() + self.written_before();
        for (index, device) in (0_u8..).zip(&state.devices) {
            if more && (device.talk.is_none() || self.scope.writes_inside) {
                actions.push(Action::Write(index));
            }
            match &device.talk {
                None => {
                    actions.push(Action::Begin(index));
                    if left.crashes > 0 {
                        actions.extend((1..=2).map(|commits| Action::BeginCut(index, commits)));
                    }
                }
                Some(talk) if talk.asks.is_some() => {
                    actions.push(Action::Answer(index));
                    if left.crashes > 0 {
                        actions.extend((0..=CUTS).map(|commits| Action::AnswerCut(index, commits)));
                        actions.push(Action::Crash(index));
                    }
                    if left.losses > 0 {
                        actions.extend([Action::LoseAnswer(index), Action::LoseCall(index)]);
                    }
                    if left.late > 0 && state.late.is_none() {
                        actions.push(Action::Delay(index));
                    }
                }
                Some(talk) => {
                    // Ending is no event here. A conversation that cannot come to an end is not begun for ever.
                    actions.push(Action::Crash(index));
                    if talk.told.iter().filter(|told| matches!(told, Told::Again)).count() < AGAIN_MAX {
                        actions.push(Action::Again(index));
                    }
                }
            }
            if left.images > 0 && state.image.is_none() {
                actions.push(Action::Image(index));
            }
            if left.images > 0 && state.image.is_some() {
                actions.push(Action::Restore(index));
            }
        }
        if state.late.is_some() {
            actions.push(Action::Arrive);
        }
        if left.rollbacks > 0 {
            match &state.backup {
                None => actions.push(Action::Backup),
                Some(_) => actions.push(Action::PutBack),
            }
        }
        if left.emptied > 0 {
            actions.push(Action::Empty);
        }
        if left.floors > 0 {
            actions.extend([Action::RestoreLog, Action::Prune]);
        }
    }

    fn written_before(&self) -> usize {
        if self.scope.start == Start::InStep { usize::from(self.scope.devices) } else { 0 }
    }

    pub(crate) fn act(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        match action {
            Action::Write(index) => self.write(&mut next, index.into()),
            Action::Begin(index) => self.step(&mut next, index.into(), Step::Begin, None)?,
            Action::BeginCut(index, commits) => {
                next.left.crashes -= 1;
                self.step(&mut next, index.into(), Step::Begin, Some(commits))?;
            }
            Action::Again(index) => self.step(&mut next, index.into(), Step::Told(Told::Again), None)?,
            Action::Answer(index) => self.answer(&mut next, index.into(), None)?,
            Action::AnswerCut(index, commits) => {
                next.left.crashes -= 1;
                self.answer(&mut next, index.into(), Some(commits))?;
            }
            Action::LoseAnswer(index) => {
                next.left.losses -= 1;
                let call = asked(&next, index)?;
                next.server = next.server.handle(call, self.scope.plant).0;
                self.step(&mut next, index.into(), Step::Told(Told::Lost), None)?;
            }
            Action::LoseCall(index) => {
                next.left.losses -= 1;
                self.step(&mut next, index.into(), Step::Told(Told::Unreachable), None)?;
            }
            Action::Delay(index) => {
                next.left.late -= 1;
                let call = asked(&next, index)?;
                let number = debug_number(&call);
                next.late = Some(Arc::new(Late { call, number }));
                self.step(&mut next, index.into(), Step::Told(Told::Lost), None)?;
            }
            Action::Arrive => {
                let late = next.late.take()?;
                next.server = next.server.handle(late.call.clone(), self.scope.plant).0;
            }
            Action::Crash(index) => {
                let device = &mut next.devices[usize::from(index)];
                let talk = device.talk.take()?;
                if talk.asks.is_some() {
                    next.left.crashes -= 1;
                }
                if self.scope.plant == Plant::DiskLies {
                    device.now = Arc::clone(&talk.opened_on);
                }
            }
            Action::Backup => next.backup = Some(Arc::clone(&next.server)),
            Action::PutBack => {
                next.left.rollbacks -= 1;
                next.server = Arc::clone(next.backup.as_ref()?);
                if next.left.rollbacks == 0 {
                    next.backup = None;
                }
                self.only_on_the_server(&mut next);
            }
            Action::Empty => {
                next.left.emptied -= 1;
                next.server = next.server.emptied();
                self.only_on_the_server(&mut next);
            }
            Action::Image(index) => next.image = Some(Arc::clone(&next.devices[usize::from(index)].now)),
            Action::Restore(index) => {
                next.left.images -= 1;
                next.actors += 1;
                let now = next.image.take()?;
                next.devices[usize::from(index)] = Device { actor: next.actors, now, talk: None };
                next.expected &= next.held();
            }
            Action::RestoreLog => {
                next.left.floors -= 1;
                next.server = next.server.restore_log()?;
                // What is undone may be dropped. What a device has still to send is not undone.
                next.expected &= !state.server.facts.as_ref().map_or(0, |facts| facts.held);
            }
            Action::Prune => {
                next.left.floors -= 1;
                next.server = next.server.prune()?;
            }
        }
        Some(next)
    }

    /// A server lost what it had: what no device has any more is gone with it, and may be. Where no device was put back and no
    /// history was dropped, each still has all that it wrote, so nothing may be.
    fn only_on_the_server(&self, next: &mut State) {
        if self.scope.left.images + self.scope.left.floors > 0 {
            next.expected &= next.held();
        }
    }

    fn answer(&self, next: &mut State, index: usize, cut_after: Option<u32>) -> Option<()> {
        let call = next.devices.get(index)?.talk.as_ref()?.asks.clone()?;
        let (server, answered) = next.server.handle(call, self.scope.plant);
        next.server = server;
        self.step(next, index, Step::Told(Told::Answer(answered)), cut_after)
    }

    fn birth(&self, index: usize, device: &Device, on: &Image) -> Birth {
        let ahead_ms = if index == 0 { self.scope.ahead_ms } else { 0 };
        Birth { actor: device.actor, stored: on.number, ahead_ms, plant: self.scope.plant }
    }

    /// A process goes on. `None` where the power cut that was asked for never came.
    pub(crate) fn step(&self, next: &mut State, index: usize, step: Step, cut_after: Option<u32>) -> Option<()> {
        let device = next.devices.get(index)?;
        let (opened_on, told) = match (&device.talk, step) {
            (None, Step::Begin) => (Arc::clone(&device.now), Vec::new()),
            (Some(talk), Step::Told(what)) => {
                (Arc::clone(&talk.opened_on), talk.told.iter().cloned().chain([what]).collect())
            }
            _ => return None,
        };
        let birth = self.birth(index, device, &opened_on);
        let store = Arc::new(opened_on.store.fork());
        let (stands, conversation) = process(&store, birth, &told, cut_after);
        if cut_after.is_some() && !matches!(stands, Stands::Cut | Stands::Broken(_)) {
            return None;
        }
        let asks = match stands {
            Stands::Broken(why) => {
                next.fault = Some(format!("device {index}: {why}"));
                return Some(());
            }
            Stands::Asks(call) => Some(Some(*call)),
            Stands::Rests => Some(None),
            Stands::Done | Stands::Cut => None,
        };
        let device = next.devices.get_mut(index)?;
        if self.scope.plant == Plant::NothingToOffer && asks.is_none() {
            let_go_of_history(&store);
        }
        device.now = match asks {
            None if cut_after.is_some() && self.scope.plant == Plant::DiskLies => Arc::clone(&opened_on),
            _ if store.fingerprint() == device.now.number => Arc::clone(&device.now),
            _ => Image::of(store),
        };
        device.talk = asks.map(|asks| {
            // What it was told is of no interest beside what it made of it; apart from whether it ever heard of the log.
            let heard = told.iter().any(|told| matches!(told, Told::Answer(_)));
            let number = number((device.now.number, conversation, asks.as_ref().map(debug_number), heard));
            Arc::new(Talk { opened_on, told, asks, number })
        });
        Some(())
    }

    pub(crate) fn write(&self, next: &mut State, index: usize) {
        let kind = match usize::from(next.written).checked_sub(self.written_before()) {
            Some(later) => self.scope.writes[later],
            None => Wrote::Counter,
        };
        self.write_one(next, index, kind);
    }

    fn write_one(&self, next: &mut State, index: usize, kind: Wrote) {
        let number = next.written;
        next.written += 1;
        next.expected |= 1 << number;
        let device = &next.devices[index];
        if let (Wrote::Causal, Ok(facts)) = (kind, &device.now.facts) {
            // Who overwrites what they see means to.
            next.expected &= !facts.causal.map_or(0, |seen| 1 << seen);
        }
        if device.talk.is_some() {
            let _ = self.step(next, index, Step::Told(Told::Write(kind, number)), None);
            return;
        }
        let birth = self.birth(index, device, &device.now);
        let store = Arc::new(device.now.store.fork());
        match write_alone(&store, birth, kind, number) {
            Ok(()) => next.devices[index].now = Image::of(store),
            Err(why) => next.fault = Some(format!("device {index}: {why}")),
        }
    }

    /// Each device writes something, and all come to have it.
    pub(crate) fn in_step(&self, mut state: State) -> State {
        for index in 0..state.devices.len() {
            self.write(&mut state, index);
        }
        for _ in 0..2 {
            sync_all(self, &mut state).unwrap();
        }
        state
    }
}

/// How a process goes on.
#[derive(Debug)]
pub(crate) enum Step {
    Begin,
    Told(Told),
}

fn asked(state: &State, index: u8) -> Option<Call> {
    state.devices.get(usize::from(index))?.talk.as_ref()?.asks.clone()
}

/// A store of its own, for a device that was never here.
pub(crate) fn newcomer(state: &mut State) -> usize {
    state.actors += 1;
    let now = Image::of(Arc::new(MemoryStore::new()));
    state.devices.push(Device { actor: state.actors, now, talk: None });
    state.devices.len() - 1
}
