//! What no single crate can prove, and the servers to prove it with.

pub mod rig;

/// The program in the README, compiled as it stands.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
