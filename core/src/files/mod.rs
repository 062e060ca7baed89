//! A folder on a device that follows a tree of files.
//!
//! Three trees, by the ids of nodes: what the server has (*remote*, from the log), what the device and the server agreed on
//! ([`Base`]), and what is in the folder now ([`Local`], from a [`Scan`]). Only what was observed is kept; what to do is
//! worked out anew each time: the idea of Dropbox's Nucleus ("Rewriting the heart of our sync engine", 2020).
//!
//! What must hold: nobody's bytes are taken away unless the server has them; a folder that is not there is no wish to delete
//! everything; a plan of what already agrees says nothing.
//!
//! Nothing here does I/O. Next: `recognize`, `plan`, `settle`; `debounce` for when to look, `unsettled` for what is left alone then, `hydration` for bytes that come when they are wanted.

mod abilities;
mod agree;
mod batch;
mod beside;
mod debounce;
mod held;
mod hydration;
mod issue;
mod plan;
mod put_off;
mod recognize;
mod scan;
mod seen;
mod settle;
mod step;
mod steps;
mod unsettled;
mod wish;

pub use abilities::Abilities;
pub use agree::agree;
pub use batch::batch;
pub use beside::{Carried, arrivals, carried, hold_back, misses_any};
pub use debounce::{Debounce, Heard};
pub use held::{Base, Body, Fingerprint, Held, Identity};
pub use hydration::{Act, Around, Happening, Hydration};
pub use issue::{About, Issue, Issues};
pub use plan::{Halt, Plan, RootState, Wanted, check_root, plan};
pub use put_off::PutOff;
pub use recognize::{Local, Place, name_of, recognize};
pub use scan::{Found, Scan, What};
pub use seen::Remote;
pub use settle::{Notice, settle};
pub use step::{ASIDE, Step};
pub use wish::{Becomes, Wish};
