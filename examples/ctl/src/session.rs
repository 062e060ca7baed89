//! One command's conversation with a server: ask, and ask again with the same ids when the advice says so.
//!
//! What must hold: a call that may have been done is repeated only when repeating is harmless; every page read is
//! checked against the reader's own running hash before anything of it is used.
//!
//! Next: [`connect`](crate::connect) makes one over HTTP.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use syncline::call::{Advice, Call, ErrorCode, Page, Reply};
use syncline::client::{CallError, Transport};
use syncline::oplog::LogBounds;
use syncline::store::PageLimit;
use syncline::{BucketId, Cursor, LogId, LogKey, Seq};
use syncline_desk::{Fault, cursor_text, in_words};

/// How often a call is tried, and how long the first wait is; each further one is twice as long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    pub(crate) tries: u32,
    pub(crate) first_wait: Duration,
}

impl Default for Patience {
    /// Six tries over about eight seconds: longer than a restart of the server, shorter than a person's patience.
    fn default() -> Self {
        Self { tries: 6, first_wait: Duration::from_millis(250) }
    }
}

/// A way to one bucket of one server.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) bucket: BucketId,
    pub(crate) patience: Patience,
}

impl Session {
    /// The full name of a log, which its running hash begins with.
    pub(crate) const fn key(&self, log: LogId) -> LogKey {
        LogKey { bucket: self.bucket, log }
    }

    /// Asks, and repeats the same call while the advice is to retry.
    ///
    /// # Errors
    /// The last failure, as the transport gave it.
    pub(crate) async fn ask(&self, call: Call) -> Result<Reply, CallError> {
        let mut wait = self.patience.first_wait;
        for attempt in 1..self.patience.tries {
            match self.transport.call(call.clone()).await {
                Err(error) if may_repeat(&call, &error) => {
                    if attempt == 1 {
                        eprintln!("{}; trying again", in_words(&error));
                    }
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                }
                answer => return answer,
            }
        }
        self.transport.call(call).await
    }

    /// A log's bounds.
    ///
    /// # Errors
    /// The server's refusal.
    pub(crate) async fn status(&self, log: LogId) -> Result<LogBounds, Fault> {
        match self.ask(Call::Status(log)).await? {
            Reply::Log { bounds, .. } => Ok(*bounds),
            _ => Err(unexpected("a log's bounds")),
        }
    }

    /// Raises a log's key epoch by one; its bounds afterwards.
    ///
    /// # Errors
    /// The server's refusal, above all that the log is not at `from`.
    pub(crate) async fn rotate_keys(&self, log: LogId, from: u32) -> Result<LogBounds, Fault> {
        match self.ask(Call::RotateKeys { log, from }).await? {
            Reply::Log { bounds, .. } => Ok(*bounds),
            _ => Err(unexpected("a log's bounds")),
        }
    }

    /// One page after `cursor`, checked to follow it.
    ///
    /// # Errors
    /// No page, or one that does not follow.
    pub(crate) async fn page(&self, log: LogId, cursor: Cursor, limit: PageLimit) -> Result<Page, PageFault> {
        let Reply::Pulled(page) = self.ask(Call::Pull { log, cursor, limit }).await? else {
            return Err(CallError::Protocol("a page was expected".into()).into());
        };
        let wrong = |why: &dyn Debug| {
            let place = cursor_text(cursor);
            // At the very start only the name of the log can be wrong, and half of it is the bucket.
            let hint = if cursor.seq == Seq::ZERO { "; is this the bucket of the token?" } else { "" };
            PageFault::Broken(format!("the ops after {place} do not follow it ({why:?}); none of them was used{hint}"))
        };
        page.follows(self.key(log), cursor).map_err(|gap| wrong(&gap))?;
        // Without an anchor nothing else holds the page to the seqs of its own ops.
        let last = page.ops.last().map_or(cursor.seq, |op| op.seq);
        if page.next.seq == last { Ok(page) } else { Err(wrong(&"its end is not that of its ops")) }
    }
}

/// Why there is no page to use.
#[derive(Debug)]
pub(crate) enum PageFault {
    /// The server gave none.
    Call(CallError),
    /// It does not follow the reader's position.
    Broken(String),
}

impl From<CallError> for PageFault {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl From<PageFault> for Fault {
    fn from(fault: PageFault) -> Self {
        match fault {
            PageFault::Call(error) => error.into(),
            PageFault::Broken(why) => Self::new(why),
        }
    }
}

/// The fault of an answer to another question.
pub(crate) fn unexpected(what: &str) -> Fault {
    Fault::new(format!("the server answered something else than {what}; is it a syncline server of this version?"))
}

/// At most `most` ops, held to what a page may have.
pub(crate) fn page_limit(most: u64) -> PageLimit {
    usize::try_from(most).ok().and_then(PageLimit::ops).unwrap_or_default()
}

/// How many ops there are after one seq up to and including another.
pub(crate) const fn ops_between(after: Seq, upto: Seq) -> u64 {
    upto.get().saturating_sub(after.get())
}

fn may_repeat(call: &Call, error: &CallError) -> bool {
    // Keys have no request id: repeating a call that was perhaps done would make a second one.
    let makes_key =
        matches!(call, Call::MintToken { .. } | Call::RotateToken(_) | Call::MakeLink(_) | Call::CreateGroup { .. });
    match error {
        CallError::Unreachable(_) => true,
        CallError::Interrupted(_) => !makes_key,
        CallError::Refused(refusal) if makes_key => matches!(refusal.code, ErrorCode::Busy | ErrorCode::ShuttingDown),
        CallError::Refused(refusal) => refusal.code.advice() == Advice::Retry,
        _ => false,
    }
}
