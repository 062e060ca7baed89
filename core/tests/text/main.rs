//! The collaborative text: real histories, a naive oracle, and whatever input can do to it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod concurrent;
mod conformance;
mod differential;
mod forget;
mod hostile;
mod marks;
mod meeting;
mod oracle;
mod past;
mod random;
mod sequential;
mod speaker;
mod traces;

use syncline::ReplicaId;

/// The replica with this number; the order of numbers is that of names.
fn replica(number: usize) -> ReplicaId {
    let mut bytes = [7; 16];
    bytes[..8].copy_from_slice(&(number as u64).to_be_bytes());
    ReplicaId::from_bytes(bytes)
}
