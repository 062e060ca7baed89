//! Blob stores whose disk or server fails.
//!
//! What must hold: what was acknowledged is read back whole, or said to be damaged; other bytes are never given out under
//! its name; what is not acknowledged is there whole or not at all.
//!
//! Next: [`disk`] makes the calls of a process fail that stores blobs in files; [`rot`] damages its files; [`s3`] stands
//! between a store and its server.

pub mod disk;
pub mod rot;
pub mod s3;

use syncline::conformance::bodies::{content, key};
use syncline::store::BlobKey;

/// A blob that its seed and length say all of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Made {
    /// What it is made of.
    pub seed: u64,
    /// How long it is.
    pub len: usize,
}

impl Made {
    /// Its bytes.
    #[must_use]
    pub fn bytes(self) -> Vec<u8> {
        content(self.seed, self.len)
    }

    /// Where it belongs.
    #[must_use]
    pub fn key(self) -> BlobKey {
        key(1, &self.bytes())
    }
}
