//! The sync conversation of one log, as a state machine without I/O.
//!
//! Whoever drives it owns the socket, the store and the timer, and keeps one contract: *after every
//! [`handle`](Session::handle), do what [`poll`](Session::poll) says, hand the outcome back by `handle`, until it says
//! [`Output::Wait`]*. One thing is under way at a time. What else happens meanwhile (an edit, a wake, the network coming
//! or going) is handed in at any moment; `poll` then goes on saying the same, which is not to be begun a second time.
//!
//! ```text
//!            due, online                             ┌──────────── pages until the end ───────────┐
//! Wait ─────────────────────┐                        │                                            │
//!  ▲ (New, Live)            ▼                        ▼                                            │
//!  │      fresh? ── GetSnapshot ──▶ Confirm? ──▶ Keep(Begin) ────▶ Pull ──▶ Confirm? ──▶ Keep(Page)┘
//!  │        │ no                                     ▲              ▲                     │ at the end
//!  │        ▼                                        │ snapshot     │ more, or no news    ▼
//!  │      Prepare ──some──▶ Push ──▶ Keep(Verdicts) ─┼──────────────┴─── at the end ──▶ Prepare
//!  │        │ none               ╲                   │
//!  │        ├── news missing? ──▶ Pull               GetSnapshot ◀── pruned, nothing in common
//!  │        ▼                     ╲ gap ───────────▶ Probe ⇄ Pull(1)  ahead, diverged (binary search)
//!  └────── Live                                     Keep(Rewind) ◀── found, or server empty
//!
//! Push refused for its content ──▶ Keep(Refused | TooLarge) ──▶ Prepare
//! failed, refused for now ──▶ Backoff ──(its time, or Online)──▶ from the top
//! sign in, upgrade, declined, foreign log, a bug ──▶ Halted ──(Online)──▶ from the top
//! an operator must look ──▶ Halted ──(minutes, or Online)──▶ from the top
//! a key is missing ──▶ Halted ──(Unlocked, minutes, or Online)──▶ from the top
//! ```
//!
//! What must always hold:
//!
//! - Nothing is uploaded before a fresh device has the whole log once, and nothing is kept that was declined.
//! - A batch is made only where the local history is at the server's end as far as known.
//! - After any failure the conversation begins again at [`Output::Prepare`], which gives the same durable batch: the same
//!   ids, so that what was done already is not done twice.
//! - No sequence of answers makes it turn without a pause: pushes without effect and gaps that come again end in a
//!   backoff, pages that lead nowhere in a halt.
//! - Its size does not grow with the history. Time and randomness come from [`Env`] alone.
//! - An answer to something that was not asked is ignored; an answer of the wrong kind counts as unreadable.
//!
//! Next: [`Phase`] says how it stands; `session/forward.rs` is the way through a cycle, `session/setback.rs` everything
//! that stands in the way, `session/search.rs` finds where two histories part.

mod forward;
mod phase;
mod search;
mod setback;

pub use phase::{Halt, Phase, SessionOptions, Setback};
pub(super) use setback::gap_of;

use search::Search;

use crate::call::{Call, Page, Push, Pushed, Refusal, Reply};
use crate::client::CallError;
use crate::id::LogId;
use crate::oplog::{Gap, Snapshot};
use crate::seq::{Cursor, Seq};
use crate::store::PageLimit;
use crate::time::{Env, Timestamp};

/// What happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Input {
    /// Something was written here, or somebody asks for news now.
    Edited,
    /// The server's log is said to end at this seq.
    Wake(Seq),
    /// There is a network again; also ends a backoff and every halt.
    Online,
    /// There is no network.
    Offline,
    /// The time of the last [`Output::Wait`] came.
    Tick,
    /// To [`Output::Prepare`]: the batch to send, durable by now; `None` when nothing waits.
    Prepared(Option<Box<Push>>),
    /// To [`Output::Call`].
    Replied(Reply),
    /// To [`Output::Call`].
    Failed(CallError),
    /// To [`Output::Keep`].
    Kept(Kept),
    /// To [`Output::Probe`]: the local history's cursor there, `None` where it is not kept.
    Probed(Option<Cursor>),
    /// To [`Output::Confirm`].
    Confirmed(bool),
    /// To [`Output::Prepare`], [`Output::Call`] or [`Output::Keep`]: it cannot be done here before somebody does something.
    Stopped {
        /// What stands in the way.
        why: Halt,
        /// Where the local history ends now.
        cursor: Cursor,
    },
    /// A key may be here that was not: ends a halt for want of one.
    Unlocked,
}

