//! Tests that need to stand between the steps.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

pub(crate) mod crash;
