//! Foreign wire protocols, mapped at the edge onto the engine's own calls.
//!
//! A dialect is what another application's unmodified clients speak. It lives here and nowhere else: core does not
//! know it. What must always hold: a dialect keeps no truth of its own; whatever it answers stands in a log.
//!
//! Next: [`super_productivity`].

#[cfg(feature = "super-productivity")]
pub mod super_productivity;