/// What to do next.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Output {
    /// Make the next batch from the queue, durably, and answer [`Input::Prepared`]; or [`Input::Failed`], where that took
    /// a call of its own.
    Prepare,
    /// Ask the server.
    Call(Call),
    /// Put into the local store what came, in one transaction, and answer [`Input::Kept`].
    Keep(Came),
    /// Say which cursor the local history has at this seq.
    Probe(Seq),
    /// Ask the application whether this log's content may come onto a device that has none yet.
    Confirm {
        /// The seq at which the server's log ends.
        end: Seq,
    },
    /// Nothing until an input of the first five kinds or [`Input::Unlocked`], or until then.
    Wait(Option<Timestamp>),
}

/// What came from the server.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Came {
    /// The answer to the batch that was sent.
    Verdicts(Pushed),
    /// The batch as a whole was refused for what is in it: the op at [`Refusal::index`] (or the only one) is to be parked.
    Refused(Refusal),
    /// The batch was too large for something on the way: make the next one of half as many ops.
    TooLarge,
    /// The next page.
    Page(Page),
    /// Local and server history are the same up to here and no further: cut the local one back, and offer the server
    /// again what it held after. At 0 nothing is in common that both still keep.
    Rewind(Seq),
    /// Begin anew from a state.
    Begin {
        /// The state.
        snapshot: Box<Snapshot>,
        /// The server's history is another one than the local: what is held here is offered to it again. Otherwise it
        /// has all of that.
        parted: bool,
    },
}

/// How keeping it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "the driver fills in every field")]
pub struct Kept {
    /// Where the local history ends now.
    pub cursor: Cursor,
    /// The server's log goes on after it.
    pub more: bool,
    /// The page does not follow the local history; nothing of it was kept.
    pub gap: Option<Gap>,
}

/// The conversation about one log.
#[derive(Debug)]
pub struct Session {
    log: LogId,
    poll_ms: u64,
    /// Has not had the whole log yet.
    fresh: bool,
    /// The application is still to be asked.
    unconfirmed: bool,
    /// Where the local history ends.
    cursor: Cursor,
    state: State,
    heard: Heard,
    cycle: Cycle,
    /// Failures since something last went well.
    attempts: u32,
}

/// What happened while something else was under way.
#[derive(Debug, Default)]
struct Heard {
    /// There is no network.
    offline: bool,
    /// The network came back after the last call began: its failure says nothing about the new one.
    online: bool,
    /// Something may have been written since the last batch was made.
    edited: bool,
    /// Somebody asked for news after the last call for them began.
    asked: bool,
    /// The highest wake since then.
    wake: Seq,
}

/// What is known within one way from waiting to waiting.
#[derive(Debug, Default)]
struct Cycle {
    /// The last answer brought the log's end, as it was then.
    at_end: bool,
    /// Nothing waited to be sent, and nothing was kept since.
    drained: bool,
    /// Writing is not allowed: what waits stays here, and only news is asked for.
    denied: bool,
    /// Pushes without effect, in a row.
    idle_pushes: u32,
    /// A page did not follow, and was asked for again.
    misread: bool,
    /// Times it began anew after a gap, and where that led last.
    recoveries: u32,
    recovered: Option<Cursor>,
    /// The last gap was that the server has nothing.
    server_empty: bool,
}

#[derive(Debug)]
enum State {
    /// Due at once.
    New,
    Offline,
    Live(Rest),
    Backoff(Rest, u32, Setback),
    Halted(Halt, Option<Rest>),
    Preparing,
    Calling(Asked),
    Confirming(Came, Seq),
    Keeping(Came),
    Probing(Search),
}

/// A wait, and when it began.
#[derive(Debug, Clone, Copy)]
struct Rest {
    since: Timestamp,
    until: Timestamp,
}

/// The call under way.
#[derive(Debug)]
enum Asked {
    Push(Box<Push>),
    Pull,
    Snapshot(Wanted),
    /// Whether the server goes on from a place in the local history.
    Trial(Search, Cursor),
}

/// What a snapshot is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// The first download.
    Fresh,
    /// To go on after the ops that were pruned.
    Pruned,
    /// To begin anew, with nothing in common.
    Parted,
}

impl Session {
    /// A conversation that begins with the first [`Input::Tick`] (its first wait is over already), edit, wake or
    /// [`Input::Online`]. `cursor` is where the local history ends; a fresh device that has some of the log goes on from
    /// there and is not asked to confirm again.
    #[must_use]
    pub fn new(options: SessionOptions, cursor: Cursor) -> Self {
        let SessionOptions { log, fresh, confirm_first, poll_ms } = options;
        Self {
            log,
            poll_ms,
            fresh,
            unconfirmed: fresh && confirm_first && cursor.seq == Seq::ZERO,
            cursor,
            state: State::New,
            heard: Heard::default(),
            cycle: Cycle::default(),
            attempts: 0,
        }
    }

