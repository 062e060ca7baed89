//! Questions we want a number for, and how they are asked.
//!
//! A figure by itself says more about the machine than about us. So every question is put to our code and to its
//! floor, the least that anybody's code has to do for the same effect, in turns in one run; the answer is a ratio.
//! What must hold: nothing here passes or fails by the clock, and with [`SMOKE`] every question still runs, small.
//!
//! Next: [`measure`] takes turns, [`spread`] times each call of a turn, [`table`] prints, [`ops`] writes the ops, [`floor`]
//! has the bare loops, [`replica`] devices and their server, [`drive`] a folder on two of
//! them and a peer's program that does the same, [`super_productivity`] a foreign client's load; the questions
//! are in `benches/benches`, the figures in `benches/README.md`.

pub mod drive;
pub mod floor;
pub mod measure;
pub mod ops;
pub mod replica;
pub mod servers;
pub mod spread;
pub mod super_productivity;
pub mod table;

/// The variable that makes every question small, to see that it runs.
pub const SMOKE: &str = "SYNCLINE_BENCH_SMOKE";

/// Whether [`SMOKE`] is set.
#[must_use]
pub fn smoke() -> bool {
    std::env::var_os(SMOKE).is_some_and(|value| value != "0")
}

/// How much of something to do: `full`, or `small` when only smoke is wanted.
#[must_use]
pub fn scale<T>(full: T, small: T) -> T {
    if smoke() { small } else { full }
}
