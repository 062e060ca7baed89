//! Bare loops: what appending an op must cost whoever does it, by hand and with nothing checked.
//!
//! A push takes the next numbers from the log's counter, looks up the newest op of each entity, looks whether each
//! op is known, and inserts a row with the op's bytes under three indexes. Ours keeps digests, running hashes and
//! heads on top of that; they are counted as ours.

pub mod postgres;
pub mod sqlite;

use syncline::oplog::{Op, Subject};

/// The entity an op is about; empty for none.
#[must_use]
pub fn entity(op: &Op) -> &[u8] {
    match op.subject() {
        Subject::Entity { key, .. } => key.entity.as_bytes(),
        Subject::Log => &[],
    }
}
