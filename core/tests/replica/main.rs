//! The replica against a real server in the same process: nothing is lost, everybody ends with the same.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests fail by panicking")]

#[path = "../common/mod.rs"]
#[allow(dead_code, reason = "each proof uses its part")]
mod common;

mod conflicts;
mod devices;
mod doubt;
mod everyday;
mod faults;
mod forgetting;
#[cfg(feature = "encryption")]
mod newer;
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
mod state_recovery;
mod steps;
mod texts;
mod values;
mod values_work;
mod world;
