//! SQLite on a machine whose power is cut at a chosen operation, in every mode that the adapter has.
//!
//! What must hold: with [`Durability::Full`] everything acknowledged is there after any cut, in place and unbroken, and
//! behind it at most the one push that was under way, whole. With [`Durability::MayLoseLastSeconds`] what is there is a
//! whole number of pushes from the beginning, and a cursor behind its end is told so.
//!
//! Next: [`writer`] remembers what a server acknowledged; [`lives`] cuts, again and again, in one life of a store;
//! [`device`] does so with a replica.

pub mod device;
pub mod lives;
pub mod writer;

pub use lives::{Mode, life};
pub use writer::{Writer, measure, options};

use std::cell::RefCell;

use syncline_storage_sqlite::Durability;

thread_local! {
    static RUNTIME: RefCell<tokio::runtime::Runtime> =
        RefCell::new(tokio::runtime::Builder::new_current_thread().build().expect("a runtime"));
}

/// Waits for what needs no runtime.
pub fn wait<F: Future>(future: F) -> F::Output {
    RUNTIME.with_borrow(|runtime| runtime.block_on(future))
}

/// Whether nothing acknowledged may be lost.
pub(crate) fn keeps_all(durability: Durability) -> bool {
    durability == Durability::Full
}
