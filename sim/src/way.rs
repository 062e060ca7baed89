//! The way between a device and the server: calls and answers that get lost, double, late and out of order.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use futures_channel::oneshot;
use futures_util::future::{Either, select};
use syncline::LogKey;
use syncline::access::Caller;
use syncline::call::{Call, ErrorCode, Refusal, Reply};
use syncline::client::{CallError, Transport};
use syncline::store::{Interest, PageLimit, Signal, SignalSource};
use syncline::time::EnvSource as _;

use crate::codec;
use crate::draw::Draw;
use crate::house::{House, Room};
use crate::menu::Mishap;
use crate::schedule::Group;

/// How long a device waits for an answer: what the HTTP client does.
const PATIENCE_MS: u64 = 88_000;

/// How often a device that listens finds out whether anybody is there.
const PING_MS: u64 = 45_000;

pub(crate) struct Way {
    pub(crate) house: Arc<House>,
    pub(crate) room: Arc<Room>,
}

impl std::fmt::Debug for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Way({})", self.room.number)
    }
}

type Answered = Result<Reply, Refusal>;

fn unreachable() -> CallError {
    CallError::Unreachable("no network".into())
}

fn interrupted() -> CallError {
    CallError::Interrupted("no answer".into())
}

impl Way {
    fn is_mute(&self) -> bool {
        let weather = &self.house.weather;
        !weather.is_calm() && weather.now() < self.room.mute_until.load(Ordering::Relaxed)
    }

    fn is_deaf(&self) -> bool {
        let weather = &self.house.weather;
        !weather.is_calm() && weather.now() < self.room.deaf_until.load(Ordering::Relaxed)
    }

    /// A call on its way, which nobody can take back; its answer, when and if there is one.
    fn send(&self, call: Call, caller: Caller, after_ms: u64, mut draw: Draw) -> oneshot::Receiver<Answered> {
        let (answer, answered) = oneshot::channel();
        let house = Arc::clone(&self.house);
        self.house.weather.schedule.begin(Group::Wire, async move {
            house.weather.sleep(after_ms).await;
            let Some((number, process)) = house.a_server(&mut draw) else { return };
            let at = Arc::clone(&house);
            house.weather.schedule.begin(Group::Server(number), async move {
                let answered = if at.weather.strikes(Mishap::Busy, &mut draw) {
                    Err(Refusal::new(ErrorCode::Busy, "busy").with_retry_after(draw.below(2_000)))
                } else {
                    process.server.handle(&caller, call, at.server_clock.env()).await
                };
                // Whoever asked may have given up.
                let _ = answer.send(answered);
            });
        });
        answered
    }

    fn delay(&self, draw: &mut Draw) -> u64 {
        if self.house.weather.strikes(Mishap::Delayed, draw) { draw.between(500, 30_000) } else { draw.between(5, 120) }
    }
}

#[async_trait]
impl Transport for Way {
    async fn call(&self, call: Call) -> Result<Reply, CallError> {
        let weather = &self.house.weather;
        let number = self.room.calls.fetch_add(1, Ordering::Relaxed);
        let mut draw = weather.draw(&[5, self.room.number as u64, number]);
        let what = name(&call);
        weather.note(&[5, self.room.number as u64, number], format_args!("device {} {what}", self.room.number));
        if self.is_mute() {
            weather.count("not-sent");
            weather.sleep(draw.between(1, 3_000)).await;
            return Err(unreachable());
        }
        let mut call = codec::call(call, &mut draw, weather);
        if let Call::Pull { limit, .. } = &mut call
            && weather.strikes(Mishap::PageCut, &mut draw)
        {
            let ops = usize::try_from(draw.between(1, 4)).unwrap_or(1);
            *limit = PageLimit::ops(ops).unwrap_or_default();
        }
        let caller = self.room.caller(weather.now());
        let delay = self.delay(&mut draw);
        if weather.strikes(Mishap::RequestLost, &mut draw) {
            weather.sleep(PATIENCE_MS).await;
            return Err(interrupted());
        }
        if weather.strikes(Mishap::Duplicated, &mut draw) {
            let later = delay + draw.below(2 * PATIENCE_MS);
            drop(self.send(call.clone(), caller.clone(), later, draw.clone()));
        }
        let late = weather.strikes(Mishap::Late, &mut draw);
        let delay = if late { PATIENCE_MS + draw.below(9 * PATIENCE_MS) } else { delay };
        let answered = self.send(call, caller, delay, draw.clone());
        let answer = match select(answered, weather.sleep(PATIENCE_MS)).await {
            Either::Left((Ok(answer), _)) => answer,
            // The server was killed, or is not there.
            Either::Left((Err(_), _)) => return Err(if draw.chance(500) { interrupted() } else { unreachable() }),
            Either::Right(_) => return Err(interrupted()),
        };
        weather.sleep(self.delay(&mut draw)).await;
        if self.is_deaf() || weather.strikes(Mishap::AnswerLost, &mut draw) {
            if self.is_deaf() {
                weather.count("not-heard");
            }
            weather.sleep(draw.below(PATIENCE_MS)).await;
            return Err(interrupted());
        }
        match answer {
            Ok(reply) => Ok(codec::reply(reply, &mut draw, weather)),
            Err(refusal) => {
                let code = refusal.code.name();
                weather.note(&[6, self.room.number as u64], format_args!("device {} is told {code}", self.room.number));
                Err(refusal.into())
            }
        }
    }

    async fn wakes(&self, log: LogKey) -> Result<Option<Box<dyn SignalSource>>, CallError> {
        let weather = &self.house.weather;
        let mut draw = weather.draw(&[7, self.room.number as u64, weather.now()]);
        if self.is_mute() || self.is_deaf() {
            return Err(unreachable());
        }
        let Some((number, process)) = self.house.a_server(&mut draw) else { return Err(unreachable()) };
        let inner = process.fanout.listen(Interest::Logs(vec![log]));
        let way = Self { house: Arc::clone(&self.house), room: Arc::clone(&self.room) };
        Ok(Some(Box::new(Wakes { inner, way, draw, of: (number, process.since) })))
    }
}

/// Wakes on their way.
#[derive(Debug)]
struct Wakes {
    inner: Box<dyn SignalSource>,
    way: Way,
    draw: Draw,
    /// The process that sends them.
    of: (usize, u64),
}

#[async_trait]
impl SignalSource for Wakes {
    async fn next(&mut self) -> Option<Signal> {
        loop {
            let weather = Arc::clone(&self.way.house.weather);
            let signal = match select(self.inner.next(), weather.sleep(PING_MS)).await {
                Either::Left((signal, _)) => signal?,
                Either::Right(_) if self.way.house.is_up(self.of.0, self.of.1) => continue,
                Either::Right(_) => return None,
            };
            if self.way.is_deaf() || weather.strikes(Mishap::WakeLost, &mut self.draw) {
                continue;
            }
            if weather.strikes(Mishap::WakeLate, &mut self.draw) {
                weather.sleep(self.draw.below(60_000)).await;
            }
            return Some(signal);
        }
    }
}

const fn name(call: &Call) -> &'static str {
    match call {
        Call::Push(_) => "pushes",
        Call::Pull { .. } => "pulls",
        Call::GetSnapshot(_) => "asks for a snapshot",
        Call::PutSnapshot { .. } => "offers a snapshot",
        Call::Acknowledge { .. } => "acknowledges",
        Call::RotateKeys { .. } => "rotates the keys",
        Call::Status(_) => "asks for the log's bounds",
        Call::CreateLog { .. } => "makes the log",
        _ => "calls",
    }
}
