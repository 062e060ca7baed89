//! What a part of the proof says of its run: a program that tries to break something for a while, and one line at its end.
//!
//! What must hold: a part is told how long it has and with which seed it begins ([`Given`]), counts what it did, and ends
//! with its [`Tally`] as one line of JSON on its standard output; it exits with 0 exactly when it found nothing. What it
//! found is told in the tally *and*, with all that is needed to see it again, on its standard error.
//!
//! What it tries is drawn by its seed ([`Chance`]).
//!
//! Next: `src/main.rs` runs the parts and prints the table; `src/parts.rs` names them.

mod chance;
mod given;
mod installed;
mod tally;

pub use chance::Chance;
pub use given::Given;
pub use installed::installed;
pub use tally::Tally;
