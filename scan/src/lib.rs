//! Who judges blobs: [`ProcessScanner`] asks a program of the operator's, [`ClamdScanner`] asks clamd.
//!
//! What must hold: a verdict is on all of a blob's bytes; each question ends in the scanner's time; whatever goes wrong (no
//! program, no connection, an answer that is none, a time that ran out) is an error and no verdict.
//!
//! Next: [`Scanner`](syncline::store::Scanner) is the contract, `process` and `clamd` are one conversation each.

mod clamd;
mod process;

pub use clamd::ClamdScanner;
pub use process::ProcessScanner;

use std::time::Duration;

use syncline::store::ScanError;
use tokio::time::timeout;

/// How long a question may take unless told otherwise: five minutes, for the largest blobs.
const PATIENCE: Duration = Duration::from_secs(300);
/// Bytes of an answer that are looked at.
const ANSWER_BYTES_MAX: usize = 4_096;

async fn within<T>(
    patience: Duration,
    work: impl Future<Output = Result<T, ScanError>> + Send,
) -> Result<T, ScanError> {
    timeout(patience, work).await.unwrap_or(Err(ScanError::Timeout))
}

fn down(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ScanError {
    ScanError::Down(error.into())
}
