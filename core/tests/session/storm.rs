//! What ten thousand devices do to a server that comes back.
//!
//! How: ten thousand sessions over one clock that is moved by hand. A server takes so many calls in a tenth of a second
//! and says busy to the others, or is not there at all.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::io::Error;

use syncline::call::{ErrorCode, Page, Refusal, Reply};
use syncline::client::{CallError, Input, Output, Phase, Session, SessionOptions};
use syncline::conformance::support::{env, log};
use syncline::{Cursor, Env, Timestamp, limits};

use crate::script::cursor;

const DEVICES: usize = 10_000;
const SLOT_MS: u64 = 100;
/// When the server is there again.
const BACK_MS: u64 = 120_000;

/// What [`env`] counts from.
const START_MS: u64 = 1_700_000_000_000;

/// The world as one device sees it: no two draw the same.
fn look(device: usize, at: u64) -> Env {
    let mut env = env(at);
    env.entropy[16..24].copy_from_slice(&device.to_be_bytes());
    env
}

/// Goes on until a call is to be made, or until when nothing is to be done; `None` for a device in step.
fn next(session: &mut Session, env: Env, at: u64) -> Option<u64> {
    loop {
        match session.poll() {
            Output::Prepare => session.handle(Input::Prepared(None), env),
            Output::Call(_) => return Some(at),
            Output::Wait(_) if session.phase() == Phase::Live => return None,
            Output::Wait(Some(until)) => return Some(until.ms() - START_MS),
            other => panic!("{other:?}"),
        }
    }
}

struct Storm {
    /// Calls in each tenth of a second.
    calls: BTreeMap<u64, usize>,
    /// Calls that were turned away.
    busy: usize,
    /// When the last device was in step.
    last: u64,
}

impl Storm {
    /// A server that takes so many calls in a tenth of a second.
    fn on(capacity: usize) -> Self {
        let here = cursor("5");
        let options =
            SessionOptions { log: log(1).log, fresh: false, confirm_first: false, poll_ms: limits::CLIENT_POLL_MS };
        let mut sessions: Vec<Session> = (0..DEVICES).map(|_| Session::new(options, here)).collect();
        let mut due = BinaryHeap::new();
        for (device, session) in sessions.iter_mut().enumerate() {
            session.handle(Input::Online, look(device, 0));
            due.push(Reverse((0, device)));
        }
        let mut storm = Self { calls: BTreeMap::new(), busy: 0, last: 0 };
        while let Some(Reverse((at, device))) = due.pop() {
            let (session, env) = (&mut sessions[device], look(device, at));
            session.handle(Input::Tick, env);
            if next(session, env, at) == Some(at) {
                session.handle(storm.answer(at, here, capacity), env);
            }
            match next(session, env, at) {
                Some(then) => due.push(Reverse((then.max(at + 1), device))),
                None => storm.last = at,
            }
        }
        storm
    }

    fn answer(&mut self, at: u64, here: Cursor, capacity: usize) -> Input {
        let taken = self.calls.entry(at / SLOT_MS).or_default();
        *taken += 1;
        if at < BACK_MS {
            return Input::Failed(CallError::Unreachable(Box::new(Error::other("gone"))));
        }
        if *taken > capacity {
            self.busy += 1;
            return Input::Failed(CallError::Refused(Refusal::new(ErrorCode::Busy, "full").with_retry_after(1_000)));
        }
        let page = Page { ops: Vec::new(), left_out: Vec::new(), next: here, end: here.seq, more: false };
        Input::Replied(Reply::Pulled(page))
    }

    fn most(&self, from: u64, to: u64) -> usize {
        self.calls.range(from / SLOT_MS..to / SLOT_MS).map(|(_, calls)| *calls).max().unwrap_or(0)
    }
}

#[test]
fn fault_c16_ten_thousand_devices_that_lost_a_server_at_once_come_back_spread_out() {
    let storm = Storm::on(usize::MAX);
    assert!(storm.most(0, SLOT_MS) >= DEVICES, "all of them asked at one instant");
    let (away, back) = (storm.most(60_000, BACK_MS), storm.most(BACK_MS, u64::MAX));
    assert!(away < 150 && back < 150, "{away} and {back} in one tenth of a second, where 67 is the mean");
    let late = storm.last - BACK_MS;
    assert!(late <= limits::CLIENT_BACKOFF_MS_MAX, "the last was in step {late} ms after the server was back");
}

#[test]
fn fault_c16_a_server_that_can_take_half_of_who_comes_gets_to_all_of_them_in_time() {
    // Half of what comes at first is turned away; nobody is for ever, and nobody hammers.
    let storm = Storm::on(30);
    assert!(storm.busy > DEVICES / 10, "{}: the test tests nothing", storm.busy);
    assert!(storm.busy < DEVICES * 3, "{} calls were turned away", storm.busy);
    assert!(storm.most(BACK_MS, u64::MAX) < 150);
    let late = storm.last - BACK_MS;
    assert!(late < 180_000, "the last was in step {late} ms after the server was back");
}

/// Answers what is asked until the conversation waits: how many calls that took, and until when it waits.
fn settled(session: &mut Session, here: Cursor, at: Env) -> (usize, Option<Timestamp>) {
    let mut calls = 0;
    loop {
        match session.poll() {
            Output::Prepare => session.handle(Input::Prepared(None), at),
            Output::Call(_) => {
                calls += 1;
                let page = Page { ops: Vec::new(), left_out: Vec::new(), next: here, end: here.seq, more: false };
                session.handle(Input::Replied(Reply::Pulled(page)), at);
            }
            Output::Wait(until) => return (calls, until),
            other => panic!("{other:?}"),
        }
    }
}

/// A leap second, summer time, a month asleep, a battery that died.
#[test]
fn fault_c06_a_clock_that_jumps_causes_one_call_and_no_storm() {
    const DAY_MS: i64 = 24 * 3_600_000;
    let here = cursor("5");
    let moment = |ms: i64| {
        let now = Timestamp::from_ms(START_MS.saturating_add_signed(ms)).expect("in range");
        Env { now, ..env(0) }
    };
    for jump in [-1_000, 1_000, -3_600_000, 3_600_000, 30 * DAY_MS, -DAY_MS, -50 * 365 * DAY_MS, 50 * 365 * DAY_MS] {
        let options =
            SessionOptions { log: log(1).log, fresh: false, confirm_first: false, poll_ms: limits::CLIENT_POLL_MS };
        let mut session = Session::new(options, here);
        session.handle(Input::Online, moment(0));
        assert_eq!(settled(&mut session, here, moment(0)).0, 1);
        // Whoever is woken too early or too late looks at its own clock again.
        let at = moment(5_000 + jump);
        session.handle(Input::Tick, at);
        let (calls, until) = settled(&mut session, here, at);
        assert!(calls <= 1, "{jump}: {calls} calls");
        let (until, now) = (until.expect("it asks again").ms(), at.now.ms());
        assert!(until > now && until <= now + limits::CLIENT_POLL_MS, "{jump}: until {until} at {now}");
    }
}
