//! Content that is too large for an op: cut, listed, packed, accounted for, and swept when nothing needs it any more.
//!
//! A blob is bytes named by their SHA-256. Where they lie is a [`BlobStore`](crate::store::BlobStore)'s business; who needs
//! them is a log's, and is decided here. A large file is many blobs, its [pieces](Piece), and a [`Manifest`] that lists
//! them; an edit changes few pieces, and only those are sent.
//!
//! What must hold: no I/O; a blob that something needs is never swept; nothing is visible before its bytes hash to its name.
//!
//! Next: [`chunker`](Chunker) cuts, [`manifest`](Manifest) lists, [`record`](BlobRecord) keeps the accounts, [`listed`](Listed) those of
//! a manifest's pieces, [`scan`](ScanRecord) what scanners say.

mod chunker;
mod listed;
mod manifest;
mod record;
mod scan;

pub use chunker::{Chunker, Cutter};
pub use listed::{Judged, Listed};
pub use manifest::{Manifest, ManifestError, Piece};
pub use record::{BlobRecord, BlobRefused, BlobState, Need, Place, Swept, Usage};
pub use scan::{Engine, Finding, ScanPolicy, ScanRecord, ScanState, ScanTerms, Unread};
