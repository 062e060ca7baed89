//! What must hold for bytes of any origin: one body for each fuzz target, run by `fuzz/` and by the ordinary tests.
//!
//! What must hold: a body panics where a promise is broken and nowhere else; the same bytes always lead to the same; every
//! target is in [`TARGETS`]. Generators and laws are those of core's own tests, read from their files, so that a fuzzer and
//! a property test look for the same things; here the bytes choose.
//!
//! Next: `given` makes values of bytes; `values` and `text` are the bodies most likely to find something.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a broken promise is a panic")]

mod clock;
#[cfg(feature = "dialect")]
mod dialect;
mod files;
mod given;
mod names;
mod rows;
mod session;
mod text;
mod values;
mod wire;

pub mod by_mutation;
pub mod round_trip;

#[allow(dead_code, unused_imports, reason = "core's tests, of which each body uses its part")]
#[allow(clippy::duplicate_mod, reason = "each of core's tests has it, and so has the file of its laws")]
#[path = "../../../core/tests/common/mod.rs"]
mod common;
#[allow(dead_code, unused_imports, reason = "core's tests, of which each body uses its part")]
#[path = "../../../core/tests/laws.rs"]
mod core_laws;
#[allow(dead_code, unused_imports, reason = "core's tests, of which each body uses its part")]
#[path = "../../../core/tests/text/differential.rs"]
mod differential;
#[allow(dead_code, unused_imports, reason = "core's tests, of which each body uses its part")]
#[path = "../../../core/tests/text/hostile.rs"]
mod hostile_text;
#[allow(dead_code, unused_imports, reason = "core's tests, of which each body uses its part")]
#[path = "../../../core/tests/crdt/hostile.rs"]
mod hostile_values;
#[allow(dead_code, unused_imports, reason = "core's tests, of which each body uses its part")]
#[path = "../../../core/tests/text/oracle.rs"]
mod oracle;
#[allow(dead_code, unused_imports, reason = "core's tests, of which each body uses its part")]
#[path = "../../../core/tests/text/random.rs"]
mod random;
#[allow(dead_code, unused_imports, reason = "core's tests, of which each body uses its part")]
#[path = "../../../core/tests/session/script.rs"]
mod script;
#[allow(dead_code, unused_imports, reason = "core's tests, of which each body uses its part")]
#[path = "../../../core/tests/session/laws.rs"]
mod session_laws;
#[allow(dead_code, unused_imports, reason = "core's tests, of which each body uses its part")]
#[path = "../../../core/tests/text/speaker.rs"]
mod speaker;
#[allow(dead_code, unused_imports, reason = "core's tests, of which each body uses its part")]
#[path = "../../../core/tests/crdt/spoken.rs"]
mod spoken;
#[allow(dead_code, unused_imports, reason = "core's tests, of which each body uses its part")]
#[path = "../../../core/tests/text/traces.rs"]
mod traces;
#[allow(dead_code, unused_imports, reason = "core's tests, of which each body uses its part")]
#[path = "../../../core/tests/crdt/laws.rs"]
mod value_laws;
#[allow(dead_code, unused_imports, reason = "core's tests, of which each body uses its part")]
#[path = "../../../core/tests/crdt/world.rs"]
mod world;

use syncline::ReplicaId;

/// A target: what it is called, which its file in `fuzz/fuzz_targets` and its folder in `fuzz/corpus` are, too; and what it
/// does with bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("clock", clock::clock),
    ("counter", values::counter),
    #[cfg(feature = "dialect")]
    ("dialect_json", dialect::dialect_json),
    ("document", values::document),
    ("file_rows", files::file_rows),
    ("list", values::list),
    ("names", names::names),
    ("register", values::register),
    ("session", session::session),
    ("set", values::set),
    ("snapshot", rows::snapshot),
    ("store_rows", rows::store_rows),
    ("text_delta", text::text_delta),
    ("text_oracle", text::text_oracle),
    ("text_saved", text::text_saved),
    ("text_state", text::text_state),
    ("tree", values::tree),
    ("wire_binary", wire::wire_binary),
    ("wire_json", wire::wire_json),
];

/// Runs a target.
///
/// # Panics
/// When a promise is broken, or there is no such target.
pub fn run(target: &str, data: &[u8]) {
    let (_, body) = TARGETS.iter().find(|(name, _)| *name == target).expect("a target of this name");
    body(data);
}

/// The replica with this number; the order of numbers is that of names.
fn replica(number: usize) -> ReplicaId {
    let mut bytes = [7; 16];
    bytes[..8].copy_from_slice(&(number as u64).to_be_bytes());
    ReplicaId::from_bytes(bytes)
}
