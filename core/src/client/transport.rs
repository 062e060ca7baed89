//! The way to a server.

use std::fmt::Debug;

use async_trait::async_trait;

use crate::call::{Call, Refusal, Reply};
use crate::id::LogKey;
use crate::store::SignalSource;

/// The client's way to a server: HTTP, or a function call in the same process.
#[async_trait]
pub trait Transport: Debug + Send + Sync + 'static {
    /// Asks and waits for the answer. Tries once: whoever retries must decide on the same ids.
    ///
    /// # Errors
    /// What went wrong on the way, or the server's refusal.
    async fn call(&self, call: Call) -> Result<Reply, CallError>;

    /// Listens to a log: the first wake says where it ends now. `None` where this way has no wakes; a client then asks
    /// from time to time. Wakes are hints, so a client asks now and then even with them.
    ///
    /// # Errors
    /// As [`Transport::call`].
    async fn wakes(&self, log: LogKey) -> Result<Option<Box<dyn SignalSource>>, CallError> {
        let _ = log;
        Ok(None)
    }
}

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The server answered that it will not.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No connection. The call did not arrive.
    #[error("the server cannot be reached: {0}")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The connection ended before the answer: the call may have been done. Repeat it with the same ids.
    #[error("the connection ended before the answer: {0}")]
    Interrupted(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The answer does not read.
    #[error("the server's answer does not read: {0}")]
    Protocol(String),
}
