//! A bank of bugs that other systems, and this one, once had: planted into a copy of the sources, each behind a switch, so
//! that it is known what the simulator would find.
//!
//! What must hold: the product has no switch; a bug is an exact text that occurs once and another in its place, so that one
//! that no longer fits is noticed and not skipped; the copy with every switch off is the product.
//!
//! Next: `bugs/*.toml` are the bugs; [`copy`] makes the copy; [`Hunt`] looks for one; `src/bin/bank.rs` is the part of the
//! proof.

mod bug;
pub mod copy;
mod hunt;

pub use bug::{Bug, Edit, Form, all};
pub use hunt::{Hunt, Outcome};

use std::path::{Path, PathBuf};

/// The repository's root.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
