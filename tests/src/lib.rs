//! What no single crate can prove, and the servers to prove it with.

pub mod rig;
