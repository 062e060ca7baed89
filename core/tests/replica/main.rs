//! The replica against a real server in the same process: nothing is lost, everybody ends with the same.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests fail by panicking")]

mod conflicts;
#[allow(dead_code, reason = "other tests use the rest of it")]
#[path = "../common/cut.rs"]
mod cut;
mod devices;
mod doubt;
mod everyday;
mod forgetting;
mod partial;
mod partial_recovery;
mod past;
mod restore;
mod retain;
mod rollback;
#[cfg(feature = "encryption")]
mod sealed;
#[cfg(feature = "encryption")]
mod sealed_state;
#[cfg(feature = "encryption")]
mod sealed_untrusted;
mod texts;
mod values;
mod values_work;
mod world;
