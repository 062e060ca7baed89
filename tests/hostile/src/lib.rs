//! Who speaks HTTP to a server and should not be believed: callers who may not, requests made of the document by a machine,
//! peers that are slow or send bombs.
//!
//! What must hold: nobody does or learns what is not theirs, whatever the route; no request is answered with a failure of the
//! server, or with what the document does not say; one bad peer costs the server little and the others nothing.
//!
//! Next: `matrix` is every operation times every class of callers, `schema` the requests of a machine, `peers` those who are slow,
//! flood or send bombs; `src/bin` are the parts of the proof.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "only tests and parts of the proof call it, and they fail by panicking"
)]

// The rig of transport-http's tests.
#[path = "../../../transport-http/tests/common/mod.rs"]
mod common;
mod document;
pub mod matrix;
pub mod peers;
pub mod schema;

pub use document::{Operation, operations};
