//! The sync conversation of one log, as a state machine without I/O.
//!
//! Whoever drives it owns the socket, the store and the timer, and keeps one contract: *after every
//! [`handle`](Session::handle), do what [`poll`](Session::poll) says, hand the outcome back by `handle`, until it says
//! [`Output::Wait`]*. One thing is under way at a time.

use crate::call::{Call, Page, Push, Pushed, Refusal, Reply};
use crate::client::CallError;
use crate::oplog::{Gap, Snapshot};
use crate::seq::{Cursor, Seq};
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
}

/// What to do next.
#[derive(Debug)]
#[non_exhaustive]
pub enum Output {
    /// Make the next batch from the queue, durably, and answer [`Input::Prepared`].
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
    /// Nothing until an input of the first five kinds, or until then.
    Wait(Option<Timestamp>),
}

/// What came from the server.
#[derive(Debug)]
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
    /// Begin anew: from the snapshot, or from the start of the log without one. Ops that the local history holds after
    /// `common` are offered to the server again.
    Restart {
        /// Local and server history are the same up to here; [`Seq::MAX`] when the server has all that is held here.
        common: Seq,
        /// What to begin from.
        snapshot: Option<Box<Snapshot>>,
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