    /// Takes what happened. Answers that nobody waits for are ignored.
    #[allow(clippy::needless_pass_by_value, reason = "the world of this call and no other")]
    pub fn handle(&mut self, input: Input, env: Env) {
        match input {
            Input::Edited => {
                self.heard.edited = true;
                self.heard.asked = true;
                self.stir();
            }
            Input::Wake(seq) if seq > self.cursor.seq => {
                self.heard.wake = self.heard.wake.max(seq);
                self.stir();
            }
            Input::Wake(_) => {}
            Input::Online => {
                self.heard.offline = false;
                self.attempts = 0;
                if self.rests() {
                    self.begin();
                } else {
                    self.heard.online = true;
                    self.heard.asked = true;
                }
            }
            Input::Offline => {
                self.heard.offline = true;
                self.heard.online = false;
                if matches!(self.state, State::New | State::Live(_) | State::Backoff(..)) {
                    self.state = State::Offline;
                }
            }
            Input::Tick => {
                if self.is_due(env.now) {
                    self.begin();
                }
            }
            Input::Unlocked => {
                if matches!(self.state, State::Halted(Halt::KeyNeeded { .. } | Halt::WrongKey { .. }, _)) {
                    self.attempts = 0;
                    self.begin();
                }
            }
            answer => self.answer(answer, &env),
        }
    }

    /// Whether it may not write, and has read all there is.
    pub(super) const fn has_read_on(&self) -> bool {
        self.cycle.denied && self.cycle.at_end
    }

    /// What to do next; the same again until its outcome was handed in.
    #[must_use]
    pub fn poll(&self) -> Output {
        match &self.state {
            State::New => Output::Wait(Some(Timestamp::default())),
            State::Offline => Output::Wait(None),
            State::Live(rest) | State::Backoff(rest, ..) => Output::Wait(Some(rest.until)),
            State::Halted(_, rest) => Output::Wait(rest.map(|rest| rest.until)),
            State::Preparing => Output::Prepare,
            State::Calling(asked) => Output::Call(self.call(asked)),
            State::Confirming(_, end) => Output::Confirm { end: *end },
            State::Keeping(came) => Output::Keep(came.clone()),
            // A search without a place left is never put here.
            State::Probing(search) => Output::Probe(search.place().unwrap_or_default()),
        }
    }

    /// How the conversation stands.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        match &self.state {
            State::Offline => Phase::Offline,
            State::Live(_) => Phase::Live,
            State::Backoff(rest, attempt, why) => Phase::Backoff { until: rest.until, attempt: *attempt, why: *why },
            State::Halted(halt, _) => Phase::Halted(*halt),
            _ => Phase::Working,
        }
    }

    fn call(&self, asked: &Asked) -> Call {
        let pull = |cursor, limit| Call::Pull { log: self.log, cursor, limit };
        match asked {
            Asked::Push(push) => Call::Push(Push::clone(push)),
            Asked::Pull => pull(self.cursor, PageLimit::default()),
            Asked::Snapshot(_) => Call::GetSnapshot(self.log),
            Asked::Trial(_, cursor) => pull(*cursor, PageLimit::ops(1).unwrap_or_default()),
        }
    }

    const fn rests(&self) -> bool {
        use State::{Backoff, Halted, Live, New, Offline};
        matches!(self.state, New | Offline | Live(_) | Backoff(..) | Halted(..))
    }

    /// Edits and wakes end no backoff: after a server's restart everybody has them at the same instant.
    fn stir(&mut self) {
        if matches!(self.state, State::New | State::Live(_)) {
            self.begin();
        }
    }

    /// A tick of an earlier wait does not cut a later one short. A clock that was set back does not prolong it.
    fn is_due(&self, now: Timestamp) -> bool {
        match &self.state {
            State::New => true,
            State::Live(rest) | State::Backoff(rest, ..) | State::Halted(_, Some(rest)) => {
                now >= rest.until || now < rest.since
            }
            _ => false,
        }
    }

    fn answer(&mut self, input: Input, env: &Env) {
        match (std::mem::replace(&mut self.state, State::New), input) {
            (State::Preparing, Input::Prepared(push)) => self.prepared(push, env),
            (State::Preparing, Input::Failed(error)) => self.hindered(&error, env),
            (State::Preparing | State::Calling(_) | State::Keeping(_), Input::Stopped { why, cursor }) => {
                self.cursor = cursor;
                self.stopped(why, env);
            }
            (State::Calling(asked), Input::Replied(reply)) => self.replied(asked, reply, env),
            (State::Calling(asked), Input::Failed(error)) => self.failed(asked, error, env),
            (State::Confirming(came, _), Input::Confirmed(true)) => {
                self.unconfirmed = false;
                self.state = State::Keeping(came);
            }
            (State::Confirming(..), Input::Confirmed(false)) => self.halt(Halt::Declined),
            (State::Keeping(came), Input::Kept(kept)) => self.kept(came, kept, env),
            (State::Probing(search), Input::Probed(found)) => self.probed(search, found),
            (state, _) => self.state = state,
        }
    }
}
