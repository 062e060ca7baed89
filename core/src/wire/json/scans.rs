//! What scanners said of blobs.

use serde::{Deserialize, Serialize};

use crate::blob::{Engine, ScanPolicy, ScanRecord, ScanState};
use crate::digest::BlobId;
use crate::time::Timestamp;

/// The body of a policy on scanning.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::exhaustive_structs, reason = "a body is its fields")]
pub struct ScanningJson {
    /// The policy.
    pub policy: ScanPolicy,
}

/// What was said of a log's blobs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a body is its fields")]
pub struct ScansJson {
    /// The log's policy.
    pub policy: ScanPolicy,
    /// Of each blob that was judged.
    pub scans: Vec<ScanJson>,
}

/// What was said of a blob.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs, reason = "a body is its fields")]
pub struct ScanJson {
    /// Which.
    pub blob: BlobId,
    /// What became of it.
    pub state: ScanState,
    /// Who says so.
    pub engine: Engine,
    /// What was found, or why it cannot be judged; absent when there is nothing to say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// When the engine was asked, or an operator let it be read.
    pub asked_at: Timestamp,
}

impl ScansJson {
    /// The JSON form of a listing.
    #[must_use]
    pub fn of(policy: ScanPolicy, scans: &[ScanRecord]) -> Self {
        let scan = |scan: &ScanRecord| ScanJson {
            blob: scan.blob,
            state: scan.state,
            engine: scan.engine.clone(),
            why: scan.why.clone(),
            asked_at: scan.asked_at,
        };
        Self { policy, scans: scans.iter().map(scan).collect() }
    }

    /// The listing.
    #[must_use]
    pub fn read(self) -> (ScanPolicy, Vec<ScanRecord>) {
        let scan = |ScanJson { blob, state, engine, why, asked_at }| ScanRecord { blob, state, engine, why, asked_at };
        (self.policy, self.scans.into_iter().map(scan).collect())
    }
}
